//! Metrics of the journal of revocations.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Metrics of the journal of revocations.
#[derive(Clone, Debug, Default)]
pub struct JournalMetrics {
    /// 1 while everything is on disk.
    pub ready: Gauge,
    /// The number of revocations and uses that a restart remembers.
    pub entries: Gauge,
    /// Writes that failed.
    pub failures: Counter,
}

// === impl JournalMetrics ===

impl JournalMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "journal_ready",
            "0 while a restart would forget revocations, because the disk takes none, else 1",
            self.ready.clone(),
        );
        registry.register(
            "journal_entries",
            "Revocations and uses of links that a restart remembers",
            self.entries.clone(),
        );
        registry.register(
            "journal_failures",
            "Writes of the journal that failed",
            self.failures.clone(),
        );
    }
}
