//! The shape that the configuration has to have, taken from its JSON schema.
//!
//! serde stops at the first error. The shape finds all of them, knows which key was meant, and tells
//! the environment how to read its texts; serde then meets only what it can read.

use std::{collections::BTreeMap, fmt};

use serde_json::Value as Json;

use super::{
    nearest::nearest,
    problem::{Fault, Report},
    tree::{Node, Table, Value, join, nth},
};

/// What a value has to be.
pub(super) enum Shape {
    Text,
    Word(Vec<String>),
    Integer,
    Boolean,
    List(Box<Field>),
    Table(BTreeMap<String, Field>),
    Either(Vec<Shape>),
}

/// What a key is for.
pub(super) struct Field {
    pub(super) shape: Shape,
    required: bool,
    /// Sections of which any takes this one's place.
    instead: Vec<String>,
    /// As TOML would have it.
    example: Option<String>,
}

// === impl Shape ===

impl Shape {
    /// The shape that a schema without references describes.
    pub(super) fn of(schema: &Json) -> Self {
        if let Some(choices) = schema.get("anyOf").and_then(Json::as_array) {
            return Self::Either(choices.iter().map(Self::of).collect());
        }
        if let Some(words) = words(schema) {
            return Self::Word(words);
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("object") => Self::Table(fields(schema)),
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Json::Null);
                Self::List(Box::new(Field::of(items, false, &[])))
            }
            Some("integer") => Self::Integer,
            Some("boolean") => Self::Boolean,
            _ => Self::Text,
        }
    }

    /// Reports everything in `node` that has not this shape, and takes it out.
    pub(super) fn prune(&self, node: &mut Node, path: &str, report: &mut Report) {
        match (self, &mut node.value) {
            (Self::Table(fields), Value::Table(table)) => {
                prune_table(fields, table, path, report);
            }
            (Self::List(item), Value::List(list)) => {
                let mut position = 0;
                list.retain_mut(|entry| {
                    position += 1;
                    item.prune(entry, &nth(path, position), report)
                });
            }
            (Self::Either(shapes), value) => {
                if let Some(shape) = shapes.iter().find(|shape| shape.takes(value)) {
                    shape.prune(node, path, report);
                }
            }
            _ => {}
        }
    }

    /// The words that it may be, if it may be some.
    fn words(&self) -> Option<&[String]> {
        match self {
            Self::Word(words) => Some(words),
            Self::Either(shapes) => shapes.iter().find_map(Self::words),
            _ => None,
        }
    }

    /// Whether the value is of this kind, whatever it holds.
    pub(super) fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Text => matches!(value, Value::Text(_)),
            Self::Word(words) => matches!(value, Value::Text(text) if words.contains(text)),
            Self::Integer => matches!(value, Value::Integer(_)),
            Self::Boolean => matches!(value, Value::Boolean(_)),
            Self::List(_) => matches!(value, Value::List(_)),
            Self::Table(_) => matches!(value, Value::Table(_)),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.takes(value)),
        }
    }
}

/// In words, after "expected".
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&alternatives(&words))
            }
            Self::Integer => f.write_str("a whole number"),
            Self::Boolean => f.write_str("true or false"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
            Self::Either(shapes) => {
                let shapes: Vec<String> = shapes.iter().map(ToString::to_string).collect();
                f.write_str(&alternatives(&shapes))
            }
        }
    }
}

// === impl Field ===

impl Field {
    fn of(schema: &Json, required: bool, instead: &[String]) -> Self {
        let example = schema
            .get("examples")
            .and_then(Json::as_array)
            .and_then(|examples| examples.first());
        Self {
            shape: Shape::of(schema),
            required,
            instead: instead.to_vec(),
            // JSON's texts, numbers, booleans and lists of these are TOML's.
            example: example.map(ToString::to_string),
        }
    }

    /// Reports what is wrong in `node`; `false` if nothing of it can be kept.
    fn prune(&self, node: &mut Node, path: &str, report: &mut Report) -> bool {
        if self.shape.takes(&node.value) {
            self.shape.prune(node, path, report);
            return true;
        }
        report.reject_at(node.place.clone(), path, self.mismatch(&node.value, path));
        false
    }

