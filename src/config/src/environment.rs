//! `GATEWAY__SECTION__KEY`: environment variables that set keys of the configuration.
//!
//! The only module that reads the environment of the process.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use super::{
    diagnostics::Diagnostics,
    location::Location,
    problem::Fault,
    provenance::{self, Node, Table, Value},
    schema_check::{ExpectedType, UnknownKey},
};

/// The environment variables whose names begin with `GATEWAY_`.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// A variable that sets the key at `path`.
struct Override<'v> {
    location: Location,
    path: String,
    text: &'v str,
}

/// The position of a key in the tree, and the type that its value has to have.
struct Slot<'k, 'n, 's> {
    table: &'n mut Table,
    key: &'k str,
    expected: &'s ExpectedType,
}

// === impl Environment ===

impl Environment {
    /// Reads the environment of the process.
    pub fn from_process() -> Self {
        Self::from_variables(env::vars_os())
    }

    /// Keeps the gateway's variables among these; names that are not UTF-8 are ignored.
    pub fn from_variables<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let gateway = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            name.starts_with("GATEWAY_").then(|| (name, value.into()))
        });
        Self(gateway.collect())
    }

    /// The configuration file in `GATEWAY_CONFIG`; `None` if it is unset or empty.
    pub fn config_file(&self) -> Option<PathBuf> {
        let path = self.0.get("GATEWAY_CONFIG")?;
        (!path.is_empty()).then(|| PathBuf::from(path))
    }

    /// Sets the keys that variables name. A variable takes precedence over the file.
    pub(super) fn overlay(
        &self,
        root: &mut Node,
        expected: &ExpectedType,
        diagnostics: &mut Diagnostics,
    ) {
        for (name, value) in &self.0 {
            let Some(path) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let path = path.to_lowercase().replace(SEPARATOR, ".");
            let location = Location::Variable(Arc::from(name.as_str()));
            let applied = Override::new(location.clone(), path.clone(), value)
                .and_then(|variable| variable.apply(root, expected));
            if let Err(fault) = applied {
                diagnostics.reject_at(location, &path, fault);
            }
        }
    }
}

/// Prints names only; the values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

// === impl Override ===

impl<'v> Override<'v> {
    fn new(location: Location, path: String, value: &'v OsStr) -> Result<Self, Fault> {
        let text = value
            .to_str()
            .ok_or_else(|| Fault::new("not UTF-8", "write the value as UTF-8"))?;
        Ok(Self {
            location,
            path,
            text,
        })
    }

    fn apply(&self, root: &mut Node, expected: &ExpectedType) -> Result<(), Fault> {
        let Slot {
            table,
            key,
            expected,
        } = self.locate(root, expected)?;
        let node = self.parse(expected)?;
        // `x` in a variable replaces `x_file` in the file, and vice versa. Two variables stay: the
        // reader of the secret rejects them.
        let sibling = secret_sibling(key);
        table.retain(|key, node| *key != sibling || matches!(node.location, Location::Variable(_)));
        table.insert(key.to_owned(), node);
        Ok(())
    }

