//! Collects the problems of a configuration while it is read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    location::{Location, child_path, element_path},
    problem::{ConfigProblem, ConfigProblems, Fault},
};

/// The problems found so far, and the facts about the file that the checks of single sections need.
pub(super) struct Diagnostics {
    /// The location of each key, by dotted path.
    locations: BTreeMap<String, Location>,
    problems: Vec<ConfigProblem>,
    /// Keys whose problems are already reported.
    reported: BTreeSet<String>,
    /// Whether every account of the machine can access the configuration file.
    pub(super) file_is_world_accessible: bool,
    /// Keys of the insecure switches that are on.
    pub(super) insecure_switches: Vec<&'static str>,
    /// What is valid and probably not intended, in one line each.
    pub(super) warnings: Vec<String>,
}

/// The diagnostics of one section; keys are relative to it.
pub(super) struct Section<'d> {
    diagnostics: &'d mut Diagnostics,
    path: String,
}

// === impl Diagnostics ===

impl Diagnostics {
    pub(super) fn new(file_is_world_accessible: bool) -> Self {
        Self {
            locations: BTreeMap::new(),
            problems: Vec::new(),
            reported: BTreeSet::new(),
            file_is_world_accessible,
            insecure_switches: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Sets the location of each key; the root (the empty path) has to be included.
    pub(super) fn set_locations(&mut self, locations: BTreeMap<String, Location>) {
        self.locations = locations;
    }

    /// Adds a problem with the key, unless one is already reported.
    pub(super) fn reject(&mut self, path: &str, fault: Fault) {
        let location = self.location_of(path).clone();
        self.reject_at(location, path, fault);
    }

    /// Adds a problem with a key whose location is known.
    pub(super) fn reject_at(&mut self, location: Location, path: &str, fault: Fault) {
        if self.reported.insert(path.to_owned()) {
            self.problems
                .push(ConfigProblem::new(location, path, fault));
        }
    }

    /// Suppresses later problems with the key.
    pub(super) fn mark_reported(&mut self, path: String) {
        self.reported.insert(path);
    }

    /// Whether a problem with the key, or with a key below it, is reported.
    pub(super) fn is_reported(&self, path: &str) -> bool {
        self.reported.iter().any(|reported| {
            reported
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// The diagnostics of the section at `path`; the root is the empty path.
    pub(super) fn section(&mut self, path: impl Into<String>) -> Section<'_> {
        Section {
            diagnostics: self,
            path: path.into(),
        }
    }

    /// All problems; `None` if there are none.
    pub(super) fn into_problems(self) -> Option<ConfigProblems> {
        ConfigProblems::from_unsorted(self.problems)
    }

    /// The location of the key, or of the closest enclosing table.
    fn location_of(&self, path: &str) -> &Location {
        let mut path = path;
        loop {
            if let Some(location) = self.locations.get(path) {
                return location;
            }
            let parent = path.rfind(['.', '[']).unwrap_or_default();
            path = path.get(..parent).unwrap_or_default();
            if path.is_empty() {
                // Infallible: `Node::collect_locations` begins with the root.
                return self.locations.get("").expect("the root has a location");
            }
        }
    }
}

// === impl Section ===

impl Section<'_> {
    /// The section's table at `key`.
    pub(super) fn table(&mut self, key: &str) -> Section<'_> {
        Section {
            path: child_path(&self.path, key),
            diagnostics: self.diagnostics,
        }
    }

    /// An entry of the section's list at `key`, from 1.
    pub(super) fn entry(&mut self, key: &str, position: usize) -> Section<'_> {
        Section {
            path: element_path(&child_path(&self.path, key), position),
            diagnostics: self.diagnostics,
        }
    }

    /// Where the section begins.
    pub(super) fn location(&self) -> &Location {
        self.diagnostics.location_of(&self.path)
    }

    /// Adds a problem with a key of this section; the empty key is the section itself.
    pub(super) fn reject(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.reject_with(key, Fault::new(what, remedy));
    }

    /// Reports the key as missing, unless a problem with it is already reported.
    pub(super) fn require(&mut self, key: &str, remedy: impl Into<String>) {
        if !self.is_reported(key) {
            self.reject(key, "missing", remedy);
        }
    }

    /// Returns the value, or reports the fault at `key`.
    pub(super) fn keep<T>(&mut self, key: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.reject_with(key, fault)).ok()
    }

