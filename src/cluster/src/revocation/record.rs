//! The JSON form of revocations, in the store and in messages.

use std::{sync::Arc, time::Duration};

use model::clock::{EventTime, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Selector, census::Group};

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(rename = "v")]
    version: u32,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    /// The milliseconds of `at`; earlier releases write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_ms: Option<u16>,
    /// The person whose session or pass it is: the subject in audit lines, empty for a guest; for a
    /// session at the provider, its `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    /// When the session or pass began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    /// The milliseconds of `began`; earlier releases write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_ms: Option<u16>,
}

/// The kind of a revoked id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Session,
    ProviderSession,
    ProviderSubject,
    Link,
    Operator,
    Invalidated,
    SubjectWithoutSession,
    /// All sessions and passes of a person by the subject in audit lines, except later ones. Like the
    /// two below it replaces single revocations.
    Person,
    /// All passes of guests, except later ones.
    Guests,
    /// All sessions and passes of people with an account, except later ones.
    Members,
}

/// How long revocations are kept, by kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    /// The longest lifetime of a session.
    pub(super) session: Duration,
    /// The longest lifetime of a link.
    pub(super) link: Duration,
}

// === impl Record ===

impl Record {
    pub(super) fn new(kind: Kind, id: impl Into<String>, at: EventTime) -> Self {
        Self {
            version: VERSION,
            kind,
            id: id.into(),
            at: at.second(),
            at_ms: Some(at.millis()),
            owner: None,
            began: None,
            began_ms: None,
        }
    }

    /// The same record with the owner and the beginning of what it revokes.
    pub(super) fn owned(self, owner: String, began: EventTime) -> Self {
        Self {
            owner: Some(owner),
            began: Some(began.second()),
            began_ms: Some(began.millis()),
            ..self
        }
    }

    /// The time of the revocation. Without milliseconds it is the end of its second, so that the revocation ends all
    /// sessions of that second.
    pub(crate) fn time(&self) -> EventTime {
        event_time(self.at, self.at_ms)
    }

    /// What began later is not revoked by it.
    pub(crate) fn limit(&self) -> EventTime {
        match self.began {
            Some(began) => event_time(began, self.began_ms),
            None => self.time(),
        }
    }

    pub(super) fn of(selector: Selector, at: EventTime) -> Self {
        match selector {
            Selector::Session(session) => Self::new(Kind::Session, session.id.as_str(), at)
                .owned(session.owner, session.began),
            Selector::ProviderSession { sid, subject } => Self {
                owner: subject,
                ..Self::new(Kind::ProviderSession, sid, at)
            },
            Selector::ProviderSubject(id) => Self::new(Kind::ProviderSubject, id, at),
            Selector::Link(id) => Self::new(Kind::Link, id, at),
            Selector::Operator(id) => Self::new(Kind::Operator, id, at),
            Selector::Person(subject) => Self::new(Kind::Person, subject, at),
            Selector::SubjectWithoutSession(id) => Self::new(Kind::SubjectWithoutSession, id, at),
            Selector::Invalidated(id) => Self::new(Kind::Invalidated, id.as_str(), at),
        }
    }

    /// The coarser revocations that replace it, if they are of its limit or later.
    pub(crate) fn coarser(&self) -> Vec<(Kind, Arc<str>)> {
        Group::coarser_than(self)
    }

    pub(super) fn to_json(&self) -> String {
        json(self)
    }

    /// Parses a record; `None` if it is malformed or of another version.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let record = serde_json::from_str(text).ok()?;
        Some(record).filter(Self::is_known)
    }

    /// Formats a message of several records.
    pub(super) fn list_to_json(records: &[Self]) -> String {
        json(&records)
    }

    /// Parses a message; skips records that are malformed or of another version.
    pub(super) fn list_from_json(text: &str) -> Vec<Self> {
        let records: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        records
            .into_iter()
            .filter_map(|record| serde_json::from_value(record).ok())
            .filter(Self::is_known)
            .collect()
    }

    fn is_known(&self) -> bool {
        self.version == VERSION
    }
}

