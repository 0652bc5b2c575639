//! `[[room]]`: the rules.

mod features;

use schemars::JsonSchema;
use serde::Deserialize;

use self::features::RawFeatures;
use crate::{
    problem::{Fault, Section},
    values::{DurationText, seconds},
};
use model::{
    clock::Timestamp,
    policy::{
        Condition, ConditionError, EntryRule, Glob, Policy, Rule, StartRule, TenantScope,
        TimeWindow,
    },
};

/// One rule: which rooms it is for, who may enter them, who is host, who may open them. Patterns
/// know `*` and `?`. The first rule that fits a room decides.
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
    /// Who may enter. A word: `"member"` is anybody with an account here or at an integration;
    /// `"link"` is these, and whoever holds a link; `"guest"` is these, and anybody who says a
    /// name; `"open"` is everybody, unasked; `"closed"` is nobody. Or a list of conditions of which
    /// one has to be met: `member`, `guest`, `open`, `link`, `integration`, `integration:ID`,
    /// `owner`, `group:NAME`, `email:ADDRESS`, `email-domain:DOMAIN`, `subject:ID`,
    /// `claim:PATH=VALUE`.
    #[schemars(example = &"member")]
    enter: Option<Conditions>,
    /// Who is host, and so moderator: one condition or a list. `owner` is who made the meeting,
    /// `link` is who holds a host link, `integration` is whom an integration calls a moderator.
    /// Unless written, these three.
    #[schemars(example = &"owner")]
    host: Option<Conditions>,
    /// Conditions of which one makes somebody who may enter a moderator besides the hosts.
    #[schemars(example = ["group:staff"])]
    moderators: Vec<String>,
    /// Who may open the room, besides moderators; the others wait for them. A word: `"host"` is
    /// nobody else, `"member"` is anybody with an account here or at an integration, `"anyone"` is
    /// whoever comes first. Or a list of conditions. Unless written, `"anyone"` where rooms are
    /// open, else `"member"`.
    #[schemars(example = &"host")]
    start: Option<Conditions>,
    /// Who may use which of Jitsi's features: `"everyone"`, `"moderators"` or `"nobody"`. Unless any
    /// is named, Jitsi decides; once one is named, those not named are forbidden.
    features: RawFeatures,
    /// How long one visit may last.
    #[schemars(example = &"4h")]
    lifetime: Option<DurationText>,
    /// From when the room may be entered, in UTC.
    #[schemars(example = &"2027-01-11T08:00:00Z")]
    opens: Option<String>,
    /// Until when the room may be entered, in UTC.
    #[schemars(example = &"2027-01-11T18:00:00Z")]
    closes: Option<String>,
    /// How many people may be in the room at once, as far as they come through the gateway;
    /// moderators always find a place.
    #[schemars(range(min = 1))]
    max_people: Option<u32>,
    /// Prosody opens the room with a lobby, where people knock; needs `[reservation]`.
    lobby: bool,
}

/// One word, or a list of conditions.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Conditions {
    One(String),
    Many(Vec<String>),
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

/// Where nobody can have an account, rooms that only such people can enter or open stay empty.
pub(super) fn needs_nobody(policy: &Policy, root: &mut Section<'_>) {
    let anybody = |conditions: &[Condition]| {
        conditions
            .iter()
            .any(|one| matches!(one, Condition::Guest | Condition::Open))
    };
    for (position, rule) in (1..).zip(policy.rules()) {
        let EntryRule::Where(entering) = &rule.enter else {
            continue;
        };
        let opened = match &rule.start {
            StartRule::Anyone => true,
            StartRule::Vouched | StartRule::Hosts => false,
            StartRule::Where(conditions) => anybody(conditions),
        };
        let mut entry = root.entry("room", position);
        if !anybody(entering) {
            let what = "nobody could enter: there is no [oidc] and no [[integration]]";
            let remedy = "add [oidc], or write enter = \"guest\" or \"open\"";
            entry.reject("enter", what, remedy);
        } else if !opened {
            let what = "nobody could open the room: there is no [oidc] and no [[integration]]";
            let remedy = "add [oidc], or write start = \"anyone\"";
            entry.reject("start", what, remedy);
        }
    }
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
        let enter = self.enter.and_then(|enter| enter.entering(section));
        let hosts = match self.host {
            None => Some(vec![
                Condition::Owner,
                Condition::Link,
                Condition::Integration(None),
            ]),
            Some(host) => host.list("host", section),
        };
        let moderators = conditions(&self.moderators, "moderators", section);
        let start = match (self.start, &enter) {
            (Some(start), _) => start.starting(section),
            (None, Some(EntryRule::Where(all))) if all.contains(&Condition::Open) => {
                Some(StartRule::Anyone)
            }
            (None, _) => Some(StartRule::Vouched),
        };
        let lifetime = match self.lifetime {
            None => Some(None),
            Some(text) => text
                .within(seconds(60)..=seconds(7 * 86_400), section, "lifetime")
                .map(Some),
        };
        let window = window(self.opens, self.closes, section);
        let max_people = self.max_people.map(|most| {
            let fault = Fault::new("nobody would fit in", "write enter = \"closed\" instead");
            section.keep("max_people", (most > 0).then_some(most).ok_or(fault))
        });
        Some(Rule {
            room: room?,
            tenant: tenant?,
            enter: enter?,
            hosts: hosts?,
            moderators: moderators?,
            start: start?,
            features: self.features.into(),
            lifetime: lifetime?,
            window: window?,
            max_people: match max_people {
                Some(most) => Some(most?),
                None => None,
            },
            lobby: self.lobby,
        })
    }
}

