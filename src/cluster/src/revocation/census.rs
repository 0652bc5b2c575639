//! The bound on the number of revocations.
//!
//! At the bound of a group, the older half of its revocations becomes one coarser revocation, of all
//! that began as early as the latest of them. It ends everything that they end, so nothing that was
//! revoked becomes valid; it may end sessions that were not revoked: older ones of the same person, or,
//! at the bound of all guests or all members, older ones of others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use model::clock::{EventTime, Timestamp};

use super::record::{Kind, Record};

/// The live revocations that a coarser one can replace, by group.
#[derive(Debug, Default)]
pub(super) struct Census {
    counted: HashMap<Key, Counted>,
    groups: HashMap<Group, BTreeSet<(EventTime, Key)>>,
    /// The number of revocations at which expired ones are dropped.
    sweep_at: usize,
}

type Key = (Kind, Arc<str>);

#[derive(Clone, Debug)]
struct Counted {
    /// What began later is not revoked by it.
    limit: EventTime,
    expires: Timestamp,
    groups: Vec<Group>,
}

/// Revocations that one coarser revocation can replace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// Sign-outs of one person.
    Person(String),
    /// Logout tokens about the sessions of one person at the provider.
    ProviderSubject(String),
    /// Sign-outs of guests, who have no subject.
    Guests,
    /// All revocations of people with an account.
    Members,
}

/// A coarser revocation, and those that it replaces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Collapse {
    pub(super) coarse: Record,
    pub(super) replaced: Vec<Key>,
}

// === impl Census ===

impl Census {
    /// Counts a revocation; gives what it makes collapse.
    pub(super) fn add(
        &mut self,
        record: &Record,
        expires: Timestamp,
        now: Timestamp,
    ) -> Vec<Collapse> {
        let groups = Group::of(record);
        if groups.is_empty() {
            return Vec::new();
        }
        self.sweep(now);
        let (key, limit) = ((record.kind, Arc::from(&*record.id)), record.limit());
        self.remove(&key);
        for group in &groups {
            let members = self.groups.entry(group.clone()).or_default();
            members.insert((limit, key.clone()));
        }
        let counted = Counted {
            limit,
            expires,
            groups: groups.clone(),
        };
        self.counted.insert(key, counted);
        let full = groups.into_iter().filter_map(|group| self.collapse(&group));
        full.collect()
    }