    /// What to say of a value of another kind; the value itself may be a secret.
    fn mismatch(&self, value: &Value, path: &str) -> Fault {
        let shape = &self.shape;
        if let (Some(words), Value::Text(text)) = (shape.words(), value) {
            let nearest = nearest(text, words.iter().map(String::as_str));
            let remedy = match (nearest, shape) {
                (Some(word), _) => format!("did you mean {word:?}"),
                (None, Shape::Either(_)) => format!("did you mean [{text:?}]"),
                (None, _) => format!("write {shape}"),
            };
            return Fault::new(format!("{text:?} is not known here"), remedy);
        }
        let remedy = match (&self.example, shape) {
            (Some(example), _) => format!("write for example {example}"),
            (None, Shape::Text) => "write it in quotes".to_owned(),
            (None, Shape::List(_)) if matches!(value, Value::Table(_)) => {
                format!("write its header in double brackets, as [[{path}]]")
            }
            (None, _) => format!("write {shape}"),
        };
        Fault::new(format!("expected {shape}, found {}", value.kind()), remedy)
    }

    fn missing(&self, key: &str) -> Fault {
        let remedy = match (&self.example, &self.shape) {
            (Some(example), _) => format!("add for example {key} = {example}"),
            (None, Shape::List(item)) => format!("add for example [[{key}]] {}", item.examples()),
            (None, _) => "add it".to_owned(),
        };
        Fault::new("missing", remedy)
    }

    /// The required keys of a section with their examples.
    fn examples(&self) -> String {
        let Shape::Table(fields) = &self.shape else {
            return String::new();
        };
        let keys: Vec<String> = fields
            .iter()
            .filter(|(_, field)| field.required)
            .map(|(key, field)| format!("{key} = {}", field.example.as_deref().unwrap_or("…")))
            .collect();
        format!("with {}", keys.join(" and "))
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(texts: &[String]) -> String {
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn words(schema: &Json) -> Option<Vec<String>> {
    let word = |value: &Json| value.as_str().map(ToOwned::to_owned);
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().map(word).collect();
    }
    let choices = schema.get("oneOf").and_then(Json::as_array)?;
    choices
        .iter()
        .map(|choice| choice.get("const").and_then(word))
        .collect()
}

fn fields(schema: &Json) -> BTreeMap<String, Field> {
    // Of sections that can stand for each other the first are wanted, unless another is there.
    let mut choices = schema
        .get("oneOf")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(required);
    let first = choices.next().unwrap_or_default();
    let others: Vec<String> = choices.flatten().collect();
    let required = required(schema);
    let field = |key: &String, schema: &Json| {
        if first.contains(key) {
            Field::of(schema, true, &others)
        } else {
            Field::of(schema, required.contains(key), &[])
        }
    };
    schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(key, schema)| (key.clone(), field(key, schema)))
        .collect()
}

fn required(schema: &Json) -> Vec<String> {
    let keys = schema.get("required").and_then(Json::as_array);
    keys.into_iter()
        .flatten()
        .filter_map(|key| key.as_str().map(ToOwned::to_owned))
        .collect()
}

fn prune_table(
    fields: &BTreeMap<String, Field>,
    table: &mut Table,
    path: &str,
    report: &mut Report,
) {
    table.retain(|key, node| {
        let path_of_key = join(path, key);
        if let Some(field) = fields.get(key) {
            return field.prune(node, &path_of_key, report);
        }
        let (remedy, meant) = unknown(key, fields);
        let fault = Fault::new("unknown key", remedy);
        report.reject_at(node.place.clone(), &path_of_key, fault);
        if let Some(meant) = meant {
            // Whoever misspelt a key should not be told as well that it is missing.
            report.settle(join(path, meant));
        }
        false
    });
    let absent = fields
        .iter()
        .filter(|(key, field)| field.required && !table.contains_key(*key));
    for (key, field) in absent {
        let is_replaced = field.instead.iter().any(|other| {
            table.contains_key(other) || report.section(join(path, other)).is_settled("")
        });
        if !is_replaced {
            report_absent(key, field, &join(path, key), report);
        }
    }
}

/// A missing section is reported by the keys that it has to have.
fn report_absent(key: &str, field: &Field, path: &str, report: &mut Report) {
    let Shape::Table(fields) = &field.shape else {
        return report.reject(path, field.missing(key));
    };
    if report.section(path).is_settled("") {
        return;
    }
    for (key, field) in fields.iter().filter(|(_, field)| field.required) {
        report_absent(key, field, &join(path, key), report);
    }
}

/// The remedy for an unknown key, and the key that was probably meant.
pub(super) fn unknown<'f>(
    key: &str,
    fields: &'f BTreeMap<String, Field>,
) -> (String, Option<&'f str>) {
    let known = fields.keys().map(String::as_str);
    if let Some(meant) = nearest(key, known.clone()) {
        return (format!("did you mean {meant:?}"), Some(meant));
    }
    let known: Vec<&str> = known.collect();
    (format!("known here are {}", known.join(", ")), None)
}
