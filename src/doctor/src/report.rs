//! What came of it all, and how it is written: for people, for scripts, for CI.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::{Check, Finding, Selection, Severity};

/// What was examined, and what was found wrong, the most causal first.
#[derive(Clone, Debug, Default)]
pub struct Report {
    outcomes: Vec<(Check, Outcome)>,
    findings: Vec<Finding>,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// All is well.
    Passed,
    /// It found something.
    Failed,
    /// It could not be looked at.
    Skipped {
        /// Why.
        because: String,
    },
}

#[derive(Serialize)]
struct Entry<'r> {
    id: String,
    title: &'static str,
    #[serde(flatten)]
    outcome: &'r Outcome,
}

#[derive(Serialize)]
struct Document<'r> {
    healthy: bool,
    findings: &'r [Finding],
    checks: Vec<Entry<'r>>,
}

// === impl Report ===

impl Report {
    pub(super) fn pass(&mut self, check: Check) {
        self.note(check, Outcome::Passed);
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.note(finding.check, Outcome::Failed);
        self.findings.push(finding);
    }

    /// Notes what could be better where nothing is wrong.
    pub(super) fn advise(&mut self, finding: Finding) {
        self.note(finding.check, Outcome::Passed);
        self.findings.push(finding);
    }

    /// Whether a check was looked at and nothing is wrong.
    pub(super) fn passed(&self, check: Check) -> bool {
        self.outcomes.contains(&(check, Outcome::Passed))
    }

    /// A check that passed, or what it found.
    pub(super) fn settle(&mut self, check: Check, result: Result<(), Finding>) -> bool {
        match result {
            Ok(()) => {
                self.pass(check);
                true
            }
            Err(finding) => {
                self.find(finding);
                false
            }
        }
    }

    pub(super) fn skip(&mut self, checks: &[Check], because: &str) {
        for check in checks {
            let because = because.to_owned();
            self.note(*check, Outcome::Skipped { because });
        }
    }

    fn note(&mut self, check: Check, outcome: Outcome) {
        match self.outcomes.iter_mut().find(|(own, _)| *own == check) {
            // What was found stays found.
            Some((_, Outcome::Failed)) => {}
            Some((_, own)) => *own = outcome,
            None => self.outcomes.push((check, outcome)),
        }
    }

    /// The same, about a shard.
    pub(super) fn about(mut self, shard: &str) -> Self {
        for finding in &mut self.findings {
            finding.meaning = format!("shard {shard}: {}", finding.meaning).into();
        }
        self
    }

    pub(super) fn append(&mut self, other: Self) {
        self.findings.extend(other.findings);
        for (check, outcome) in other.outcomes {
            self.note(check, outcome);
        }
    }

    /// Notes what is wrong with clocks, one list for each that was looked at. What Prosody makes of
    /// a token then follows from its clock.
    pub(super) fn clocks(&mut self, judged: impl Iterator<Item = Vec<Finding>>) {
        let mut any = false;
        for findings in judged {
            any = true;
            for finding in findings {
                if finding.id == "C3.prosody" {
                    self.findings.retain(|own| own.id != "A1.clock");
                }
                self.find(finding);
            }
        }
        if any {
            self.pass(Check::C3);
        } else {
            self.skip(&[Check::C3], "nobody told the time");
        }
    }

    /// Takes a finding back that follows from another one.
    pub(super) fn explained(&mut self, id: &str, by: &[&str]) {
        let cause = self
            .findings
            .iter()
            .find(|own| by.contains(&own.id.as_str()));
        let Some(because) = cause.map(|cause| format!("{} says why", cause.id)) else {
            return;
        };
        let Some(at) = self.findings.iter().position(|own| own.id == id) else {
            return;
        };
        let check = self.findings.remove(at).check;
        self.outcomes.retain(|(own, _)| *own != check);
        self.skip(&[check], &because);
    }

    /// Leaves out what nobody asked for, unless it is wrong.
    pub(super) fn limited_to(mut self, selection: &Selection) -> Self {
        self.outcomes
            .retain(|(check, own)| selection.has(*check) || *own == Outcome::Failed);
        self
    }