// === impl Conditions ===

impl Conditions {
    fn entering(self, section: &mut Section<'_>) -> Option<EntryRule> {
        let words: &[Condition] = match &self {
            Self::One(word) => match word.as_str() {
                "closed" => return Some(EntryRule::Closed),
                "member" => &[Condition::Member, Condition::Integration(None)],
                "link" => &[
                    Condition::Member,
                    Condition::Integration(None),
                    Condition::Link,
                ],
                "guest" => &[
                    Condition::Member,
                    Condition::Integration(None),
                    Condition::Link,
                    Condition::Guest,
                ],
                "open" => &[
                    Condition::Member,
                    Condition::Integration(None),
                    Condition::Link,
                    Condition::Open,
                ],
                text if text.contains(':') => {
                    let condition = section.keep("enter", condition(text));
                    return condition.map(|one| EntryRule::Where(vec![one]));
                }
                _ => {
                    let what = format!("unknown word {word:?}");
                    let remedy = "write member, link, guest, open or closed, or a list of \
                                  conditions as [\"group:staff\"]";
                    section.reject("enter", what, remedy);
                    return None;
                }
            },
            Self::Many(texts) if texts.is_empty() => {
                if !section.is_settled("enter") {
                    let remedy = "write \"closed\" if that is meant, or a condition";
                    section.reject("enter", "an empty list lets nobody in", remedy);
                }
                return None;
            }
            Self::Many(texts) => return conditions(texts, "enter", section).map(EntryRule::Where),
        };
        Some(EntryRule::Where(words.to_vec()))
    }

    fn starting(self, section: &mut Section<'_>) -> Option<StartRule> {
        match &self {
            Self::One(word) => match word.as_str() {
                "host" => Some(StartRule::Hosts),
                "member" => Some(StartRule::Vouched),
                "anyone" => Some(StartRule::Anyone),
                _ => {
                    let what = format!("unknown word {word:?}");
                    let remedy = "write host, member or anyone, or a list of conditions as \
                                  [\"group:staff\"]";
                    section.reject("start", what, remedy);
                    None
                }
            },
            Self::Many(_) => self.list("start", section).map(StartRule::Where),
        }
    }

    fn list(self, key: &str, section: &mut Section<'_>) -> Option<Vec<Condition>> {
        match self {
            Self::One(text) => section.keep(key, condition(&text)).map(|one| vec![one]),
            Self::Many(texts) => conditions(&texts, key, section),
        }
    }
}

fn window(
    opens: Option<String>,
    closes: Option<String>,
    section: &mut Section<'_>,
) -> Option<TimeWindow> {
    let mut time = |key: &str, text: Option<String>| match text {
        None => Some(None),
        Some(text) => section.keep(key, timestamp(&text)).map(Some),
    };
    let (opens, closes) = (time("opens", opens), time("closes", closes));
    let window = TimeWindow {
        opens: opens?,
        closes: closes?,
    };
    if window
        .opens
        .zip(window.closes)
        .is_some_and(|(opens, closes)| closes <= opens)
    {
        section.reject("closes", "not after opens", "write a later time");
        return None;
    }
    Some(window)
}

fn timestamp(text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse(text).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is no time in UTC"),
            "write it as 2027-01-11T08:00:00Z",
        )
    })
}

/// Reads every condition, so that every mistake is found.
fn conditions(texts: &[String], key: &str, section: &mut Section<'_>) -> Option<Vec<Condition>> {
    let read: Vec<Option<Condition>> = (1..)
        .zip(texts)
        .map(|(position, text)| {
            let condition = condition(text);
            section.entry(key, position).keep("", condition)
        })
        .collect();
    read.into_iter().collect()
}

fn condition(text: &str) -> Result<Condition, Fault> {
    text.parse().map_err(|error: ConditionError| {
        let error = error.to_string();
        let (what, remedy) = error
            .split_once("; ")
            .unwrap_or((&error, "write it as group:NAME or email-domain:DOMAIN"));
        Fault::new(what, remedy)
    })
}

pub(super) fn pattern(text: &str) -> Result<(), Fault> {
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
