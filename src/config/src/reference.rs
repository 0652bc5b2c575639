//! The reference of all options as Markdown, generated from the schema: `docs/configuration.md`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{environment::variable, schema::schema, tree::join};

/// The reference of all options, as Markdown.
pub fn reference() -> String {
    let mut page = Page(PREAMBLE.to_owned());
    page.table("", &schema(), Kind::Root, true);
    page.0
}

struct Page(String);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Table,
    List,
}

// === impl Page ===

impl Page {
    /// One section: its own keys in a table, then the sections in it. Entries of lists, and what is
    /// in them, have no variables of their own.
    fn table(&mut self, path: &str, schema: &Value, kind: Kind, has_variables: bool) {
        self.heading(path, schema, kind, has_variables);
        let has_variables = has_variables && kind != Kind::List;
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
            let variable = has_variables.then(|| variable(&join(path, key)));
            self.row(key, option, is_required(schema, key), variable);
        }
        for (key, schema) in sections {
            if let Some((schema, kind)) = section(schema) {
                self.table(&join(path, key), schema, kind, has_variables);
            }
        }
    }

    fn heading(&mut self, path: &str, schema: &Value, kind: Kind, has_variables: bool) {
        match kind {
            Kind::Root => return self.line("\n## The top of the file"),
            Kind::Table => self.line(&format!("\n## `[{path}]`\n")),
            Kind::List => self.line(&format!("\n## `[[{path}]]`\n")),
        }
        self.line(text(schema, "description"));
        let top = path.split('.').next().unwrap_or_default();
        let mut notes = if RELOADED.contains(&top) {
            String::from("\nRead again while running.")
        } else {
            String::from("\nRead at the start only.")
        };
        if kind == Kind::List && has_variables {
            write!(notes, " `{}` sets the whole list.", variable(path))
                .expect("writing to a string does not fail");
        }
        self.line(&notes);
    }

    fn row(&mut self, key: &str, option: &Value, required: bool, variable: Option<String>) {
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

/// What a reload replaces: `Rules`, and the shards; the rest is settled once the gateway listens.
pub const RELOADED: &[&str] = &["room", "shard", "token", "integration"];

const PREAMBLE: &str = "\
<!-- Generated: `cargo run -- config reference > docs/configuration.md`; do not edit. -->

# Configuration reference

One TOML file, `config/gateway.toml` unless `--config` or `GATEWAY_CONFIG` names another. An unknown key, a
value that cannot be meant, or a file that cannot be read is an error that names line and key;
`jitsi-auth-gateway check` looks for all of them and touches nothing else.

* **Environment.** The variable in the table sets the key, over what the file says. Lists of texts are
  written with commas, other lists as a TOML array on one line.
* **Secrets** are better kept in the file that `…_file` names, which only the gateway's account (and
  group) may read. Either form replaces the other; both at once are an error.
* **Durations** are written as `90s`, `12h` or `7days`.
* **Paths** of files count from the working directory.
* **Changes** of the file, and of those that it names, are noticed within `reload_every`, and at SIGHUP.
  Sections marked so take effect at once; changes to the others wait for a restart, and the log names them.
  If anything is wrong, all of the old stays.
* Keys that begin with `insecure_` weaken the gateway; `/readyz` names those that are on.
";
