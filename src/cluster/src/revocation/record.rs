//! What replicas write of revocations for each other, in JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Selector;
use model::clock::Timestamp;

/// What was revoked when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(rename = "v")]
    version: u32,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) at: Timestamp,
}

/// What an id is the id of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Session,
    ProviderSession,
    ProviderSubject,
    Link,
    Operator,
}

/// How long revocations matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    /// No session lives longer.
    pub(super) session: Duration,
    /// No link lives longer.
    pub(super) link: Duration,
}

// === impl Record ===

impl Record {
    pub(super) fn new(kind: Kind, id: impl Into<String>, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            kind,
            id: id.into(),
            at,
        }
    }

    pub(super) fn of(selector: Selector, at: Timestamp) -> Self {
        match selector {
            Selector::Session(id) => Self::new(Kind::Session, id.as_str(), at),
            Selector::ProviderSession(id) => Self::new(Kind::ProviderSession, id, at),
            Selector::ProviderSubject(id) => Self::new(Kind::ProviderSubject, id, at),
            Selector::Link(id) => Self::new(Kind::Link, id, at),
            Selector::Operator(id) => Self::new(Kind::Operator, id, at),
        }
    }

    pub(super) fn write(&self) -> String {
        to_json(self)
    }

    /// `None` for what another release wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let record = serde_json::from_str(text).ok()?;
        Some(record).filter(Self::is_known)
    }

    /// Several records as one message.
    pub(super) fn write_all(records: &[Self]) -> String {
        to_json(&records)
    }

    /// The records of a message, without those that another release wrote.
    pub(super) fn read_all(text: &str) -> Vec<Self> {
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
    /// How long a record still matters, if it does.
    pub(super) fn remaining(self, record: &Record, now: Timestamp) -> Option<Duration> {
        let remaining = record.at.after(self.of(record.kind)).since(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// How long records of a kind matter.
    pub(super) fn of(self, kind: Kind) -> Duration {
        match kind {
            Kind::Session | Kind::ProviderSession | Kind::ProviderSubject | Kind::Operator => {
                self.session
            }
            Kind::Link => self.link,
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Session,
        Self::ProviderSession,
        Self::ProviderSubject,
        Self::Link,
        Self::Operator,
    ];
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_release_writes_is_left_out() {
        let records =
            Kind::ALL.map(|kind| Record::new(kind, "naïve \"id\"", Timestamp::from_unix(5)));
        let text = Record::write_all(&records);
        assert_eq!(Record::read_all(&text), records);
        let [first, rest @ ..] = &records;
        assert_eq!(Record::read(&first.write()).as_ref(), Some(first));
        for (word, other) in [
            (
                "\"v\":1,\"kind\":\"session\"",
                "\"v\":2,\"kind\":\"session\"",
            ),
            ("\"kind\":\"session\"", "\"kind\":\"device\""),
        ] {
            assert_eq!(Record::read_all(&text.replace(word, other)), rest);
            assert_eq!(Record::read(&first.write().replace(word, other)), None);
        }
        assert!(Record::read_all("no list").is_empty());
    }
}
