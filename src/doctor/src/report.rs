//! Outcomes and findings of an examination.
//!
//! `Display` writes the report for people, [`DoctorReport::json`] for scripts, and
//! [`DoctorReport::junit`] for CI.

use serde::Serialize;

use super::{Check, CheckSelection, Finding, FindingKind, Severity};

mod junit;
mod text;

/// The outcome of each check, and all findings: first by severity, then causes before consequences.
#[derive(Clone, Debug, Default)]
pub struct DoctorReport {
    outcomes: Vec<(Check, CheckOutcome)>,
    findings: Vec<Finding>,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum CheckOutcome {
    /// Examined, with no finding beyond advice.
    Passed,
    /// Examined, with a finding.
    Failed,
    /// Not examined.
    Skipped {
        /// Why not.
        because: String,
    },
}

#[derive(Serialize)]
struct JsonCheck<'r> {
    id: &'static str,
    title: &'static str,
    #[serde(flatten)]
    outcome: &'r CheckOutcome,
}

#[derive(Serialize)]
struct JsonReport<'r> {
    healthy: bool,
    findings: &'r [Finding],
    checks: Vec<JsonCheck<'r>>,
}

// === impl DoctorReport ===

impl DoctorReport {
    pub(super) fn pass(&mut self, check: Check) {
        self.set(check, CheckOutcome::Passed);
    }

    pub(super) fn fail(&mut self, finding: Finding) {
        self.set(finding.kind.check(), CheckOutcome::Failed);
        self.findings.push(finding);
    }

    /// Adds advice; the check passes.
    pub(super) fn advise(&mut self, finding: Finding) {
        self.set(finding.kind.check(), CheckOutcome::Passed);
        self.findings.push(finding);
    }

    /// Passes or fails a check. Returns whether it passed.
    pub(super) fn record(&mut self, check: Check, result: Result<(), Finding>) -> bool {
        match result {
            Ok(()) => {
                self.pass(check);
                true
            }
            Err(finding) => {
                self.fail(finding);
                false
            }
        }
    }

    pub(super) fn skip(&mut self, checks: impl IntoIterator<Item = Check>, because: &str) {
        for check in checks {
            let because = because.to_owned();
            self.set(check, CheckOutcome::Skipped { because });
        }
    }

    /// Skips the dependents of a failed check.
    pub(super) fn skip_dependents(&mut self, failed: Check) {
        self.skip(failed.dependents(), &format!("{failed} failed"));
    }

    /// A failed check stays failed; otherwise the last outcome applies.
    fn set(&mut self, check: Check, outcome: CheckOutcome) {
        match self.outcomes.iter_mut().find(|(known, _)| *known == check) {
            Some((_, CheckOutcome::Failed)) => {}
            Some((_, known)) => *known = outcome,
            None => self.outcomes.push((check, outcome)),
        }
    }

    pub(super) fn has_passed(&self, check: Check) -> bool {
        self.outcomes.contains(&(check, CheckOutcome::Passed))
    }

    /// Names the shard that the findings are about.
    pub(super) fn for_shard(mut self, shard: &str) -> Self {
        for finding in &mut self.findings {
            finding.meaning = format!("shard {shard}: {}", finding.meaning).into();
        }
        self
    }

    /// Names the one of several providers that the findings are about.
    pub(super) fn for_provider(mut self, provider: &str) -> Self {
        for finding in &mut self.findings {
            finding.meaning = format!("provider {provider}: {}", finding.meaning).into();
        }
        self
    }

    pub(super) fn append(&mut self, other: Self) {
        self.findings.extend(other.findings);
        for (check, outcome) in other.outcomes {
            self.set(check, outcome);
        }
    }

    /// Removes a finding that another one explains; its check counts as skipped.
    pub(super) fn remove_consequence(&mut self, kind: FindingKind, causes: &[FindingKind]) {
        let cause = self
            .findings
            .iter()
            .find(|finding| causes.contains(&finding.kind));
        let Some(because) = cause.map(|cause| format!("explained by {}", cause.kind)) else {
            return;
        };
        if self.findings.iter().any(|finding| finding.kind == kind) {
            self.findings.retain(|finding| finding.kind != kind);
            self.outcomes.retain(|(check, _)| *check != kind.check());
            self.skip([kind.check()], &because);
        }
    }

    /// Removes the findings of a kind; the outcome of their check is kept.
    pub(super) fn remove_findings(&mut self, kind: FindingKind) {
        self.findings.retain(|finding| finding.kind != kind);
    }

    /// Omits checks that were not selected, unless they failed.
    pub(super) fn limited_to(mut self, selection: &CheckSelection) -> Self {
        self.outcomes
            .retain(|(check, outcome)| selection.has(*check) || *outcome == CheckOutcome::Failed);
        self
    }

    pub(super) fn sorted(mut self) -> Self {
        self.findings
            .sort_by_key(|finding| (finding.severity, finding.kind.check()));
        self.outcomes.sort_by_key(|(check, _)| *check);
        self
    }

    /// Whether there is no finding other than advice.
    pub fn is_healthy(&self) -> bool {
        self.faults() == 0
    }

    /// The number of findings without advice.
    fn faults(&self) -> usize {
        let is_fault = |finding: &&Finding| finding.severity != Severity::Advice;
        self.findings.iter().filter(is_fault).count()
    }

    /// All findings, advice among them.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The outcome of each check, in the order of [`Check`].
    pub fn outcomes(&self) -> &[(Check, CheckOutcome)] {
        &self.outcomes
    }

    fn findings_of(&self, check: Check) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.kind.check() == check)
    }

    /// The report as JSON: `healthy`, `findings`, `checks`.
    pub fn json(&self) -> String {
        let checks = self.outcomes.iter().map(|(check, outcome)| JsonCheck {
            id: check.id(),
            title: check.title(),
            outcome,
        });
        let report = JsonReport {
            healthy: self.is_healthy(),
            findings: &self.findings,
            checks: checks.collect(),
        };
        // Infallible: strings and booleans always serialize.
        serde_json::to_string_pretty(&report).expect("strings always serialize")
    }
}

#[cfg(test)]
mod tests;
