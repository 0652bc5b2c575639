//! The types of keys, read from a JSON schema.

use std::{collections::BTreeMap, fmt};

use serde_json::Value as Json;

use crate::provenance::Value;

/// The type that a value has to have.
pub(crate) enum ExpectedType {
    Text,
    Word(Vec<String>),
    Integer,
    Boolean,
    List(Box<KeySchema>),
    Table(BTreeMap<String, KeySchema>),
    /// A table of texts whose keys the operator chooses.
    OpenTable,
    AnyOf(Vec<ExpectedType>),
}

/// The schema of one key or list entry.
pub(crate) struct KeySchema {
    pub(crate) expected: ExpectedType,
    pub(super) required: bool,
    /// Keys of which any one replaces this key.
    pub(super) alternatives: Vec<String>,
    /// An example value in TOML.
    pub(super) example: Option<String>,
}

// === impl ExpectedType ===

impl ExpectedType {
    /// Reads a schema that contains no references (`inline_subschemas`).
    pub(crate) fn from_schema(schema: &Json) -> Self {
        if let Some(choices) = schema.get("anyOf").and_then(Json::as_array) {
            return Self::AnyOf(choices.iter().map(Self::from_schema).collect());
        }
        if let Some(words) = words(schema) {
            return Self::Word(words);
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("object") if is_open(schema) => Self::OpenTable,
            Some("object") => Self::Table(keys(schema)),
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Json::Null);
                Self::List(Box::new(KeySchema::new(items, false, &[])))
            }
            Some("integer") => Self::Integer,
            Some("boolean") => Self::Boolean,
            _ => Self::Text,
        }
    }

    /// Whether the value itself is of this type; the values inside it are not checked.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Text => matches!(value, Value::Text(_)),
            Self::Word(words) => matches!(value, Value::Text(text) if words.contains(text)),
            Self::Integer => matches!(value, Value::Integer(_)),
            Self::Boolean => matches!(value, Value::Boolean(_)),
            Self::List(_) => matches!(value, Value::List(_)),
            Self::Table(_) | Self::OpenTable => matches!(value, Value::Table(_)),
            Self::AnyOf(types) => types.iter().any(|expected| expected.accepts(value)),
        }
    }

    /// The type that keys below a value have to follow: of a table or a list of tables, the table, unless
    /// the value is a list.
    pub(crate) fn for_keys_of(&self, value: &Value) -> &Self {
        match self {
            Self::AnyOf(types) => {
                let current = types.iter().find(|expected| expected.accepts(value));
                let is_list = matches!(value, Value::List(_));
                let table = types.iter().find(|one| matches!(one, Self::Table(_)));
                current.filter(|_| is_list).or(table).unwrap_or(self)
            }
            other => other,
        }
    }

    /// The allowed words of an enumeration.
    pub(super) fn words(&self) -> Option<&[String]> {
        match self {
            Self::Word(words) => Some(words),
            Self::AnyOf(types) => types.iter().find_map(Self::words),
            _ => None,
        }
    }
}

/// The type as it follows "expected" in a message.
impl fmt::Display for ExpectedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a string"),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&alternatives(&words))
            }
            Self::Integer => f.write_str("an integer"),
            Self::Boolean => f.write_str("true or false"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) | Self::OpenTable => f.write_str("a table"),
            Self::AnyOf(types) => {
                let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                f.write_str(&alternatives(&types))
            }
        }
    }
}

// === impl KeySchema ===

impl KeySchema {
    /// The schema of a key of an open table.
    pub(super) const fn text() -> Self {
        Self {
            expected: ExpectedType::Text,
            required: false,
            alternatives: Vec::new(),
            example: None,
        }
    }

    fn new(schema: &Json, required: bool, alternatives: &[String]) -> Self {
        let example = schema
            .get("examples")
            .and_then(Json::as_array)
            .and_then(|examples| examples.first());
        Self {
            expected: ExpectedType::from_schema(schema),
            required,
            alternatives: alternatives.to_vec(),
            // JSON strings, numbers, booleans and lists of these are TOML, too.
            example: example.map(ToString::to_string),
        }
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

fn keys(schema: &Json) -> BTreeMap<String, KeySchema> {
    // The root has `oneOf` with two sets of required sections. The first set is required, unless a
    // section of the other set is present.
    let mut choices = schema
        .get("oneOf")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(required);
    let first = choices.next().unwrap_or_default();
    let others: Vec<String> = choices.flatten().collect();
    let required = required(schema);
    let key_schema = |key: &String, schema: &Json| {
        if first.contains(key) {
            KeySchema::new(schema, true, &others)
        } else {
            KeySchema::new(schema, required.contains(key), &[])
        }
    };
    schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(key, schema)| (key.clone(), key_schema(key, schema)))
        .collect()
}

/// Whether a schema of a table names no keys; the values are texts.
fn is_open(schema: &Json) -> bool {
    schema
        .get("additionalProperties")
        .is_some_and(Json::is_object)
}

fn required(schema: &Json) -> Vec<String> {
    let keys = schema.get("required").and_then(Json::as_array);
    keys.into_iter()
        .flatten()
        .filter_map(|key| key.as_str().map(ToOwned::to_owned))
        .collect()
}
