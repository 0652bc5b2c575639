//! What was found wrong.

use serde::Serialize;

use super::Check;

/// Something that is wrong: what was tried, what came of it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check and, behind a dot, what about it, as `A1.secret`. Stable, for scripts.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was sent.
    pub sent: Box<str>,
    /// What came back.
    pub got: Box<str>,
    /// What that means.
    pub meaning: Box<str>,
    /// What to change.
    pub remedy: Box<str>,
    #[serde(skip)]
    pub(super) check: Check,
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody gets in who must not.
    Danger,
    /// Meetings or signing in do not work.
    Error,
    /// It works, but not for long or not for everybody.
    Warning,
    /// Nothing is wrong; this is what could be better. It makes no deployment unhealthy.
    Advice,
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(check: Check, what: &str, severity: Severity) -> Self {
        Self {
            id: format!("{check}.{what}"),
            severity,
            sent: Box::default(),
            got: Box::default(),
            meaning: Box::default(),
            remedy: Box::default(),
            check,
        }
    }

    pub(super) fn danger(check: Check, what: &str) -> Self {
        Self::new(check, what, Severity::Danger)
    }

    pub(super) fn error(check: Check, what: &str) -> Self {
        Self::new(check, what, Severity::Error)
    }

    pub(super) fn warning(check: Check, what: &str) -> Self {
        Self::new(check, what, Severity::Warning)
    }

    pub(super) fn advice(check: Check, what: &str) -> Self {
        Self::new(check, what, Severity::Advice)
    }

    /// What was sent, and what came back.
    #[must_use]
    pub(super) fn saw(mut self, sent: impl Into<String>, got: impl Into<String>) -> Self {
        self.sent = harmless(&sent.into());
        self.got = harmless(&got.into());
        self
    }

    /// What that means, and what to change.
    #[must_use]
    pub(super) fn so(mut self, meaning: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.meaning = harmless(&meaning.into());
        self.remedy = harmless(&remedy.into());
        self
    }
}

// === impl Severity ===

impl Severity {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// Without what terminals obey: part of the text is what servers say, and what anybody may have written
/// into the store.
fn harmless(text: &str) -> Box<str> {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}
