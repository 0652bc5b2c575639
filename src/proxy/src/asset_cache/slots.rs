//! The table of stored files, bounded in bytes.
//!
//! It evicts files that were requested once before files that were requested again, so that paths which a
//! client makes up do not displace the files of meetings.

use std::{hash::RandomState, sync::Arc};

use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::{AssetCacheSettings, AssetKey, StoredAsset};
use model::clock::Timestamp;
use observe::metrics::CacheMetrics;

/// What is known of an address.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// The file.
    Stored(Arc<StoredAsset>),
    /// Its response may be stored.
    Worthwhile,
    /// Its response was not storable.
    Unstorable {
        /// When to try again.
        until: Timestamp,
    },
}

/// The table.
#[derive(Debug)]
pub(super) struct Slots {
    cache: Cache<Box<str>, Slot, SlotWeight, RandomState, EvictedKeys>,
    metrics: CacheMetrics,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug)]
struct SlotWeight;

/// Collects what an insertion evicts, which is dropped after the lock.
#[derive(Clone, Copy, Debug)]
struct EvictedKeys;

// === impl Slots ===

impl Slots {
    pub(super) fn new(settings: AssetCacheSettings, metrics: CacheMetrics) -> Self {
        let AssetCacheSettings { size, largest } = settings;
        let options = OptionsBuilder::new()
            .weight_capacity(size as u64)
            // Each part has to hold several of the largest files.
            .shards((size / largest.max(1) / 2).clamp(1, MAX_SHARDS))
            .hot_allocation(REPEATED)
            .estimated_items_capacity((size / USUAL_FILE).max(MIN_ITEMS))
            .build()
            // Infallible: the two numbers that are required are set.
            .expect("capacity and number of items are set");
        let cache = Cache::with_options(options, SlotWeight, RandomState::new(), EvictedKeys);
        Self { cache, metrics }
    }

    pub(super) fn get(&self, key: &AssetKey) -> Option<Slot> {
        self.cache.get(key.as_str())
    }

    pub(super) fn put(&self, key: &AssetKey, slot: Slot) {
        let mut evicted = Vec::new();
        let own: Box<str> = key.as_str().into();
        self.cache.insert_with_lifecycle(own, slot, &mut evicted);
        // The former value of the same key is among them.
        let others = evicted.iter().filter(|(name, _)| **name != *key.as_str());
        self.metrics.count_evictions(others.count() as u64);
        self.show_size();
    }

    /// Removes all; returns how many files there were.
    pub(super) fn clear(&self) -> usize {
        let stored = self.cache.iter();
        let count = stored.filter(|(_, slot)| matches!(slot, Slot::Stored(_)));
        let count = count.count();
        self.cache.clear();
        self.show_size();
        count
    }

    fn show_size(&self) {
        let (entries, bytes) = (self.cache.len(), self.cache.weight());
        self.metrics.set_size(entries, bytes);
    }
}

// === impl SlotWeight ===

impl Weighter<Box<str>, Slot> for SlotWeight {
    fn weight(&self, key: &Box<str>, slot: &Slot) -> u64 {
        let value = match slot {
            Slot::Stored(stored) => stored.bytes(),
            Slot::Worthwhile | Slot::Unstorable { .. } => 0,
        };
        (key.len() + value + OVERHEAD) as u64
    }
}

// === impl EvictedKeys ===

impl Lifecycle<Box<str>, Slot> for EvictedKeys {
    type RequestState = Vec<(Box<str>, Slot)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: Box<str>, slot: Slot) {
        evicted.push((key, slot));
    }
}

/// The table's own memory per entry, with that of entries it remembers after their eviction.
const OVERHEAD: usize = 256;

/// The share of files that are requested again. The rest is room for new ones: without it, each new
/// file would displace one of these.
const REPEATED: f64 = 0.75;

/// Locks for as many workers as most machines have.
const MAX_SHARDS: usize = 16;

/// About the mean of Jitsi's files.
const USUAL_FILE: usize = 32 * 1024;

/// As many as a meeting loads.
const MIN_ITEMS: usize = 256;
