//! `[[room]]`: the rules.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::problem::{Fault, Section},
    policy::{Enter, Glob, Matcher, MatcherError, Policy, Rule, TenantScope},
};

/// One rule: which rooms it is for, who may enter them, and who moderates. Patterns know `*` and
/// `?`. The first rule that fits a room decides.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["match", "enter"]))]
pub(super) struct RawRoom {
    /// A pattern for the names of rooms, compared without case.
    #[serde(rename = "match")]
    #[schemars(example = "*")]
    pattern: Option<String>,
    /// A pattern for tenants, compared without case; empty for rooms without a tenant. Unless
    /// written, the rule is for rooms of any tenant and of none.
    #[schemars(example = &"acme")]
    tenant: Option<String>,
    /// Who may enter: `"member"` is anybody who signed in, `"closed"` is nobody, and a list has
    /// conditions of which one has to be met: `member`, `group:NAME`, `email:ADDRESS`,
    /// `email-domain:DOMAIN`, `subject:ID`, `claim:PATH=VALUE`.
    #[schemars(example = &"member")]
    enter: Option<RawEnter>,
    /// Conditions of which one makes somebody who may enter a moderator.
    #[schemars(example = ["group:staff"])]
    moderators: Vec<String>,
}

/// One word or a list of conditions.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum RawEnter {
    Word(Word),
    Where(Vec<String>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Word {
    Member,
    Closed,
}

/// Reads all rules.
pub(super) fn resolve(rooms: Vec<RawRoom>, root: &mut Section<'_>) -> Option<Policy> {
    if rooms.is_empty() && !root.is_settled("room") {
        let remedy = "add for example [[room]] with match = \"*\" and enter = \"member\"";
        root.reject("room", "no rule, so nobody could enter any room", remedy);
    }
    let rules: Vec<Option<Rule>> = (1..)
        .zip(rooms)
        .map(|(position, room)| room.resolve(&mut root.entry("room", position)))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        let earlier = rules.iter().take(index).position(|other| {
            other
                .as_ref()
                .zip(rule.as_ref())
                .is_some_and(|(other, rule)| covers(other, rule))
        });
        if let Some(other) = earlier {
            let what = format!("never reached: rule {} fits all of its rooms", other + 1);
            let remedy = format!("move it above rule {}, or remove it", other + 1);
            root.entry("room", index + 1).reject("", what, remedy);
        }
    }
    rules.into_iter().collect::<Option<_>>().map(Policy::new)
}

// === impl RawRoom ===

impl RawRoom {
    fn resolve(self, section: &mut Section<'_>) -> Option<Rule> {
        let room = self.pattern.and_then(|text| {
            let pattern = pattern(&text).map(|()| Glob::folded(&text));
            section.keep("match", pattern)
        });
        let tenant = match self.tenant.as_deref() {
            None => Some(TenantScope::Any),
            Some("") => Some(TenantScope::None),
            Some(text) => {
                let tenant = pattern(text).map(|()| TenantScope::matching(text));
                section.keep("tenant", tenant)
            }
        };
        let enter = self.enter.and_then(|enter| enter.resolve(section));
        let moderators = conditions(&self.moderators, "moderators", section);
        Some(Rule {
            room: room?,
            tenant: tenant?,
            enter: enter?,
            moderators: moderators?,
        })
    }
}

// === impl RawEnter ===

impl RawEnter {
    fn resolve(self, section: &mut Section<'_>) -> Option<Enter> {
        match self {
            Self::Word(Word::Member) => Some(Enter::Where(vec![Matcher::Member])),
            Self::Word(Word::Closed) => Some(Enter::Closed),
            Self::Where(texts) if texts.is_empty() => {
                if !section.is_settled("enter") {
                    let remedy = "write \"closed\" if that is meant, or a condition";
                    section.reject("enter", "an empty list lets nobody in", remedy);
                }
                None
            }
            Self::Where(texts) => conditions(&texts, "enter", section).map(Enter::Where),
        }
    }
}

/// Reads every condition, so that every mistake is found.
fn conditions(texts: &[String], key: &str, section: &mut Section<'_>) -> Option<Vec<Matcher>> {
    let read: Vec<Option<Matcher>> = (1..)
        .zip(texts)
        .map(|(position, text)| {
            let condition = condition(text);
            section.entry(key, position).keep("", condition)
        })
        .collect();
    read.into_iter().collect()
}

fn condition(text: &str) -> Result<Matcher, Fault> {
    if text == "owner" {
        return Err(Fault::new(
            "\"owner\" is not known yet: rooms have no owner",
            "name people, as group:staff",
        ));
    }
    text.parse().map_err(|error: MatcherError| {
        let error = error.to_string();
        let (what, remedy) = error
            .split_once("; ")
            .unwrap_or((&error, "write it as group:NAME or email-domain:DOMAIN"));
        Fault::new(what, remedy)
    })
}

fn pattern(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        Err(Fault::new("fits no room", "write \"*\" for all"))
    } else if text.contains('/') {
        let remedy = "write the room in match and the tenant in tenant";
        Err(Fault::new("names have no slash", remedy))
    } else {
        Ok(())
    }
}

/// Whether `earlier` fits every room that `later` could fit, as far as that is easily seen.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let rooms = is_all(&earlier.room) || earlier.room == later.room;
    let tenants = match (&earlier.tenant, &later.tenant) {
        (TenantScope::Any, _) => true,
        (TenantScope::Matching(earlier), TenantScope::Matching(later)) => {
            is_all(earlier) || earlier == later
        }
        (earlier, later) => earlier == later,
    };
    rooms && tenants
}

fn is_all(pattern: &Glob) -> bool {
    let text = pattern.to_string();
    !text.is_empty() && text.chars().all(|c| c == '*')
}
