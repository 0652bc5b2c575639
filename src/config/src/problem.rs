//! Configuration problems: location, key, fault and remedy, one line each.

use std::fmt::{self, Write as _};

use super::location::Location;

/// Every problem of a configuration, in the order of the file; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblems(Vec<ConfigProblem>);

/// One problem, printed as `config/gateway.toml:12: oidc.issuer: <fault>; <remedy>`.
///
/// It never contains the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    location: Location,
    key: String,
    what: String,
    remedy: String,
}

/// A fault of one value and its remedy, before the key is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) remedy: String,
}

// === impl ConfigProblems ===

impl ConfigProblems {
    /// Sorts the problems; `None` if there are none.
    pub(super) fn from_unsorted(mut problems: Vec<ConfigProblem>) -> Option<Self> {
        problems.sort();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Iterates in the order of the file; yields at least one problem.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigProblem> {
        self.0.iter()
    }
}

impl From<ConfigProblem> for ConfigProblems {
    fn from(problem: ConfigProblem) -> Self {
        Self(vec![problem])
    }
}

/// One problem per line.
impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

// === impl ConfigProblem ===

impl ConfigProblem {
    /// A problem with `key`, or with the file as a whole if `key` is empty.
    pub(super) fn new(location: Location, key: impl Into<String>, fault: Fault) -> Self {
        Self {
            location,
            key: key.into(),
            what: fault.what,
            remedy: fault.remedy,
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.location.to_string();
        if !self.key.is_empty() {
            line.push_str(": ");
            line.push_str(&self.key);
        }
        line.push_str(": ");
        line.push_str(&self.what);
        line.push_str("; ");
        line.push_str(&self.remedy);
        // Keys and values are arbitrary text. Escaping control characters keeps a problem on one
        // line and escape sequences away from the terminal.
        line.chars().try_for_each(|c| {
            if c.is_control() {
                write!(f, "{}", c.escape_default())
            } else {
                f.write_char(c)
            }
        })
    }
}

// === impl Fault ===

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// Splits an error text of the form `<fault>; <remedy>`, as errors of other crates have it.
    pub(super) fn from_error(error: &impl fmt::Display, default_remedy: &str) -> Self {
        let text = error.to_string();
        let (what, remedy) = text.split_once("; ").unwrap_or((&text, default_remedy));
        Self::new(what, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_so_that_a_problem_is_one_line() {
        let location = Location::Variable("GATEWAY__A".into());
        let fault = Fault::new("\"x\ny\u{1b}[31m\" is odd", "write b");
        let problem = ConfigProblem::new(location, "a", fault);
        assert_eq!(
            problem.to_string(),
            "environment GATEWAY__A: a: \"x\\ny\\u{1b}[31m\" is odd; write b"
        );
    }
}
