//! The conditions of a rule: `enter`, `host`, `moderators` and `start`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault, sections::oidc::NamedProviders};
use model::policy::{Condition, EntryRule, StartRule};

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
    pub(super) fn resolve_enter(
        self,
        providers: NamedProviders<'_>,
        section: &mut Section<'_>,
    ) -> Option<EntryRule> {
        match &self {
            Self::One(text) if text.contains(':') => self
                .resolve_list("enter", providers, section)
                .map(EntryRule::Where),
            Self::One(word) => section.keep("enter", parse_enter_word(word)),
            Self::Many(texts) if texts.is_empty() => {
                if !section.is_reported("enter") {
                    let remedy = "write \"closed\" if that is intended, or a condition";
                    section.reject("enter", "an empty list admits no visitor", remedy);
                }
                None
            }
            Self::Many(_) => self
                .resolve_list("enter", providers, section)
                .map(EntryRule::Where),
        }
    }

    pub(super) fn resolve_start(
        self,
        providers: NamedProviders<'_>,
        section: &mut Section<'_>,
    ) -> Option<StartRule> {
        match &self {
            Self::One(text) if text.contains(':') => self
                .resolve_list("start", providers, section)
                .map(StartRule::Where),
            Self::One(word) => section.keep("start", parse_start_word(word)),
            Self::Many(_) => self
                .resolve_list("start", providers, section)
                .map(StartRule::Where),
        }
    }

    /// Parses one condition or every condition of the list; words have no meaning here.
    pub(super) fn resolve_list(
        &self,
        key: &str,
        providers: NamedProviders<'_>,
        section: &mut Section<'_>,
    ) -> Option<Vec<Condition>> {
        let parse = |text: &str| providers.parse_condition(text);
        match self {
            Self::One(text) => Some(vec![section.keep(key, parse(text))?]),
            Self::Many(texts) => section.parse_list(key, texts, parse),
        }
    }
}

/// The hosts of a rule without `host`.
pub(super) fn default_hosts() -> Vec<Condition> {
    vec![
        Condition::Owner,
        Condition::Link,
        Condition::Integration(None),
    ]
}

/// The `start` of a rule without it: rooms that are open to everyone need no one to open them.
pub(super) fn default_start(enter: Option<&EntryRule>) -> StartRule {
    match enter {
        Some(EntryRule::Where(conditions)) if conditions.contains(&Condition::Open) => {
            StartRule::Anyone
        }
        _ => StartRule::Members,
    }
}

/// Each word includes the ones before it.
fn parse_enter_word(word: &str) -> Result<EntryRule, Fault> {
    let mut conditions = vec![Condition::Member, Condition::Integration(None)];
    match word {
        "closed" => return Ok(EntryRule::Closed),
        "member" => {}
        "link" => conditions.push(Condition::Link),
        "guest" => conditions.extend([Condition::Link, Condition::Guest]),
        "open" => conditions.extend([Condition::Link, Condition::Open]),
        _ => {
            let remedy = "write member, link, guest, open or closed, or conditions as \
                          [\"group:staff\"]";
            return Err(Fault::new(format!("unknown word {word:?}"), remedy));
        }
    }
    Ok(EntryRule::Where(conditions))
}

fn parse_start_word(word: &str) -> Result<StartRule, Fault> {
    match word {
        "host" => Ok(StartRule::Hosts),
        "member" => Ok(StartRule::Members),
        "anyone" => Ok(StartRule::Anyone),
        _ => {
            let remedy = "write host, member or anyone, or conditions as [\"group:staff\"]";
            Err(Fault::new(format!("unknown word {word:?}"), remedy))
        }
    }
}
