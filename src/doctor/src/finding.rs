//! A fault that a check found, with its remedy.

use serde::Serialize;

use super::FindingKind;

/// A fault, in the terms of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check and what it found; serialized as its id, `A1.secret`.
    #[serde(rename = "id")]
    pub kind: FindingKind,
    /// The severity.
    pub severity: Severity,
    /// The request of the doctor.
    pub sent: Box<str>,
    /// The response.
    pub got: Box<str>,
    /// The consequence for the deployment.
    pub meaning: Box<str>,
    /// The setting to change.
    pub remedy: Box<str>,
}

/// Severities, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A security hole: access without permission.
    Danger,
    /// Meetings or sign-in do not work.
    Error,
    /// A function works, but not for long or not for everyone.
    Warning,
    /// A possible improvement; a deployment with advice alone is healthy.
    Advice,
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(kind: FindingKind, severity: Severity) -> Self {
        Self {
            kind,
            severity,
            sent: Box::default(),
            got: Box::default(),
            meaning: Box::default(),
            remedy: Box::default(),
        }
    }

    pub(super) fn danger(kind: FindingKind) -> Self {
        Self::new(kind, Severity::Danger)
    }

    pub(super) fn error(kind: FindingKind) -> Self {
        Self::new(kind, Severity::Error)
    }

    pub(super) fn warning(kind: FindingKind) -> Self {
        Self::new(kind, Severity::Warning)
    }

    pub(super) fn advice(kind: FindingKind) -> Self {
        Self::new(kind, Severity::Advice)
    }

    /// Sets [`Finding::sent`] and [`Finding::got`].
    #[must_use]
    pub(super) fn with_exchange(mut self, sent: impl Into<String>, got: impl Into<String>) -> Self {
        self.sent = printable(&sent.into());
        self.got = printable(&got.into());
        self
    }

    /// Sets [`Finding::meaning`] and [`Finding::remedy`].
    #[must_use]
    pub(super) fn with_remedy(
        mut self,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        self.meaning = printable(&meaning.into());
        self.remedy = printable(&remedy.into());
        self
    }

    /// The stable id, as `A1.secret`.
    pub fn id(&self) -> String {
        self.kind.to_string()
    }
}

// === impl Severity ===

impl Severity {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// Replaces control characters, which terminals obey: servers and writers to the store choose parts
/// of the text.
fn printable(text: &str) -> Box<str> {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests;