    /// Finds the key's table; missing tables are created.
    fn locate<'k, 'n, 's>(
        &'k self,
        root: &'n mut Node,
        expected: &'s ExpectedType,
    ) -> Result<Slot<'k, 'n, 's>, Fault> {
        let (mut node, mut expected) = (root, expected);
        let mut rest = self.path.as_str();
        loop {
            let of_table = expected.for_keys_of(&node.value);
            let keys = match of_table {
                ExpectedType::Table(keys) => keys,
                ExpectedType::OpenTable if !rest.contains('.') => {
                    return Ok(Slot {
                        table: self.table_of(node),
                        key: rest,
                        expected: &ExpectedType::Text,
                    });
                }
                _ => return Err(no_keys_below(of_table)),
            };
            let (name, deeper) = rest
                .split_once('.')
                .map_or((rest, None), |(name, deeper)| (name, Some(deeper)));
            let key = keys.get(name).ok_or_else(|| {
                let unknown = UnknownKey::new(name, keys);
                let parent = self.path.strip_suffix(rest).unwrap_or_default();
                let remedy = unknown.suggestion.map_or(unknown.remedy, |suggestion| {
                    let name = variable_name(&format!("{parent}{suggestion}"));
                    format!("did you mean {name}")
                });
                Fault::new("unknown key", remedy)
            })?;
            let table = self.table_of(node);
            let Some(deeper) = deeper else {
                return Ok(Slot {
                    table,
                    key: name,
                    expected: &key.expected,
                });
            };
            node = table
                .entry(name.to_owned())
                .or_insert_with(|| Node::empty_table(self.location.clone()));
            expected = &key.expected;
            rest = deeper;
        }
    }

    /// The table of a node. If the file has a value of another type here, the variable replaces it.
    fn table_of<'n>(&self, node: &'n mut Node) -> &'n mut Table {
        if !matches!(node.value, Value::Table(_)) {
            *node = Node::empty_table(self.location.clone());
        }
        let Value::Table(table) = &mut node.value else {
            unreachable!("the node was made a table")
        };
        table
    }

    /// Parses the text as the type that the key has to have.
    fn parse(&self, expected: &ExpectedType) -> Result<Node, Fault> {
        let value = match expected {
            ExpectedType::Integer => Value::Integer(
                self.text
                    .trim()
                    .parse()
                    .map_err(|_| Fault::new("not an integer", "write digits only"))?,
            ),
            ExpectedType::Boolean => Value::Boolean(
                self.text
                    .trim()
                    .parse()
                    .map_err(|_| Fault::new("neither true nor false", "write true or false"))?,
            ),
            ExpectedType::List(item)
                if self.is_toml_array() || !matches!(item.expected, ExpectedType::Text) =>
            {
                return self.parse_toml_array();
            }
            ExpectedType::List(_) => self.parse_comma_separated(),
            ExpectedType::AnyOf(_) if self.is_toml_array() => return self.parse_toml_array(),
            ExpectedType::AnyOf(types)
                if types
                    .iter()
                    .any(|one| matches!(one, ExpectedType::Table(_))) =>
            {
                return Err(is_section());
            }
            ExpectedType::Text | ExpectedType::Word(_) | ExpectedType::AnyOf(_) => {
                Value::Text(self.text.to_owned())
            }
            ExpectedType::Table(_) | ExpectedType::OpenTable => return Err(is_section()),
        };
        Ok(self.node(value))
    }

    fn is_toml_array(&self) -> bool {
        self.text.trim_start().starts_with('[')
    }

    fn parse_toml_array(&self) -> Result<Node, Fault> {
        provenance::parse_value(&self.location, self.text).map_err(|message| {
            let remedy =
                "write a TOML array on one line, as [{ match = \"*\", enter = \"member\" }]";
            Fault::new(format!("not a TOML array: {message}"), remedy)
        })
    }

    fn parse_comma_separated(&self) -> Value {
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
            location: self.location.clone(),
            value,
        }
    }
}

/// The name of the variable that sets the key at `path`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

/// The fault of a variable that names a whole section.
fn is_section() -> Fault {
    let remedy = "add two underscores and the name of a key";
    Fault::new("a section, not a key", remedy)
}

/// The fault of a variable whose name continues below a key that is not a table.
fn no_keys_below(expected: &ExpectedType) -> Fault {
    if matches!(expected, ExpectedType::List(_)) {
        let remedy = "set the whole list as a TOML array in one variable";
        Fault::new("one entry of a list cannot be set", remedy)
    } else {
        let remedy = "remove the part after the last two underscores";
        Fault::new("unknown key", remedy)
    }
}

/// The other key of the same secret: `secret_file` for `secret`, and vice versa.
fn secret_sibling(key: &str) -> String {
    key.strip_suffix("_file")
        .map_or_else(|| format!("{key}_file"), ToOwned::to_owned)
}

const PREFIX: &str = "GATEWAY__";
const SEPARATOR: &str = "__";