    /// Parses the text at `key` if it is set.
    pub(super) fn parse<T>(
        &mut self,
        key: &str,
        text: Option<impl AsRef<str>>,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.keep(key, parse(text?.as_ref()))
    }

    /// Parses every entry of the list at `key`, so that each fault is reported; `None` if there is
    /// one.
    pub(super) fn parse_list<T>(
        &mut self,
        key: &str,
        texts: impl IntoIterator<Item = impl AsRef<str>>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        self.resolve_list(key, texts, |text, entry| {
            entry.keep("", parse(text.as_ref()))
        })
    }

    /// Resolves every entry of the list of tables at `key`, so that each problem is reported;
    /// `None` if there is one.
    pub(super) fn resolve_list<E, T>(
        &mut self,
        key: &str,
        entries: impl IntoIterator<Item = E>,
        mut resolve: impl FnMut(E, &mut Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let resolved: Vec<Option<T>> = (1..)
            .zip(entries)
            .map(|(position, entry)| resolve(entry, &mut self.entry(key, position)))
            .collect();
        resolved.into_iter().collect()
    }

    /// Whether a problem with the key, or with a key below it, is reported.
    pub(super) fn is_reported(&self, key: &str) -> bool {
        self.diagnostics.is_reported(&self.path_of(key))
    }

    /// Whether the key is set in a file that every account of the machine can access; a key that
    /// the environment sets is not.
    pub(super) fn is_in_world_accessible_file(&self, key: &str) -> bool {
        let location = self.diagnostics.location_of(&self.path_of(key));
        self.diagnostics.file_is_world_accessible && !matches!(location, Location::Variable(_))
    }

    /// Records the insecure switch if it is on.
    pub(super) fn note_insecure(&mut self, switch: &'static str, on: bool) {
        if on {
            self.diagnostics.insecure_switches.push(switch);
        }
    }

    fn reject_with(&mut self, key: &str, fault: Fault) {
        let path = self.path_of(key);
        self.diagnostics.reject(&path, fault);
    }

    fn path_of(&self, key: &str) -> String {
        if key.is_empty() {
            self.path.clone()
        } else {
            child_path(&self.path, key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_located_at_its_table_and_reported_once() {
        let mut diagnostics = Diagnostics::new(false);
        let line = |line| Location::Line("f".into(), line);
        diagnostics.set_locations([(String::new(), line(1)), ("a".to_owned(), line(7))].into());
        let mut section = diagnostics.section("a");
        section.reject("b", "first", "do");
        section.reject("b", "second", "do");
        diagnostics.section("c").reject("d", "x", "y");
        let problems = diagnostics.into_problems().unwrap().to_string();
        assert_eq!(problems, "f:1: c.d: x; y\nf:7: a.b: first; do");
    }

    #[test]
    fn every_entry_of_a_list_is_parsed() {
        let mut diagnostics = Diagnostics::new(false);
        diagnostics.set_locations([(String::new(), Location::File("f".into()))].into());
        let digits = |text: &str| {
            text.parse::<u8>()
                .map_err(|_| Fault::new("no digits", "fix"))
        };
        let mut root = diagnostics.section("");
        assert_eq!(root.parse_list("a", ["1", "2"], digits), Some(vec![1, 2]));
        assert_eq!(root.parse_list("b", ["x", "2", "y"], digits), None);
        let problems = diagnostics.into_problems().unwrap().to_string();
        assert_eq!(problems, "f: b[1]: no digits; fix\nf: b[3]: no digits; fix");
    }
}
