//! The conditions of a rule: `enter`, `host`, `moderators` and `start`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault};
use model::policy::{Enter, Matcher, MatcherError, Start};

/// A word or condition, or a list of conditions.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Conditions {
    One(String),
    Many(Vec<String>),
}

// === impl Conditions ===

impl Conditions {
    pub(super) fn resolve_enter(self, section: &mut Section<'_>) -> Option<Enter> {
        match &self {
            Self::One(text) if text.contains(':') => {
                self.resolve_list("enter", section).map(Enter::Where)
            }
            Self::One(word) => section.keep("enter", parse_enter_word(word)),
            Self::Many(texts) if texts.is_empty() => {
                if !section.is_reported("enter") {
                    let remedy = "write \"closed\" if that is intended, or a condition";
                    section.reject("enter", "an empty list admits no visitor", remedy);
                }
                None
            }
            Self::Many(_) => self.resolve_list("enter", section).map(Enter::Where),
        }
    }

    pub(super) fn resolve_start(self, section: &mut Section<'_>) -> Option<Start> {
        match &self {
            Self::One(text) if text.contains(':') => {
                self.resolve_list("start", section).map(Start::Where)
            }
            Self::One(word) => section.keep("start", parse_start_word(word)),
            Self::Many(_) => self.resolve_list("start", section).map(Start::Where),
        }
    }

    /// Parses one condition or every condition of the list; words have no meaning here.
    pub(super) fn resolve_list(
        &self,
        key: &str,
        section: &mut Section<'_>,
    ) -> Option<Vec<Matcher>> {
        match self {
            Self::One(text) => Some(vec![section.keep(key, parse_condition(text))?]),
            Self::Many(texts) => section.parse_list(key, texts, parse_condition),
        }
    }
}

/// The hosts of a rule without `host`.
pub(super) fn default_hosts() -> Vec<Matcher> {
    vec![Matcher::Owner, Matcher::Link, Matcher::Integration(None)]
}

/// The `start` of a rule without it: rooms that are open to everyone need no one to open them.
pub(super) fn default_start(enter: Option<&Enter>) -> Start {
    match enter {
        Some(Enter::Where(conditions)) if conditions.contains(&Matcher::Open) => Start::Anyone,
        _ => Start::Vouched,
    }
}

/// Each word includes the ones before it.
fn parse_enter_word(word: &str) -> Result<Enter, Fault> {
    let mut conditions = vec![Matcher::Member, Matcher::Integration(None)];
    match word {
        "closed" => return Ok(Enter::Closed),
        "member" => {}
        "link" => conditions.push(Matcher::Link),
        "guest" => conditions.extend([Matcher::Link, Matcher::Guest]),
        "open" => conditions.extend([Matcher::Link, Matcher::Open]),
        _ => {
            let remedy = "write member, link, guest, open or closed, or conditions as \
                          [\"group:staff\"]";
            return Err(Fault::new(format!("unknown word {word:?}"), remedy));
        }
    }
    Ok(Enter::Where(conditions))
}

fn parse_start_word(word: &str) -> Result<Start, Fault> {
    match word {
        "host" => Ok(Start::Hosts),
        "member" => Ok(Start::Vouched),
        "anyone" => Ok(Start::Anyone),
        _ => {
            let remedy = "write host, member or anyone, or conditions as [\"group:staff\"]";
            Err(Fault::new(format!("unknown word {word:?}"), remedy))
        }
    }
}

fn parse_condition(text: &str) -> Result<Matcher, Fault> {
    text.parse().map_err(|error: MatcherError| {
        Fault::from_error(&error, "write it as group:NAME or email-domain:DOMAIN")
    })
}
