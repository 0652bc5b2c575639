//! The report for people.

use std::fmt;

use super::{CheckOutcome, DoctorReport};

/// Findings, a count of the checks that passed, and the skipped checks by reason.
impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{} {}", finding.severity.as_str(), finding.kind)?;
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
        let outcomes = self.outcomes.iter();
        let passed = outcomes.filter(|(_, outcome)| *outcome == CheckOutcome::Passed);
        write!(f, "{} checks passed", passed.count())?;
        for (because, checks) in self.skipped() {
            write!(f, "\nnot examined: {} ({because})", checks.join(", "))?;
        }
        match self.faults() {
            0 => writeln!(f, "\nnothing is wrong"),
            1 => writeln!(f, "\none thing is wrong"),
            more => writeln!(f, "\n{more} things are wrong; begin with the first"),
        }
    }
}

impl DoctorReport {
    /// The ids of skipped checks, by reason.
    fn skipped(&self) -> Vec<(&str, Vec<&'static str>)> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (check, outcome) in &self.outcomes {
            let CheckOutcome::Skipped { because } = outcome else {
                continue;
            };
            match reasons.iter_mut().find(|(reason, _)| reason == because) {
                Some((_, checks)) => checks.push(check.id()),
                None => reasons.push((because, vec![check.id()])),
            }
        }
        reasons
    }
}
