//! A concurrent map for few writes and many reads.
//!
//! The keys are spread over stripes. Each stripe is an immutable map behind an [`ArcSwap`]; a write
//! copies the stripe, changes the copy and publishes it.
//!
//! * Readers (all workers, for each request) take no lock and wait for no writer. They see each
//!   stripe as of some moment; two stripes may be of different moments.
//! * Writers exclude one another by a mutex. Readers never hold it, so they never block a writer.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;

/// A map whose readers take no locks. Cloning a value should be cheap.
#[derive(Debug)]
pub(crate) struct StripedMap<K, V> {
    stripes: Box<[ArcSwap<HashMap<K, V>>]>,
    hasher: RandomState,
    /// Number of entries. It includes an entry before the entry is visible.
    count: AtomicUsize,
    writer: Mutex<()>,
}

/// A stripe while it is written: copied at the first change.
pub(crate) struct StripeWriter<'a, K, V> {
    published: &'a HashMap<K, V>,
    copy: Option<HashMap<K, V>>,
    count: &'a AtomicUsize,
}

// === impl StripedMap ===

impl<K: Clone + Eq + Hash, V: Clone> StripedMap<K, V> {
    /// Creates an empty map. A write copies about `len / stripes` entries.
    pub(crate) fn new(stripes: usize) -> Self {
        let empty = Arc::new(HashMap::new());
        let stripes = 0..stripes.max(1);
        Self {
            stripes: stripes.map(|_| ArcSwap::new(Arc::clone(&empty))).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            writer: Mutex::new(()),
        }
    }

    /// The number of entries; concurrent writes may or may not be included.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether the map has no entries. `false` once a write that this thread has observed is
    /// completed.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a copy of a value.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.read(key, V::clone)
    }

    /// Applies a function to a value in place.
    pub(crate) fn read<Q: Eq + Hash + ?Sized, T>(
        &self,
        key: &Q,
        read: impl FnOnce(&V) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let stripe = self.stripes.get(self.index_of(key))?.load();
        stripe.get(key).map(read)
    }

    /// Calls a function for every entry.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&K, &V)) {
        for stripe in &self.stripes {
            stripe
                .load()
                .iter()
                .for_each(|(key, value)| visit(key, value));
        }
    }

    /// Applies a batch of changes, each to the stripe of its key. A stripe is copied at most once
    /// per batch and published when its changes are done.
    pub(crate) fn update<T>(
        &self,
        changes: impl IntoIterator<Item = (K, T)>,
        mut apply: impl FnMut(&mut StripeWriter<'_, K, V>, K, T),
    ) {
        let mut by_stripe: HashMap<usize, Vec<(K, T)>> = HashMap::new();
        for (key, change) in changes {
            let index = self.index_of(&key);
            by_stripe.entry(index).or_default().push((key, change));
        }
        let _writer = self.lock();
        for (index, changes) in by_stripe {
            let Some(slot) = self.stripes.get(index) else {
                continue;
            };
            self.write(slot, |stripe| {
                for (key, change) in changes {
                    apply(stripe, key, change);
                }
            });
        }
    }

    /// Removes the entries for which `keep` returns `false`. Stripes without such entries are not
    /// copied.
    pub(crate) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let _writer = self.lock();
        for slot in &self.stripes {
            self.write(slot, |stripe| {
                if !stripe.entries().iter().all(|(key, value)| keep(key, value)) {
                    stripe.retain(&keep);
                }
            });
        }
    }

    fn write(
        &self,
        slot: &ArcSwap<HashMap<K, V>>,
        change: impl FnOnce(&mut StripeWriter<'_, K, V>),
    ) {
        let published = slot.load_full();
        let mut stripe = StripeWriter {
            published: &published,
            copy: None,
            count: &self.count,
        };
        change(&mut stripe);
        if let Some(copy) = stripe.copy {
            slot.store(Arc::new(copy));
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let stripes = u64::try_from(self.stripes.len()).unwrap_or(u64::MAX);
        let index = self.hasher.hash_one(key) % stripes.max(1);
        // Infallible: the index is below the number of stripes, which is a `usize`.
        usize::try_from(index).expect("the index is below the number of stripes")
    }
}

// === impl StripeWriter ===

impl<K: Clone + Eq + Hash, V: Clone> StripeWriter<'_, K, V> {
    /// The entries of the stripe, with the changes so far.
    pub(crate) fn entries(&self) -> &HashMap<K, V> {
        self.copy.as_ref().unwrap_or(self.published)
    }

    /// Whether the stripe has been copied, so that further changes cost nothing extra.
    pub(crate) fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.copy_mut().insert(key, value).is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Removes an entry if there is one.
    pub(crate) fn remove(&mut self, key: &K) {
        if self.entries().contains_key(key) {
            self.copy_mut().remove(key);
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Removes the entries for which `keep` returns `false`.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        let copy = self.copy_mut();
        let before = copy.len();
        copy.retain(|key, value| keep(key, value));
        let removed = before - copy.len();
        self.count.fetch_sub(removed, Ordering::Release);
    }

    fn copy_mut(&mut self) -> &mut HashMap<K, V> {
        self.copy.get_or_insert_with(|| self.published.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: u32, stripes: usize) -> StripedMap<u32, u32> {
        let map = StripedMap::new(stripes);
        insert(&map, (0..entries).map(|key| (key, key)));
        map
    }

    fn insert(map: &StripedMap<u32, u32>, entries: impl IntoIterator<Item = (u32, u32)>) {
        map.update(entries, |stripe, key, value| {
            stripe.insert(key, value);
        });
    }

    fn count(map: &StripedMap<u32, u32>) -> usize {
        let mut count = 0;
        map.for_each(|_, _| count += 1);
        count
    }

    #[test]
    fn len_counts_inserted_replaced_and_removed_entries() {
        let map = filled(100, 8);
        insert(&map, (50..150).map(|key| (key, 0)));
        assert_eq!((map.len(), count(&map)), (150, 150));
        assert_eq!((map.get(&49), map.get(&50)), (Some(49), Some(0)));
        map.update([(7, ()), (7, ()), (999, ())], |stripe, key, ()| {
            stripe.remove(&key);
        });
        assert_eq!((map.len(), count(&map), map.get(&7)), (149, 149, None));
        map.retain(|_, value| *value != 0);
        assert_eq!((map.len(), count(&map)), (48, 48));
        map.retain(|_, _| false);
        assert!(map.is_empty());
    }

    #[test]
    fn a_write_copies_one_stripe_only() {
        let map = filled(100_000, 1024);
        let before: Vec<_> = map.stripes.iter().map(ArcSwap::load_full).collect();
        insert(&map, [(100_000, 0)]);
        map.update([(1, ())], |_, _, ()| {});
        map.retain(|_, _| true);
        let copied: Vec<_> = map
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
