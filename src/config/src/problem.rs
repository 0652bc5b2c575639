//! What is wrong with a configuration: every problem with its place and its remedy, on one line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use super::tree::{Place, join, nth};

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
///
/// It reads `config/gateway.toml:12: oidc.issuer: <what is wrong>; <remedy>`, never with the value
/// of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    place: Place,
    key: String,
    what: String,
    remedy: String,
}

/// What is wrong with one value, before it is known whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// Collects problems while a configuration is read.
pub(super) struct Report {
    /// Where each key was written.
    places: BTreeMap<String, Place>,
    problems: Vec<Problem>,
    /// Keys of which enough is said.
    settled: BTreeSet<String>,
    /// Whether every account of the machine can read the configuration file.
    pub(super) file_is_open: bool,
    /// Switches that are on and weaken the gateway.
    pub(super) weakened: Vec<&'static str>,
}

/// The part of a report that is about one section.
pub(super) struct Section<'r> {
    report: &'r mut Report,
    path: String,
}

// === impl Problems ===

impl Problems {
    /// The problems, in the order of the file; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// One problem a line.
impl fmt::Display for Problems {
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

impl std::error::Error for Problems {}

// === impl Problem ===

impl Problem {
    pub(super) fn new(
        place: Place,
        key: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            place,
            key: key.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.place.to_string();
        if !self.key.is_empty() {
            line.push_str(": ");
            line.push_str(&self.key);
        }
        line.push_str(": ");
        line.push_str(&self.what);
        line.push_str("; ");
        line.push_str(&self.remedy);
        // Keys and values may hold anything; one problem stays one line and steers no terminal.
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
}

// === impl Report ===

impl Report {
    pub(super) fn new() -> Self {
        Self {
            places: BTreeMap::new(),
            problems: Vec::new(),
            settled: BTreeSet::new(),
            file_is_open: false,
            weakened: Vec::new(),
        }
    }

    /// Tells the report where the keys were written.
    pub(super) fn locate(&mut self, places: BTreeMap<String, Place>) {
        self.places = places;
    }

    /// Adds a problem with the key, unless there is one already: the first says enough.
    pub(super) fn reject(&mut self, path: &str, fault: Fault) {
        let place = self.place_of(path).clone();
        self.reject_at(place, path, fault);
    }

    /// Adds a problem with a key whose place is known.
    pub(super) fn reject_at(&mut self, place: Place, path: &str, fault: Fault) {
        if self.settled.insert(path.to_owned()) {
            let problem = Problem::new(place, path, fault.what, fault.remedy);
            self.problems.push(problem);
        }
    }

    /// Says no more about this key.
    pub(super) fn settle(&mut self, path: String) {
        self.settled.insert(path);
    }

    /// The part about the section at `path`.
    pub(super) fn section(&mut self, path: impl Into<String>) -> Section<'_> {
        Section {
            report: self,
            path: path.into(),
        }
    }

    /// All problems, if there are any.
    pub(super) fn into_problems(mut self) -> Option<Problems> {
        self.problems.sort();
        (!self.problems.is_empty()).then_some(Problems(self.problems))
    }

    /// The place of the key, or of the nearest table around it.
    fn place_of(&self, path: &str) -> &Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place;
            }
            let parent = path.rfind(['.', '[']).unwrap_or_default();
            path = path.get(..parent).unwrap_or_default();
            if path.is_empty() {
                return self
                    .places
                    .get("")
                    .expect("the root of the file is always located");
            }
        }
    }
}

// === impl Section ===

impl Section<'_> {
    /// The section's table at `key`.
    pub(super) fn table(&mut self, key: &str) -> Section<'_> {
        Section {
            path: join(&self.path, key),
            report: self.report,
        }
    }

    /// An entry of the section's list at `key`, from 1.
    pub(super) fn entry(&mut self, key: &str, position: usize) -> Section<'_> {
        Section {
            path: nth(&join(&self.path, key), position),
            report: self.report,
        }
    }

    /// Adds a problem with a key of this section; the empty key is the section itself.
    pub(super) fn reject(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.fault(key, Fault::new(what, remedy));
    }

    /// Adds a problem with a key of this section.
    pub(super) fn fault(&mut self, key: &str, fault: Fault) {
        let path = self.path_of(key);
        self.report.reject(&path, fault);
    }

    /// Keeps the good result, reports the other.
    pub(super) fn keep<T>(&mut self, key: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.fault(key, fault)).ok()
    }

    /// Whether a problem with the key, or with something in it, has been reported.
    pub(super) fn is_settled(&self, key: &str) -> bool {
        let path = self.path_of(key);
        self.report.settled.iter().any(|settled| {
            settled
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether the key is in a file that every account of the machine can read; one from the
    /// environment is not.
    pub(super) fn is_exposed(&self, key: &str) -> bool {
        let place = self.report.place_of(&self.path_of(key));
        self.report.file_is_open && !matches!(place, Place::Variable(_))
    }

    /// Notes that a switch weakens the gateway.
    pub(super) fn weaken(&mut self, switch: &'static str, on: bool) {
        if on {
            self.report.weakened.push(switch);
        }
    }

    fn path_of(&self, key: &str) -> String {
        if key.is_empty() {
            self.path.clone()
        } else {
            join(&self.path, key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_was_written() {
        let place = Place::Variable("GATEWAY__A".into());
        let problem = Problem::new(place, "a", "\"x\ny\u{1b}[31m\" is odd", "write b");
        assert_eq!(
            problem.to_string(),
            "environment GATEWAY__A: a: \"x\\ny\\u{1b}[31m\" is odd; write b"
        );
    }

    #[test]
    fn a_missing_key_is_at_its_table_and_told_once() {
        let mut report = Report::new();
        let line = |line| Place::Line("f".into(), line);
        report.locate([(String::new(), line(1)), ("a".to_owned(), line(7))].into());
        let mut section = report.section("a");
        section.reject("b", "first", "do");
        section.reject("b", "second", "do");
        report.section("c").reject("d", "x", "y");
        let problems = report.into_problems().unwrap().to_string();
        assert_eq!(problems, "f:1: c.d: x; y\nf:7: a.b: first; do");
    }
}