    /// Puts causes before what follows from them, and the dangerous before all.
    pub(super) fn sorted(mut self) -> Self {
        self.findings
            .sort_by_key(|finding| (finding.severity, finding.check));
        self.outcomes.sort_by_key(|(check, _)| *check);
        self
    }

    /// Nothing was found wrong; there may be advice.
    pub fn is_healthy(&self) -> bool {
        self.wrong() == 0
    }

    fn wrong(&self) -> usize {
        let wrong = |own: &&Finding| own.severity != Severity::Advice;
        self.findings.iter().filter(wrong).count()
    }

    /// What was found wrong.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What became of each check.
    pub fn outcomes(&self) -> &[(Check, Outcome)] {
        &self.outcomes
    }

    /// As JSON.
    ///
    /// # Panics
    ///
    /// Never: texts always serialize.
    pub fn json(&self) -> String {
        let checks = self.outcomes.iter().map(|(check, outcome)| Entry {
            id: check.to_string(),
            title: check.title(),
            outcome,
        });
        let document = Document {
            healthy: self.is_healthy(),
            findings: &self.findings,
            checks: checks.collect(),
        };
        serde_json::to_string_pretty(&document).expect("texts always serialize")
    }

    /// As `JUnit`'s XML, a test case for each check.
    pub fn junit(&self) -> String {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.outcomes.iter().filter(|(_, own)| wanted(own)).count()
        };
        let failures = count(|own| *own == Outcome::Failed);
        let skipped = count(|own| matches!(own, Outcome::Skipped { .. }));
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"doctor\" tests=\"{}\" \
             failures=\"{failures}\" skipped=\"{skipped}\">\n",
            self.outcomes.len()
        );
        for (check, outcome) in &self.outcomes {
            let title = escaped(check.title());
            let inside = match outcome {
                Outcome::Passed => self.advice(*check),
                Outcome::Skipped { because } => {
                    format!("<skipped message=\"{}\"/>", escaped(because))
                }
                Outcome::Failed => self.failures(*check),
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  <testcase classname=\"doctor\" name=\"{check} {title}\">{inside}</testcase>"
            );
        }
        text.push_str("</testsuite>\n");
        text
    }

    fn advice(&self, check: Check) -> String {
        let given = self.findings.iter().filter(|own| own.check == check);
        let lines: Vec<_> = given
            .map(|own| format!("{}: {}; {}", own.id, own.meaning, own.remedy))
            .collect();
        if lines.is_empty() {
            return String::new();
        }
        let text = escaped(&lines.join("\n"));
        format!("<system-out>{text}</system-out>")
    }

    fn failures(&self, check: Check) -> String {
        let mut text = String::new();
        for found in self.findings.iter().filter(|own| own.check == check) {
            let details = format!(
                "sent: {}\ngot: {}\nchange: {}",
                found.sent, found.got, found.remedy
            );
            let _ = write!(
                text,
                "<failure type=\"{}\" message=\"{}\">{}</failure>",
                escaped(&found.id),
                escaped(&found.meaning),
                escaped(&details)
            );
        }
        text
    }
}

/// For people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{} {}", finding.severity.as_str(), finding.id)?;
            for (label, text) in [
                ("sent", &finding.sent),
                ("got", &finding.got),
                ("means", &finding.meaning),
                ("change", &finding.remedy),
            ] {
                writeln!(f, "  {label:<7} {text}")?;
            }
            writeln!(f)?;
        }
        let passed = self
            .outcomes
            .iter()
            .filter(|(_, own)| *own == Outcome::Passed);
        write!(f, "{} checks passed", passed.count())?;
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for (check, outcome) in &self.outcomes {
            let Outcome::Skipped { because } = outcome else {
                continue;
            };
            match reasons.iter_mut().find(|(own, _)| own == because) {
                Some((_, checks)) => checks.push(check.to_string()),
                None => reasons.push((because, vec![check.to_string()])),
            }
        }
        for (because, checks) in reasons {
            write!(f, "\nnot examined: {} ({because})", checks.join(", "))?;
        }
        match self.wrong() {
            0 => writeln!(f, "\nnothing is wrong"),
            1 => writeln!(f, "\none thing is wrong"),
            more => writeln!(f, "\n{more} things are wrong; begin with the first"),
        }
    }
}

/// For attributes and text of XML; what XML cannot carry at all becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
