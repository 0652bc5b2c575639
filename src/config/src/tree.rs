//! What was written, and where: a tree of values that each know their line or variable.
//!
//! It stands between the texts (file, environment) and the raw sections, so that every problem can
//! name its place, whichever step finds it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::Problem;

/// A value and its place. It may hold secrets and can therefore not be printed.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value as TOML has them.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no key takes: numbers with a fraction, integers beyond 64 bits, dates.
    Other(&'static str),
}

pub(super) type Table = BTreeMap<String, Node>;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The configuration file as a whole.
    File(Arc<str>),
    /// A line of it, from 1.
    Line(Arc<str>, usize),
    /// A line and a column of it, from 1.
    Column(Arc<str>, usize, usize),
    /// An environment variable.
    Variable(Arc<str>),
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
}

/// Reads TOML text; `file` is the name for places.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let reader = Reader {
        file: Arc::clone(file),
        text,
    };
    match DeTable::parse(text) {
        Ok(root) => Ok(Node {
            place: Place::Line(Arc::clone(file), 1),
            value: Value::Table(reader.table(root.into_inner())),
        }),
        Err(error) => Err(reader.syntax(&error)),
    }
}

/// Reads one TOML value out of an environment variable.
pub(super) fn read_value(place: &Place, text: &str) -> Result<Node, String> {
    let value = DeValue::parse(text).map_err(|error| error.message().replace('\n', ", "))?;
    let reader = Reader {
        file: Arc::default(),
        text: "",
    };
    let mut node = reader.node(place.clone(), value.into_inner());
    node.put_at(place);
    Ok(node)
}

// === impl Node ===

impl Node {
    /// An empty table.
    pub(super) fn table(place: Place) -> Self {
        Self {
            place,
            value: Value::Table(Table::new()),
        }
    }

    /// Writes the place of every value into `places`, by its dotted path.
    pub(super) fn places(&self, path: &str, places: &mut BTreeMap<String, Place>) {
        places.insert(path.to_owned(), self.place.clone());
        match &self.value {
            Value::Table(table) => table
                .iter()
                .for_each(|(key, node)| node.places(&join(path, key), places)),
            Value::List(list) => (1..)
                .zip(list)
                .for_each(|(position, node)| node.places(&nth(path, position), places)),
            _ => {}
        }
    }

    /// The same without places, for serde.
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
            Value::Other(_) => serde_json::Value::Null,
        }
    }

    fn put_at(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|node| node.put_at(place)),
            Value::Table(table) => table.values_mut().for_each(|node| node.put_at(place)),
            _ => {}
        }
    }
}

// === impl Value ===

impl Value {
    /// What kind of value it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Column(file, line, column) => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn table(&self, table: DeTable<'_>) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let place = self.line(key.span().start);
                let node = self.node(place, value.into_inner());
                (key.into_inner().into_owned(), node)
            })
            .collect()
    }

    fn node(&self, place: Place, value: DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number out of bounds"), Value::Integer),
            DeValue::Boolean(yes) => Value::Boolean(yes),
            DeValue::Array(list) => Value::List(list.into_iter().map(|e| self.entry(e)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date or time"),
        };
        Node { place, value }
    }

    fn entry(&self, value: Spanned<DeValue<'_>>) -> Node {
        let place = self.line(value.span().start);
        self.node(place, value.into_inner())
    }

    fn line(&self, offset: usize) -> Place {
        Place::Line(Arc::clone(&self.file), self.position(offset).0)
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        (line, column)
    }

    /// Only the parser's message: its `Display` quotes the line, which may hold a secret.
    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let (line, column) = self.position(offset);
        let place = Place::Column(Arc::clone(&self.file), line, column);
        let what = error.message().replace('\n', ", ");
        Problem::new(
            place,
            "",
            what,
            "see https://toml.io for how TOML is written",
        )
    }
}

/// The path of a key in a table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of a list's entry, from 1, as the audit line counts rules.
pub(super) fn nth(path: &str, position: usize) -> String {
    format!("{path}[{position}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::new();
        read(&"f".into(), text)
            .unwrap_or_else(|problem| panic!("{problem}"))
            .places("", &mut places);
        places
    }

    #[test]
    fn every_value_knows_its_line() {
        let places = places("a = 1\n\n[b]\nc = [\n 1,\n 2]\n[[d]]\n[[d]]\ne.f = true\n[g.h]\n");
        let line = |path: &str| places[path].to_string();
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
    fn syntax_errors_have_line_and_column_and_not_the_text() {
        let Err(problem) = read(&"f".into(), "a = 1\nkey = \"hush\" x\n") else {
            panic!("this is not TOML")
        };
        let text = problem.to_string();
        assert!(text.starts_with("f:2:14: "), "{text}");
        assert!(!text.contains("hush") && !text.contains('\n'), "{text}");
    }
}
