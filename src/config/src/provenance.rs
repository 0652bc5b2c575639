//! A tree of configuration values, each with its location in the file or the environment.
//!
//! The tree is the step between the texts (file, environment) and the raw sections, so that a
//! problem found in any step can name its location.

use std::{collections::BTreeMap, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::location::{Location, child_path, element_path};

/// A value and its location. It may hold secrets; therefore it has no `Debug`.
pub(super) struct Node {
    pub(super) location: Location,
    pub(super) value: Value,
}

/// A TOML value.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// A kind of value that no key accepts: floats, integers beyond 64 bits, dates.
    Unsupported(&'static str),
}

pub(super) type Table = BTreeMap<String, Node>;

/// A TOML syntax error; `message` does not quote the file, which may hold a secret.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) location: Location,
    pub(super) message: String,
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
}

/// Parses TOML text; `file` is the name for locations.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Node, SyntaxError> {
    let reader = Reader {
        file: Arc::clone(file),
        text,
    };
    match DeTable::parse(text) {
        Ok(root) => Ok(Node {
            location: Location::Line(Arc::clone(file), 1),
            value: Value::Table(reader.table(root.into_inner())),
        }),
        Err(error) => Err(reader.syntax_error(&error)),
    }
}

/// Parses one TOML value of an environment variable; the error is the parser's message.
pub(super) fn parse_value(location: &Location, text: &str) -> Result<Node, String> {
    let value = DeValue::parse(text).map_err(|error| one_line(error.message()))?;
    let reader = Reader {
        file: Arc::default(),
        text: "",
    };
    let mut node = reader.node(location.clone(), value.into_inner());
    node.relocate(location);
    Ok(node)
}

// === impl Node ===

impl Node {
    pub(super) fn empty_table(location: Location) -> Self {
        Self {
            location,
            value: Value::Table(Table::new()),
        }
    }

    /// Adds the location of every value below, and of this one at `path`.
    pub(super) fn collect_locations(&self, path: &str, locations: &mut BTreeMap<String, Location>) {
        locations.insert(path.to_owned(), self.location.clone());
        match &self.value {
            Value::Table(table) => table
                .iter()
                .for_each(|(key, node)| node.collect_locations(&child_path(path, key), locations)),
            Value::List(list) => (1..).zip(list).for_each(|(position, node)| {
                node.collect_locations(&element_path(path, position), locations);
            }),
            _ => {}
        }
    }

    /// Drops the locations, for serde.
    pub(super) fn into_json(self) -> serde_json::Value {
        match self.value {
            Value::Text(text) => text.into(),
            Value::Integer(number) => number.into(),
            Value::Boolean(yes) => yes.into(),
            Value::List(list) => list.into_iter().map(Self::into_json).collect(),
            Value::Table(table) => table
                .into_iter()
                .map(|(key, node)| (key, node.into_json()))
                .collect(),
            Value::Unsupported(_) => serde_json::Value::Null,
        }
    }

    fn relocate(&mut self, location: &Location) {
        self.location = location.clone();
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|node| node.relocate(location)),
            Value::Table(table) => table.values_mut().for_each(|node| node.relocate(location)),
            _ => {}
        }
    }
}

// === impl Value ===

impl Value {
    /// The kind of the value, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Unsupported(kind) => kind,
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn table(&self, table: DeTable<'_>) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let location = self.line(key.span().start);
                let node = self.node(location, value.into_inner());
                (key.into_inner().into_owned(), node)
            })
            .collect()
    }

    fn node(&self, location: Location, value: DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(
                    Value::Unsupported("an integer beyond 64 bits"),
                    Value::Integer,
                ),
            DeValue::Boolean(yes) => Value::Boolean(yes),
            DeValue::Array(list) => {
                Value::List(list.into_iter().map(|e| self.element(e)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Unsupported("a float"),
            DeValue::Datetime(_) => Value::Unsupported("a date or time"),
        };
        Node { location, value }
    }

    fn element(&self, value: Spanned<DeValue<'_>>) -> Node {
        let location = self.line(value.span().start);
        self.node(location, value.into_inner())
    }

    fn line(&self, offset: usize) -> Location {
        Location::Line(Arc::clone(&self.file), self.position(offset).0)
    }

    /// Line and column of a byte offset, from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        (line, column)
    }

    /// Copies only the parser's message: its `Display` quotes the line, which may contain a secret.
    fn syntax_error(&self, error: &toml::de::Error) -> SyntaxError {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let (line, column) = self.position(offset);
        SyntaxError {
            location: Location::Column(Arc::clone(&self.file), line, column),
            message: one_line(error.message()),
        }
    }
}

fn one_line(message: &str) -> String {
    message.replace('\n', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let text = "a = 1\n\n[b]\nc = [\n 1,\n 2]\n[[d]]\n[[d]]\ne.f = true\n[g.h]\n";
        let mut locations = BTreeMap::new();
        let root = parse(&"f".into(), text).unwrap_or_else(|error| panic!("{error:?}"));
        root.collect_locations("", &mut locations);
        let line = |path: &str| locations[path].to_string();
        assert_eq!(line("a"), "f:1");
        assert_eq!(line("b"), "f:3");
        assert_eq!(line("b.c"), "f:4");
        assert_eq!(line("b.c[2]"), "f:6");
        assert_eq!(line("d[1]"), "f:7");
        assert_eq!(line("d[2]"), "f:8");
        assert_eq!(line("d[2].e.f"), "f:9");
        assert_eq!(line("g.h"), "f:10");
    }

    #[test]
    fn a_syntax_error_has_line_and_column_and_does_not_quote_the_file() {
        let Err(error) = parse(&"f".into(), "a = 1\nkey = \"hush\" x\n") else {
            panic!("this is not TOML")
        };
        assert_eq!(error.location.to_string(), "f:2:14");
        assert!(!error.message.contains("hush") && !error.message.contains('\n'));
    }
}
