//! `GATEWAY__SECTION__KEY`: environment variables that set keys of the configuration.
//!
//! The only module that reads the process's environment.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
    sync::Arc,
};

use super::{
    problem::{Fault, Report},
    shape::{Shape, unknown},
    tree::{self, Node, Place, Table, Value},
};

/// The variables of an environment that are for the gateway.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// One variable on its way into the tree.
struct Setting<'s> {
    place: Place,
    path: String,
    text: &'s str,
}

// === impl Environment ===

impl Environment {
    /// The process's own environment.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// An environment of these variables.
    pub fn of<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            name.starts_with("GATEWAY_").then(|| (name, value.into()))
        });
        Self(ours.collect())
    }

    /// The configuration file that `GATEWAY_CONFIG` names.
    pub fn config_file(&self) -> Option<PathBuf> {
        let path = self.0.get("GATEWAY_CONFIG")?;
        (!path.is_empty()).then(|| PathBuf::from(path))
    }

    /// Sets the keys that variables name, over what the file says.
    pub(super) fn overlay(&self, root: &mut Node, shape: &Shape, report: &mut Report) {
        for (name, value) in &self.0 {
            let Some(path) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let path = path.to_lowercase().replace(SEPARATOR, ".");
            let place = Place::Variable(Arc::from(name.as_str()));
            if let Err(fault) = Self::set(root, shape, place.clone(), &path, value) {
                report.reject_at(place, &path, fault);
            }
        }
    }

    fn set(
        root: &mut Node,
        shape: &Shape,
        place: Place,
        path: &str,
        value: &OsStr,
    ) -> Result<(), Fault> {
        let text = value
            .to_str()
            .ok_or_else(|| Fault::new("not UTF-8", "write the value as UTF-8"))?;
        let setting = Setting {
            place,
            path: path.to_owned(),
            text,
        };
        let (table, key, shape) = setting.find(root, shape)?;
        let node = setting.parse(shape)?;
        // Either form of a secret replaces the other that the file has; two variables are for the
        // reader of the secret to refuse.
        let sibling = sibling(key);
        table.retain(|key, node| *key != sibling || matches!(node.place, Place::Variable(_)));
        table.insert(key.to_owned(), node);
        Ok(())
    }
}

/// Names only: the values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

// === impl Setting ===

impl Setting<'_> {
    /// The table that the key goes into, made on the way if need be, and the key's shape.
    fn find<'p, 'n, 'h>(
        &'p self,
        root: &'n mut Node,
        shape: &'h Shape,
    ) -> Result<(&'n mut Table, &'p str, &'h Shape), Fault> {
        let (mut node, mut shape) = (root, shape);
        let mut rest = self.path.as_str();
        loop {
            let Shape::Table(fields) = shape else {
                return Err(beneath(shape));
            };
            let (key, deeper) = rest
                .split_once('.')
                .map_or((rest, None), |(key, deeper)| (key, Some(deeper)));
            let field = fields.get(key).ok_or_else(|| {
                let (remedy, meant) = unknown(key, fields);
                let around = self.path.strip_suffix(rest).unwrap_or_default();
                let remedy = meant.map_or(remedy, |meant| did_you_mean(around, meant));
                Fault::new("unknown key", remedy)
            })?;
            if !matches!(node.value, Value::Table(_)) {
                // The file has something else here; that is reported unless it is replaced.
                *node = Node::table(self.place.clone());
            }
            let Value::Table(table) = &mut node.value else {
                unreachable!("it was made a table")
            };
            let Some(deeper) = deeper else {
                return Ok((table, key, &field.shape));
            };
            node = table
                .entry(key.to_owned())
                .or_insert_with(|| Node::table(self.place.clone()));
            shape = &field.shape;
            rest = deeper;
        }
    }

    /// Reads the text as what the key has to be.
    fn parse(&self, shape: &Shape) -> Result<Node, Fault> {
        let value = match shape {
            Shape::Integer => Value::Integer(
                self.text
                    .trim()
                    .parse()
                    .map_err(|_| Fault::new("not a whole number", "write digits only"))?,
            ),
            Shape::Boolean => Value::Boolean(
                self.text
                    .trim()
                    .parse()
                    .map_err(|_| Fault::new("neither true nor false", "write true or false"))?,
            ),
            Shape::List(item) if self.is_toml() || !matches!(item.shape, Shape::Text) => {
                return self.parse_toml();
            }
            Shape::List(_) => self.parse_commas(),
            Shape::Either(_) if self.is_toml() => return self.parse_toml(),
            Shape::Text | Shape::Word(_) | Shape::Either(_) => Value::Text(self.text.to_owned()),
            Shape::Table(_) => {
                let remedy = "add two underscores and the name of a key";
                return Err(Fault::new("a section, not a key", remedy));
            }
        };
        Ok(self.node(value))
    }

    fn is_toml(&self) -> bool {
        self.text.trim_start().starts_with('[')
    }

    fn parse_toml(&self) -> Result<Node, Fault> {
        tree::read_value(&self.place, self.text).map_err(|message| {
            let remedy =
                "write a TOML array on one line, as [{ match = \"*\", enter = \"member\" }]";
            Fault::new(format!("not a TOML array: {message}"), remedy)
        })
    }

    fn parse_commas(&self) -> Value {
        let entries = self.text.split(',').map(str::trim);
        Value::List(
            entries
                .filter(|entry| !entry.is_empty())
                .map(|entry| self.node(Value::Text(entry.to_owned())))
                .collect(),
        )
    }

    fn node(&self, value: Value) -> Node {
        Node {
            place: self.place.clone(),
            value,
        }
    }
}

fn did_you_mean(around: &str, meant: &str) -> String {
    format!("did you mean {}", variable(&format!("{around}{meant}")))
}

/// The variable that sets the key at this path.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

/// What to say of a name that goes on below something that has no keys.
fn beneath(shape: &Shape) -> Fault {
    if matches!(shape, Shape::List(_)) {
        let remedy = "set the whole list as a TOML array in one variable";
        Fault::new("one entry of a list cannot be set", remedy)
    } else {
        Fault::new(
            "unknown key",
            "remove what follows the last two underscores",
        )
    }
}

/// The other way to give the same secret.
fn sibling(key: &str) -> String {
    key.strip_suffix("_file")
        .map_or_else(|| format!("{key}_file"), ToOwned::to_owned)
}

const PREFIX: &str = "GATEWAY__";
const SEPARATOR: &str = "__";
