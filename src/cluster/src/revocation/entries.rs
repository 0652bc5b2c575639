//! The table of what is revoked: lookups without waiting and without allocating, insertions that
//! stay cheap with a hundred thousand entries.
//!
//! Entries are spread over stripes, each replaced whole; an insertion copies one stripe.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::record::{Kind, Record};
use model::clock::Timestamp;

/// When what was revoked.
#[derive(Debug)]
pub(super) struct Entries {
    stripes: [ArcSwap<Stripe>; STRIPES],
    hasher: RandomState,
    count: AtomicUsize,
    writing: Mutex<()>,
}

/// One map for each kind, so that an id is looked up as it is.
#[derive(Clone, Debug, Default)]
struct Stripe {
    sessions: Revoked,
    provider_sessions: Revoked,
    provider_subjects: Revoked,
    operators: Revoked,
    links: Revoked,
}

type Revoked = HashMap<Arc<str>, Timestamp>;

// === impl Entries ===

impl Entries {
    pub(super) fn new() -> Self {
        Self {
            stripes: std::array::from_fn(|_| ArcSwap::default()),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            writing: Mutex::new(()),
        }
    }

    /// Whether there is nothing; may lag behind an insertion on another thread, as any lookup.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// When something was revoked last.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<Timestamp> {
        let stripe = self.stripes.get(self.stripe_of(id))?.load();
        stripe.of(kind).get(id).copied()
    }

    /// Adds records, and takes out those on the way that nobody needs any more: of each kind those
    /// up to some time. Tells whether any was new, or newer.
    pub(super) fn insert(
        &self,
        records: impl IntoIterator<Item = Record>,
        forget: impl Fn(Kind) -> Timestamp,
    ) -> bool {
        let mut by_stripe: HashMap<usize, Vec<Record>> = HashMap::new();
        for record in records {
            let at = self.stripe_of(&record.id);
            by_stripe.entry(at).or_default().push(record);
        }
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut any_new = false;
        for (at, records) in by_stripe {
            let Some(slot) = self.stripes.get(at) else {
                continue;
            };
            let before = slot.load();
            let news = |record: &Record| {
                let known = before.of(record.kind).get(&*record.id);
                known.is_none_or(|known| *known < record.at)
            };
            let mut records = records.into_iter().filter(news).peekable();
            if records.peek().is_none() {
                continue;
            }
            any_new = true;
            let mut stripe = Stripe::clone(&before);
            let length_before = stripe.len();
            stripe.forget(&forget);
            for record in records {
                let entry = stripe.of_mut(record.kind).entry((*record.id).into());
                let at = entry.or_default();
                *at = record.at.max(*at);
            }
            let length = stripe.len();
            slot.store(Arc::new(stripe));
            self.count.fetch_add(length, Ordering::Release);
            self.count.fetch_sub(length_before, Ordering::Release);
        }
        any_new
    }

    /// All that is revoked.
    pub(super) fn records(&self) -> Vec<Record> {
        let stripes = self.stripes.iter().map(ArcSwap::load_full);
        stripes.flat_map(|stripe| stripe.records()).collect()
    }

    fn stripe_of(&self, id: &str) -> usize {
        let hash = self.hasher.hash_one(id);
        usize::try_from(hash % STRIPES as u64).expect("the remainder is below STRIPES")
    }
}

// === impl Stripe ===

impl Stripe {
    fn of(&self, kind: Kind) -> &Revoked {
        match kind {
            Kind::Session => &self.sessions,
            Kind::ProviderSession => &self.provider_sessions,
            Kind::ProviderSubject => &self.provider_subjects,
            Kind::Link => &self.links,
            Kind::Operator => &self.operators,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Revoked {
        match kind {
            Kind::Session => &mut self.sessions,
            Kind::ProviderSession => &mut self.provider_sessions,
            Kind::ProviderSubject => &mut self.provider_subjects,
            Kind::Link => &mut self.links,
            Kind::Operator => &mut self.operators,
        }
    }

    fn len(&self) -> usize {
        Kind::ALL.iter().map(|kind| self.of(*kind).len()).sum()
    }

    fn forget(&mut self, up_to: impl Fn(Kind) -> Timestamp) {
        for kind in Kind::ALL {
            let up_to = up_to(kind);
            self.of_mut(kind).retain(|_, at| up_to < *at);
        }
    }

    fn records(&self) -> Vec<Record> {
        let of_kind = |kind: Kind| {
            let entries = self.of(kind).iter();
            entries.map(move |(id, at)| Record::new(kind, &**id, *at))
        };
        Kind::ALL.into_iter().flat_map(of_kind).collect()
    }
}

/// So many that with a hundred thousand entries an insertion copies a hundred.
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

    fn never(_: Kind) -> Timestamp {
        Timestamp::from_unix(0)
    }

    #[test]
    fn a_later_revocation_counts_and_an_earlier_one_does_not() {
        let entries = Entries::new();
        assert!(entries.insert([subject(1, 10)], never));
        assert!(!entries.insert([subject(1, 10)], never));
        assert!(!entries.insert([subject(1, 9)], never));
        assert!(entries.insert([subject(1, 11)], never));
        let at = entries.get(Kind::ProviderSubject, "1");
        assert_eq!(at, Some(Timestamp::from_unix(11)));
        assert_eq!(entries.get(Kind::Session, "1"), None);
    }

    #[test]
    fn what_is_too_old_makes_way() {
        let entries = Entries::new();
        let many = 10 * u32::try_from(STRIPES).unwrap();
        entries.insert((0..many).map(|n| subject(n, 10)), never);
        assert_eq!(entries.records().len(), 10 * STRIPES);
        let later = (0..many).map(|n| subject(n + many, 30));
        entries.insert(later, |_| Timestamp::from_unix(20));
        let left = entries.records();
        assert_eq!(left.len(), entries.count.load(Ordering::Relaxed));
        // Every stripe was written, with odds of one to e to the ten against for each.
        assert!(left.len() < 10 * STRIPES + STRIPES);
    }

    #[test]
    fn an_insertion_copies_little_of_a_hundred_thousand() {
        let entries = Entries::new();
        entries.insert((0..100_000).map(|n| subject(n, 10)), never);
        let before: Vec<_> = entries.stripes.iter().map(ArcSwap::load_full).collect();
        entries.insert([subject(100_000, 10)], never);
        let copied: Vec<_> = entries
            .stripes
            .iter()
            .zip(&before)
            .filter(|(stripe, before)| !Arc::ptr_eq(&stripe.load(), before))
            .map(|(_, before)| before.len())
            .collect();
        assert_eq!(copied.len(), 1);
        assert!(copied[0] < 250, "{copied:?}");
    }
}
