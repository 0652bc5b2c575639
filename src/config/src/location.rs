//! The locations of configuration values, and the dotted paths of keys.

use std::{fmt, sync::Arc};

/// The origin of a value, as problems name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// The configuration file as a whole.
    File(Arc<str>),
    /// A line of the file, from 1.
    Line(Arc<str>, usize),
    /// A line and a column of the file, from 1.
    Column(Arc<str>, usize, usize),
    /// An environment variable, by name.
    Variable(Arc<str>),
}

// === impl Location ===

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Column(file, line, column) => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}

/// The path of `key` in the table at `path`; the root has the empty path.
pub(super) fn child_path(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of a list entry: `room[1]` is the first, as in the audit log.
pub(super) fn element_path(path: &str, position: usize) -> String {
    format!("{path}[{position}]")
}
