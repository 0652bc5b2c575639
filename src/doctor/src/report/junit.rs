//! `JUnit` XML, as CI systems read it: a test case for each check.

use std::fmt::Write as _;

use model::xml::Element;

use super::{CheckOutcome, DoctorReport};
use crate::{Check, Finding};

// === impl DoctorReport ===

impl DoctorReport {
    /// The report as `JUnit` XML. Advice becomes `<system-out>` of a test case that passed.
    pub fn junit(&self) -> String {
        let count = |matches: fn(&CheckOutcome) -> bool| {
            self.outcomes
                .iter()
                .filter(|(_, outcome)| matches(outcome))
                .count()
        };
        let failures = count(|outcome| *outcome == CheckOutcome::Failed);
        let skipped = count(|outcome| matches!(outcome, CheckOutcome::Skipped { .. }));
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"doctor\" tests=\"{}\" \
             failures=\"{failures}\" skipped=\"{skipped}\">\n",
            self.outcomes.len()
        );
        for (check, outcome) in &self.outcomes {
            // Infallible: a `String` accepts all that is written.
            let _ = writeln!(text, "  {}", self.test_case(*check, outcome));
        }
        text.push_str("</testsuite>\n");
        text
    }

    fn test_case(&self, check: Check, outcome: &CheckOutcome) -> Element {
        let case = Element::new("testcase", "")
            .with("classname", "doctor")
            .with("name", &format!("{check} {}", check.title()));
        match outcome {
            CheckOutcome::Passed => case.with_children(self.advice(check)),
            CheckOutcome::Skipped { because } => {
                case.with_child(Element::new("skipped", "").with("message", because))
            }
            CheckOutcome::Failed => case.with_children(self.findings_of(check).map(failure)),
        }
    }

    fn advice(&self, check: Check) -> Option<Element> {
        let lines: Vec<_> = self
            .findings_of(check)
            .map(|own| format!("{}: {}; {}", own.kind, own.meaning, own.remedy))
            .collect();
        let text = lines.join("\n");
        (!text.is_empty()).then(|| Element::new("system-out", "").with_text(&text))
    }
}

fn failure(finding: &Finding) -> Element {
    let Finding {
        sent, got, remedy, ..
    } = finding;
    Element::new("failure", "")
        .with("type", &finding.id())
        .with("message", &finding.meaning)
        .with_text(&format!("sent: {sent}\ngot: {got}\nchange: {remedy}"))
}
