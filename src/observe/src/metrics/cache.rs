//! The contents of the cache of Jitsi's files. They change when a file is stored or evicted, never on a
//! hit.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The contents of the cache; zero without one.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    bytes: Gauge,
    entries: Gauge,
    evictions: Counter,
}

// === impl CacheMetrics ===

impl CacheMetrics {
    /// Sets the size after a change.
    pub fn set_size(&self, entries: usize, bytes: u64) {
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts entries that made room for others.
    pub fn count_evictions(&self, count: u64) {
        self.evictions.inc_by(count);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "cache_bytes",
            "Memory of stored files of Jitsi's web server",
            self.bytes.clone(),
        );
        registry.register(
            "cache_entries",
            "Stored files of Jitsi's web server, and notes on files that are not stored",
            self.entries.clone(),
        );
        registry.register(
            "cache_evictions",
            "Entries of the cache that made room for others",
            self.evictions.clone(),
        );
    }
}