// === impl Lifetimes ===

impl Lifetimes {
    /// Time until a record expires; `None` if it has expired.
    pub(super) fn remaining(self, record: &Record, now: Timestamp) -> Option<Duration> {
        let remaining = record.at.after(self.of(record.kind)).since(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// The lifetime of records of a kind.
    pub(super) fn of(self, kind: Kind) -> Duration {
        match kind {
            Kind::Session
            | Kind::ProviderSession
            | Kind::ProviderSubject
            | Kind::Operator
            | Kind::Invalidated
            | Kind::SubjectWithoutSession
            | Kind::Person
            | Kind::Guests
            | Kind::Members => self.session,
            Kind::Link => self.link,
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Session,
        Self::ProviderSession,
        Self::ProviderSubject,
        Self::Link,
        Self::Operator,
        Self::Invalidated,
        Self::SubjectWithoutSession,
        Self::Person,
        Self::Guests,
        Self::Members,
    ];

    /// Whether it revokes one thing, whenever that began.
    pub(super) const fn is_timeless(self) -> bool {
        matches!(self, Self::Session | Self::Invalidated | Self::Link)
    }

    /// Whether it can replace revocations of other kinds.
    pub(crate) const fn is_coarse(self) -> bool {
        matches!(
            self,
            Self::Person | Self::ProviderSubject | Self::Guests | Self::Members
        )
    }

    /// The word in log lines.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::ProviderSession => "provider_session",
            Self::ProviderSubject => "provider_subject",
            Self::Link => "link",
            Self::Operator => "operator",
            Self::Invalidated => "invalidated",
            Self::SubjectWithoutSession => "subject_without_session",
            Self::Person => "person",
            Self::Guests => "guests",
            Self::Members => "members",
        }
    }
}

fn event_time(second: Timestamp, millis: Option<u16>) -> EventTime {
    match millis {
        Some(millis) => EventTime::new(second, millis),
        None => EventTime::end_of(second),
    }
}

fn json(value: &impl Serialize) -> String {
    // Infallible: the types have string keys and no fallible `Serialize`.
    serde_json::to_string(value).expect("records serialize to JSON")
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_other_versions_or_kinds_are_skipped() {
        let records = Kind::ALL.map(|kind| Record::new(kind, "naïve \"id\"", EventTime::default()));
        let text = Record::list_to_json(&records);
        assert_eq!(Record::list_from_json(&text), records);
        let [first, rest @ ..] = &records;
        assert_eq!(Record::from_json(&first.to_json()).as_ref(), Some(first));
        for (word, other) in [
            (
                "\"v\":1,\"kind\":\"session\"",
                "\"v\":2,\"kind\":\"session\"",
            ),
            ("\"kind\":\"session\"", "\"kind\":\"device\""),
        ] {
            assert_eq!(Record::list_from_json(&text.replace(word, other)), rest);
            assert_eq!(
                Record::from_json(&first.to_json().replace(word, other)),
                None
            );
        }
        assert!(Record::list_from_json("no list").is_empty());
    }

    #[test]
    fn a_time_without_milliseconds_is_the_end_of_its_second() {
        let five = Timestamp::from_unix(5);
        let at = EventTime::new(five, 250);
        let record = Record::new(Kind::Session, "s", at).owned("ann".to_owned(), at);
        let text = record.to_json();
        assert_eq!(
            text,
            r#"{"v":1,"kind":"session","id":"s","at":5,"at_ms":250,"owner":"ann","began":5,"began_ms":250}"#
        );
        assert_eq!(Record::from_json(&text).as_ref(), Some(&record));
        assert_eq!((record.time(), record.limit()), (at, at));
        let earlier = text.replace(r#","at_ms":250"#, "");
        let earlier = earlier.replace(r#","began_ms":250"#, "");
        let earlier = Record::from_json(&earlier).unwrap();
        let end = EventTime::end_of(five);
        assert_eq!((earlier.time(), earlier.limit()), (end, end));
    }
}
