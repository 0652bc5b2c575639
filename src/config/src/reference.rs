//! The reference of all options as Markdown, generated from the schema: `docs/configuration.md`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{environment::variable_name, location::child_path, schema::schema};

/// Renders the reference of all options as Markdown.
pub fn reference() -> String {
    let mut page = Page(PREAMBLE.to_owned());
    page.table("", &schema(), SectionKind::Root, true);
    page.0
}

struct Page(String);

#[derive(Clone, Copy, PartialEq, Eq)]
enum SectionKind {
    Root,
    Table,
    List,
}

// === impl Page ===

impl Page {
    /// Renders a section: a table of its keys, then the sections in it. Keys within list entries have
    /// no variables.
    fn table(&mut self, path: &str, schema: &Value, kind: SectionKind, has_variables: bool) {
        self.heading(path, schema, kind, has_variables);
        let has_variables = has_variables && kind != SectionKind::List;
        let properties = schema.get("properties").and_then(Value::as_object);
        let (sections, keys): (Vec<_>, Vec<_>) = properties
            .into_iter()
            .flatten()
            .partition(|(_, schema)| section(schema).is_some());
        self.line(if has_variables {
            "\n| Key | Type | Default | Environment | Meaning |\n|---|---|---|---|---|"
        } else {
            "\n| Key | Type | Default | Meaning |\n|---|---|---|---|"
        });
        for (key, option) in keys {
            let variable = has_variables.then(|| variable_name(&child_path(path, key)));
            self.row(key, option, is_required(schema, key), variable);
        }
        for (key, schema) in sections {
            if let Some((schema, kind)) = section(schema) {
                self.table(&child_path(path, key), schema, kind, has_variables);
            }
        }
    }

    fn heading(&mut self, path: &str, schema: &Value, kind: SectionKind, has_variables: bool) {
        match kind {
            SectionKind::Root => return self.line("\n## The top of the file"),
            SectionKind::Table => self.line(&format!("\n## `[{path}]`\n")),
            SectionKind::List => self.line(&format!("\n## `[[{path}]]`\n")),
        }
        self.line(text(schema, "description"));
        let top = path.split('.').next().unwrap_or_default();
        let mut notes = if RELOADABLE_SECTIONS.contains(&top) {
            String::from("\nReloaded while running.")
        } else {
            String::from("\nChanges require a restart.")
        };
        if kind == SectionKind::List && has_variables {
            write!(notes, " `{}` sets the whole list.", variable_name(path))
                // Infallible: writing to a string.
                .expect("a string accepts writes");
        }
        self.line(&notes);
    }

    fn row(&mut self, key: &str, option: &Value, required: bool, variable: Option<String>) {
        let is_empty = |value: &&Value| {
            value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty)
        };
        let default = option.get("default").filter(|value| !is_empty(value));
        let mut meaning = text(option, "description").replace('|', "\\|");
        let example = option.get("examples").and_then(|list| list.get(0));
        if let Some(example) = example.filter(|_| default.is_none()) {
            write!(meaning, " For example `{example}`.")
                // Infallible: writing to a string.
                .expect("a string accepts writes");
        }
        let default = match default {
            Some(default) => format!("`{default}`"),
            None if required => "**required**".to_owned(),
            None => String::new(),
        };
        let kind = kind(option);
        let variable = variable.map_or_else(String::new, |name| format!(" `{name}` |"));
        self.line(&format!(
            "| `{key}` | {kind} | {default} |{variable} {meaning} |"
        ));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// The schema of the section that a key holds, if it holds one.
fn section(schema: &Value) -> Option<(&Value, SectionKind)> {
    // A table or a list of such tables: the reference shows the table.
    let choices = schema.get("anyOf").and_then(Value::as_array);
    if let Some(table) = choices.and_then(|choices| choices.first())
        && table.get("properties").is_some()
    {
        return Some((table, SectionKind::Table));
    }
    match text(schema, "type") {
        "object" if schema.get("properties").is_some() => Some((schema, SectionKind::Table)),
        "array" => schema
            .get("items")
            .filter(|items| text(items, "type") == "object")
            .map(|items| (items, SectionKind::List)),
        _ => None,
    }
}

fn kind(schema: &Value) -> String {
    if text(schema, "format") == "size" {
        return "size".to_owned();
    }
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
        "string" => "string".to_owned(),
        "object" => "table of string".to_owned(),
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

/// The sections that a reload replaces: rules, tokens, integrations and shards.
pub const RELOADABLE_SECTIONS: &[&str] = &["room", "shard", "token", "integration"];

const PREAMBLE: &str = "\
<!-- Generated: `cargo run -- config reference > docs/configuration.md`; do not edit. -->

# Configuration reference

The configuration is one TOML file: `config/gateway.toml`, unless `--config` or `GATEWAY_CONFIG` names
another. Unknown keys, invalid values and unreadable files are errors that name line and key.
`jitsi-auth-gateway check` reports all of them at once and changes nothing.

* **Environment.** The variable in the table sets the key and takes precedence over the file. Lists of
  strings are separated by commas; other lists are TOML arrays on one line.
* **Secrets** should be kept in separate files, named by the key with `_file`, which only the gateway's
  account and group may access. Setting both keys is an error. A variable for either replaces both in the
  file.
* **Durations** are written as `90s`, `12h` or `7days`, **sizes** as `512KiB` or `64MiB`.
* **Paths** are relative to the working directory.
* **Changes** of the file, and of the files that it names, are detected within `reload_every`, and at
  SIGHUP. Sections marked as reloaded take effect at once. Changes of other sections require a restart, and
  the log names them. If anything is invalid, the whole previous configuration stays in use.
* Keys that begin with `insecure_` weaken the gateway's security; `/readyz` names those that are set.
";
