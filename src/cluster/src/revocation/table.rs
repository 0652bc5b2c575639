//! The table of revocations, one map per kind of id.

use std::{collections::HashMap, sync::Arc};

use model::clock::{EventTime, Timestamp};

use super::{
    census::Group,
    record::{Kind, Record},
};
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
    people: Revoked,
    guests: Revoked,
    members: Revoked,
}

type Revoked = StripedMap<Arc<str>, Shared>;

type Shared = Arc<Record>;

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
            people: empty(),
            guests: empty(),
            members: empty(),
        }
    }

    /// Whether nothing is revoked: the common case, at the cost of one load per kind.
    pub(super) fn is_empty(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.of(kind).is_empty())
    }

    /// The time of the last revocation of an id.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<EventTime> {
        let revoked = self.of(kind);
        if revoked.is_empty() {
            return None;
        }
        revoked.read(id, |record| record.time())
    }

    /// The revocation of an id.
    pub(super) fn record(&self, kind: Kind, id: &str) -> Option<Arc<Record>> {
        self.of(kind).get(id)
    }

    /// Whether this or another revocation ends everything that a record ends, so that the record is
    /// not needed.
    pub(super) fn supersedes(&self, record: &Record) -> bool {
        let later = self.get(record.kind, &record.id);
        later.is_some_and(|at| record.time() < at) || self.covers(record)
    }

    /// The number of revocations of a kind.
    pub(super) fn len(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    /// Whether a coarser revocation has replaced this one, or would.
    pub(super) fn covers(&self, record: &Record) -> bool {
        let mut coarser = Group::coarser_than(record).into_iter();
        coarser.any(|(kind, id)| self.get(kind, &id).is_some_and(|at| record.limit() <= at))
    }

    /// Removes revocations.
    pub(super) fn remove(&self, ids: &[(Kind, Arc<str>)]) {
        for kind in Kind::ALL {
            let of_kind = ids.iter().filter(|(other, _)| *other == kind);
            let removed = of_kind.map(|(_, id)| (Arc::clone(id), ()));
            self.of(kind)
                .update(removed, |stripe, id, ()| stripe.remove(&id));
        }
    }

    /// Adds records and returns those that are new or later than a known one. Also removes expired
    /// entries from the written stripes, with one time limit per kind.
    pub(super) fn insert(
        &self,
        records: impl IntoIterator<Item = Record>,
        expired_up_to: impl Fn(Kind) -> Timestamp,
    ) -> Vec<Arc<Record>> {
        let mut by_kind: HashMap<Kind, Vec<(Arc<str>, Shared)>> = HashMap::new();
        for record in records {
            let revoked = by_kind.entry(record.kind).or_default();
            revoked.push((Arc::from(&*record.id), Arc::new(record)));
        }
        let mut news = Vec::new();
        for (kind, revoked) in by_kind {
            let expired = expired_up_to(kind);
            self.of(kind).update(revoked, |stripe, id, record| {
                let known = stripe.entries().get(&id);
                if known.is_some_and(|known| record.time() <= known.time()) {
                    return;
                }
                if !stripe.is_copied() {
                    stripe.retain(|_, known| expired < known.at);
                }
                news.push(Arc::clone(&record));
                stripe.insert(id, record);
            });
        }
        news
    }

    /// Lists all revocations.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for kind in Kind::ALL {
            if self.of(kind).is_empty() {
                continue;
            }
            self.of(kind)
                .for_each(|_, record| records.push(Record::clone(record)));
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
            Kind::Person => &self.people,
            Kind::Guests => &self.guests,
            Kind::Members => &self.members,
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
            EventTime::start_of(Timestamp::from_unix(at)),
        )
    }

    fn none_expired(_: Kind) -> Timestamp {
        Timestamp::from_unix(0)
    }

    #[test]
    fn of_two_revocations_of_one_id_the_later_counts() {
        let table = RevocationTable::new();
        assert!(table.is_empty());
        for (at, news) in [(10, 1), (10, 0), (9, 0), (11, 1)] {
            let added = table.insert([subject(1, at)], none_expired);
            assert_eq!(added.len(), news, "{at}");
        }
        let at = table.get(Kind::ProviderSubject, "1");
        assert_eq!(at.map(EventTime::second), Some(Timestamp::from_unix(11)));
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
