//! The table of revocations, one map per kind of id.

use std::{collections::HashMap, sync::Arc};

use model::clock::Timestamp;

use super::record::{Kind, Record};
use crate::striped_map::StripedMap;

/// The time of the last revocation of each id. Lookups allocate nothing.
#[derive(Debug)]
pub(super) struct RevocationTable {
    sessions: Revoked,
    provider_sessions: Revoked,
    provider_subjects: Revoked,
    operators: Revoked,
    links: Revoked,
    invalidated: Revoked,
    subjects_without_session: Revoked,
}

type Revoked = StripedMap<Arc<str>, Timestamp>;

// === impl RevocationTable ===

impl RevocationTable {
    /// Creates an empty table.
    pub(super) fn new() -> Self {
        let empty = || StripedMap::new(STRIPES);
        Self {
            sessions: empty(),
            provider_sessions: empty(),
            provider_subjects: empty(),
            operators: empty(),
            links: empty(),
            invalidated: empty(),
            subjects_without_session: empty(),
        }
    }

    /// Whether nothing is revoked: the common case, at the cost of one load per kind.
    pub(super) fn is_empty(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.of(kind).is_empty())
    }

    /// The time of the last revocation of an id.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<Timestamp> {
        self.of(kind).get(id)
    }

    /// Adds records and returns whether any is new or later than a known one. Also removes expired
    /// entries from the written stripes, with one time limit per kind.
    pub(super) fn insert(
        &self,
        records: impl IntoIterator<Item = Record>,
        expired_up_to: impl Fn(Kind) -> Timestamp,
    ) -> bool {
        let mut by_kind: HashMap<Kind, Vec<(Arc<str>, Timestamp)>> = HashMap::new();
        for record in records {
            let revoked = by_kind.entry(record.kind).or_default();
            revoked.push((record.id.into(), record.at));
        }
        let mut any_new = false;
        for (kind, revoked) in by_kind {
            let expired = expired_up_to(kind);
            self.of(kind).update(revoked, |stripe, id, at| {
                let known = stripe.entries().get(&id);
                if known.is_some_and(|known| at <= *known) {
                    return;
                }
                if !stripe.is_copied() {
                    stripe.retain(|_, at| expired < *at);
                }
                stripe.insert(id, at);
                any_new = true;
            });
        }
        any_new
    }

    /// Lists all revocations.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for kind in Kind::ALL {
            self.of(kind)
                .for_each(|id, at| records.push(Record::new(kind, &**id, *at)));
        }
        records
    }

    fn of(&self, kind: Kind) -> &Revoked {
        match kind {
            Kind::Session => &self.sessions,
            Kind::ProviderSession => &self.provider_sessions,
            Kind::ProviderSubject => &self.provider_subjects,
            Kind::Link => &self.links,
            Kind::Operator => &self.operators,
            Kind::Invalidated => &self.invalidated,
            Kind::SubjectWithoutSession => &self.subjects_without_session,
        }
    }
}

/// With a hundred thousand revocations, an insertion copies about a hundred.
const STRIPES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: u32, at: u64) -> Record {
        Record::new(
            Kind::ProviderSubject,
            n.to_string(),
            Timestamp::from_unix(at),
        )
    }

    fn none_expired(_: Kind) -> Timestamp {
        Timestamp::from_unix(0)
    }

    #[test]
    fn of_two_revocations_of_one_id_the_later_counts() {
        let table = RevocationTable::new();
        assert!(table.is_empty());
        assert!(table.insert([subject(1, 10)], none_expired));
        assert!(!table.insert([subject(1, 10)], none_expired));
        assert!(!table.insert([subject(1, 9)], none_expired));
        assert!(table.insert([subject(1, 11)], none_expired));
        let at = table.get(Kind::ProviderSubject, "1");
        assert_eq!(at, Some(Timestamp::from_unix(11)));
        assert_eq!(table.get(Kind::Session, "1"), None);
        assert!(!table.is_empty());
    }

    #[test]
    fn insertions_drop_expired_revocations() {
        let table = RevocationTable::new();
        let many = 10 * u32::try_from(STRIPES).unwrap();
        table.insert((0..many).map(|n| subject(n, 10)), none_expired);
        assert_eq!(table.records().len(), 10 * STRIPES);
        let later = (0..many).map(|n| subject(n + many, 30));
        table.insert(later, |_| Timestamp::from_unix(20));
        let left = table.records();
        assert_eq!(left.len(), table.provider_subjects.len());
        // A stripe keeps its old entries only if no write selected it, with a probability of e^-10.
        assert!(left.len() < 10 * STRIPES + STRIPES);
    }
}
