//! The reference of all options as Markdown, generated from the schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::{schema::schema, tree::join};

/// The reference of all options, as Markdown.
pub fn reference() -> String {
    let mut page = Page(String::from("# Configuration reference\n"));
    page.table("", &schema(), Kind::Root);
    page.0
}

struct Page(String);

#[derive(Clone, Copy)]
enum Kind {
    Root,
    Table,
    List,
}

// === impl Page ===

impl Page {
    /// One section: its own keys in a table, then the sections in it.
    fn table(&mut self, path: &str, schema: &Value, kind: Kind) {
        match kind {
            Kind::Root => {}
            Kind::Table => self.line(&format!("\n## `[{path}]`\n")),
            Kind::List => self.line(&format!("\n## `[[{path}]]`\n")),
        }
        if matches!(kind, Kind::Root) {
            self.line("");
        }
        self.line(text(schema, "description"));
        let properties = schema.get("properties").and_then(Value::as_object);
        let (sections, keys): (Vec<_>, Vec<_>) = properties
            .into_iter()
            .flatten()
            .partition(|(_, schema)| section(schema).is_some());
        self.line("\n| Key | Type | Default | Meaning |\n|---|---|---|---|");
        for (key, option) in keys {
            self.row(key, option, is_required(schema, key));
        }
        for (key, schema) in sections {
            if let Some((schema, kind)) = section(schema) {
                self.table(&join(path, key), schema, kind);
            }
        }
    }

    fn row(&mut self, key: &str, option: &Value, required: bool) {
        let is_empty = |value: &&Value| value.as_array().is_some_and(Vec::is_empty);
        let default = option.get("default").filter(|value| !is_empty(value));
        let mut meaning = text(option, "description").replace('|', "\\|");
        let example = option.get("examples").and_then(|list| list.get(0));
        if let Some(example) = example.filter(|_| default.is_none()) {
            write!(meaning, " For example `{example}`.")
                .expect("writing to a string does not fail");
        }
        let default = match default {
            Some(default) => format!("`{default}`"),
            None if required => "**required**".to_owned(),
            None => String::new(),
        };
        let kind = kind(option);
        self.line(&format!("| `{key}` | {kind} | {default} | {meaning} |"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// The schema of the section that a key holds, if it holds one.
fn section(schema: &Value) -> Option<(&Value, Kind)> {
    match text(schema, "type") {
        "object" => Some((schema, Kind::Table)),
        "array" => schema
            .get("items")
            .filter(|items| text(items, "type") == "object")
            .map(|items| (items, Kind::List)),
        _ => None,
    }
}

fn kind(schema: &Value) -> String {
    let choices = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(choices) = choices("anyOf") {
        let kinds: Vec<String> = choices.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    if let Some(words) = choices("enum") {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let Some(words) = choices("oneOf") {
        let word = |choice: &Value| choice.get("const").map(|word| format!("`{word}`"));
        let words: Vec<String> = words.iter().filter_map(word).collect();
        return words.join(", ");
    }
    match text(schema, "type") {
        "array" => format!(
            "list of {}",
            schema.get("items").map_or_else(String::new, kind)
        ),
        "string" if schema.get("pattern").is_some() => "duration".to_owned(),
        "string" => "text".to_owned(),
        other => other.to_owned(),
    }
}

fn is_required(schema: &Value, key: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|known| known == key))
}

fn text<'s>(schema: &'s Value, key: &str) -> &'s str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}
