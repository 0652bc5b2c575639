//! Checks the configuration tree against the JSON schema, for the sake of the messages.
//!
//! serde stops at its first error, and a general validator (`jsonschema`) reports in terms of the
//! schema, without the line and a remedy. This module therefore interprets the few keywords that
//! [`schema`] generates and reports every mismatch with its remedy. It removes mismatches, so that
//! serde meets only values that it can read: the schema and serde's types have one source.
//!
//! [`schema`]: super::schema::schema

mod expected_type;

use std::collections::BTreeMap;

pub(super) use self::expected_type::{ExpectedType, KeySchema};
use super::{
    diagnostics::Diagnostics,
    location::{child_path, element_path},
    problem::Fault,
    provenance::{Node, Table, Value},
    suggestion::suggest,
};

/// The remedy for an unknown key, and the known key that it probably stands for.
pub(super) struct UnknownKey<'k> {
    pub(super) remedy: String,
    pub(super) suggestion: Option<&'k str>,
}

// === impl UnknownKey ===

impl<'k> UnknownKey<'k> {
    pub(super) fn new(key: &str, known: &'k BTreeMap<String, KeySchema>) -> Self {
        let known = known.keys().map(String::as_str);
        let suggestion = suggest(key, known.clone());
        let remedy = match suggestion {
            Some(suggestion) => format!("did you mean {suggestion:?}"),
            None => format!("known keys are {}", known.collect::<Vec<_>>().join(", ")),
        };
        Self { remedy, suggestion }
    }
}

// === impl ExpectedType ===

impl ExpectedType {
    /// Reports and removes everything below `node` that does not match.
    pub(super) fn check(&self, node: &mut Node, path: &str, diagnostics: &mut Diagnostics) {
        match (self, &mut node.value) {
            (Self::Table(keys), Value::Table(table)) => {
                check_table(keys, table, path, diagnostics);
            }
            (Self::OpenTable, Value::Table(table)) => {
                table.retain(|name, node| {
                    let text = KeySchema::text();
                    text.check(node, &child_path(path, name), diagnostics)
                });
            }
            (Self::List(item), Value::List(list)) => {
                let mut position = 0;
                list.retain_mut(|entry| {
                    position += 1;
                    item.check(entry, &element_path(path, position), diagnostics)
                });
            }
            (Self::AnyOf(types), value) => {
                if let Some(expected) = types.iter().find(|expected| expected.accepts(value)) {
                    expected.check(node, path, diagnostics);
                }
            }
            _ => {}
        }
    }
}

// === impl KeySchema ===

impl KeySchema {
    /// Reports the mismatches of `node`; `false` if the node itself has to be removed.
    fn check(&self, node: &mut Node, path: &str, diagnostics: &mut Diagnostics) -> bool {
        if self.expected.accepts(&node.value) {
            self.expected.check(node, path, diagnostics);
            return true;
        }
        let fault = self.mismatch(&node.value, path);
        diagnostics.reject_at(node.location.clone(), path, fault);
        false
    }

    /// The fault of a value of another type. It quotes only words, which are never secrets.
    fn mismatch(&self, value: &Value, path: &str) -> Fault {
        let expected = &self.expected;
        if let (Some(words), Value::Text(text)) = (expected.words(), value) {
            let suggestion = suggest(text, words.iter().map(String::as_str));
            let remedy = match (suggestion, expected) {
                (Some(word), _) => format!("did you mean {word:?}"),
                (None, ExpectedType::AnyOf(_)) => format!("did you mean [{text:?}]"),
                (None, _) => format!("write {expected}"),
            };
            return Fault::new(format!("unknown value {text:?}"), remedy);
        }
        let remedy = match (&self.example, expected) {
            (Some(example), _) => format!("write for example {example}"),
            (None, ExpectedType::Text) => "write it in quotes".to_owned(),
            (None, ExpectedType::List(_)) if matches!(value, Value::Table(_)) => {
                format!("write its header in double brackets, as [[{path}]]")
            }
            (None, _) => format!("write {expected}"),
        };
        Fault::new(
            format!("expected {expected}, found {}", value.kind()),
            remedy,
        )
    }

    fn missing(&self, key: &str) -> Fault {
        let remedy = match (&self.example, &self.expected) {
            (Some(example), _) => format!("add for example {key} = {example}"),
            (None, ExpectedType::List(item)) => {
                format!("add for example [[{key}]] {}", item.required_keys())
            }
            (None, _) => "add it".to_owned(),
        };
        Fault::new("missing", remedy)
    }

    /// The required keys of a table with their examples.
    fn required_keys(&self) -> String {
        let ExpectedType::Table(keys) = &self.expected else {
            return String::new();
        };
        let keys: Vec<String> = keys
            .iter()
            .filter(|(_, key)| key.required)
            .map(|(name, key)| format!("{name} = {}", key.example.as_deref().unwrap_or("…")))
            .collect();
        format!("with {}", keys.join(" and "))
    }
}

fn check_table(
    keys: &BTreeMap<String, KeySchema>,
    table: &mut Table,
    path: &str,
    diagnostics: &mut Diagnostics,
) {
    table.retain(|name, node| {
        let key_path = child_path(path, name);
        if let Some(key) = keys.get(name) {
            return key.check(node, &key_path, diagnostics);
        }
        let unknown = UnknownKey::new(name, keys);
        let fault = Fault::new("unknown key", unknown.remedy);
        diagnostics.reject_at(node.location.clone(), &key_path, fault);
        if let Some(suggestion) = unknown.suggestion {
            // A misspelt required key would be reported as missing as well.
            diagnostics.mark_reported(child_path(path, suggestion));
        }
        false
    });
    let missing = keys
        .iter()
        .filter(|(name, key)| key.required && !table.contains_key(*name));
    for (name, key) in missing {
        let replaced = key.alternatives.iter().any(|other| {
            table.contains_key(other) || diagnostics.is_reported(&child_path(path, other))
        });
        if !replaced {
            report_missing(name, key, &child_path(path, name), diagnostics);
        }
    }
}

/// Reports a missing table by its required keys.
fn report_missing(name: &str, key: &KeySchema, path: &str, diagnostics: &mut Diagnostics) {
    let ExpectedType::Table(keys) = &key.expected else {
        return diagnostics.reject(path, key.missing(name));
    };
    if diagnostics.is_reported(path) {
        return;
    }
    for (name, key) in keys.iter().filter(|(_, key)| key.required) {
        report_missing(name, key, &child_path(path, name), diagnostics);
    }
}