    /// The number of revocations.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counted.len()
    }

    fn collapse(&mut self, group: &Group) -> Option<Collapse> {
        let members = self.groups.get(group)?;
        if members.len() <= group.max() {
            return None;
        }
        let oldest = members.iter().take(group.max() / 2 + 1);
        let (mut at, mut replaced) = (EventTime::default(), Vec::new());
        for (limit, key) in oldest {
            at = *limit;
            replaced.push(key.clone());
        }
        for key in &replaced {
            self.remove(key);
        }
        let coarse = group.coarse(at);
        Some(Collapse { coarse, replaced })
    }

    /// Drops expired revocations whenever the number has doubled.
    fn sweep(&mut self, now: Timestamp) {
        if self.counted.len() < self.sweep_at.max(MIN_SWEEP) {
            return;
        }
        let expired = self
            .counted
            .iter()
            .filter(|(_, known)| known.expires <= now);
        let expired: Vec<_> = expired.map(|(key, _)| key.clone()).collect();
        for key in &expired {
            self.remove(key);
        }
        self.sweep_at = self.counted.len() * 2;
    }

    fn remove(&mut self, key: &Key) {
        let Some(Counted { limit, groups, .. }) = self.counted.remove(key) else {
            return;
        };
        for group in groups {
            if let Some(members) = self.groups.get_mut(&group) {
                members.remove(&(limit, key.clone()));
                if members.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
    }
}

// === impl Group ===

impl Group {
    /// The groups of a revocation, the smaller one first.
    fn of(record: &Record) -> Vec<Self> {
        match (record.kind, record.owner.as_deref()) {
            (Kind::Session, Some("")) => vec![Self::Guests],
            (Kind::Session, Some(person)) => vec![Self::Person(person.to_owned()), Self::Members],
            (Kind::ProviderSession, Some(subject)) => {
                vec![Self::ProviderSubject(subject.to_owned()), Self::Members]
            }
            (
                Kind::ProviderSession
                | Kind::ProviderSubject
                | Kind::SubjectWithoutSession
                | Kind::Invalidated
                | Kind::Person,
                _,
            ) => vec![Self::Members],
            (Kind::Session | Kind::Link | Kind::Operator | Kind::Guests | Kind::Members, _) => {
                Vec::new()
            }
        }
    }

    /// The coarser revocations that replace a revocation, if they are of its limit or later.
    pub(super) fn coarser_than(record: &Record) -> Vec<Key> {
        let groups = Self::of(record).into_iter();
        groups.map(|group| group.key()).collect()
    }

    fn coarse(&self, at: EventTime) -> Record {
        let (kind, id) = self.key();
        Record::new(kind, &*id, at)
    }

    fn key(&self) -> Key {
        match self {
            Self::Person(person) => (Kind::Person, Arc::from(&**person)),
            Self::ProviderSubject(subject) => (Kind::ProviderSubject, Arc::from(&**subject)),
            Self::Guests => (Kind::Guests, Arc::from("")),
            Self::Members => (Kind::Members, Arc::from("")),
        }
    }

    const fn max(&self) -> usize {
        match self {
            Self::Person(_) | Self::ProviderSubject(_) => MAX_OF_PERSON,
            Self::Guests | Self::Members => MAX_OF_CLASS,
        }
    }
}

/// More sign-outs than a person makes in the lifetime of a session, on all devices.
pub(super) const MAX_OF_PERSON: usize = 32;

/// A busy day of a large deployment; about ten megabytes in memory. Sign-outs of strangers who enter and
/// leave as guests reach the bound of the guests only.
pub(super) const MAX_OF_CLASS: usize = 50_000;

/// Below this number a sweep saves no relevant memory.
const MIN_SWEEP: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: Timestamp = Timestamp::from_unix(1_000);

    fn sign_out(owner: &str, n: u64) -> Record {
        let second = |at| EventTime::start_of(Timestamp::from_unix(at));
        Record::new(Kind::Session, format!("{owner} {n}"), second(500))
            .owned(owner.to_owned(), second(n))
    }

    fn add(census: &mut Census, record: &Record) -> Vec<Collapse> {
        census.add(record, EXPIRES, Timestamp::from_unix(500))
    }

    #[test]
    fn the_older_half_of_a_persons_sign_outs_becomes_one() {
        let mut census = Census::default();
        let bound = u64::try_from(MAX_OF_PERSON).unwrap();
        // In another order than they began.
        for n in (0..bound).rev() {
            assert_eq!(add(&mut census, &sign_out("ann", n)), []);
        }
        assert_eq!(add(&mut census, &sign_out("ben", 0)), []);
        let [collapse] = &add(&mut census, &sign_out("ann", bound))[..] else {
            panic!("one collapse");
        };
        let half = bound / 2;
        assert_eq!(collapse.coarse.kind, Kind::Person);
        assert_eq!(
            (&*collapse.coarse.id, collapse.coarse.at.as_unix()),
            ("ann", half)
        );
        let replaced: BTreeSet<_> = collapse.replaced.iter().cloned().collect();
        let older = (0..=half).map(|n| (Kind::Session, Arc::from(format!("ann {n}"))));
        assert_eq!(replaced, older.collect());
        assert_eq!(census.len(), MAX_OF_PERSON / 2 + 1);
    }

    #[test]
    fn the_number_is_bounded_for_any_order_of_sign_outs() {
        let max = u64::try_from(MAX_OF_CLASS).unwrap();
        for (owner, kind) in [("", Kind::Guests), ("person", Kind::Members)] {
            let mut census = Census::default();
            let mut collapses = Vec::new();
            for n in 0..3 * max {
                let owner = if owner.is_empty() {
                    String::new()
                } else {
                    format!("{owner} {n}")
                };
                collapses.extend(add(&mut census, &sign_out(&owner, n)));
                assert!(census.len() <= MAX_OF_CLASS);
            }
            assert!(
                collapses
                    .iter()
                    .all(|collapse| collapse.coarse.kind == kind)
            );
            assert_eq!(collapses.len(), 4, "{kind:?}");
        }
    }

    #[test]
    fn expired_and_repeated_revocations_do_not_count() {
        let mut census = Census::default();
        for n in 0..100_000 {
            let record = sign_out("", n);
            let expires = Timestamp::from_unix(n + 10);
            assert_eq!(census.add(&record, expires, Timestamp::from_unix(n)), []);
        }
        assert!(census.len() < 2 * MIN_SWEEP, "{}", census.len());
        let mut census = Census::default();
        for _ in 0..100_000 {
            add(&mut census, &sign_out("ann", 1));
        }
        assert_eq!(census.len(), 1);
    }
}
