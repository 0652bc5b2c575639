//! Metrics of the control plane: store, certificate, configuration, rooms. None of them is on the
//! request path, so a lock is acceptable.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::{
    AcmeMetrics, CacheMetrics, CertificateMetrics, JournalMetrics, ProbeMetrics, ProviderFamilies,
    ShardMetrics,
    labels::{ReloadOutcome, StoreOutcome},
};

/// Metrics of the control plane.
#[derive(Clone, Debug, Default)]
pub struct ControlMetrics {
    /// The OpenID providers; none without `[oidc]`.
    pub providers: Option<ProviderFamilies>,
    /// The store that replicas share.
    pub store: StoreMetrics,
    /// The journal of revocations; none without a directory.
    pub journal: Option<JournalMetrics>,
    /// Shards and their rooms.
    pub shards: ShardMetrics,
    /// The certificates; none without `[tls]`.
    pub certificate: Option<CertificateMetrics>,
    /// The orders of certificates; none without `[tls.acme]`.
    pub acme: Option<AcmeMetrics>,
    /// Reloads of the configuration.
    pub config: ReloadMetrics,
    /// The cache of Jitsi's files.
    pub cache: CacheMetrics,
    /// The configuration in use.
    pub config_hash: ConfigHash,
    /// Results of the login probe.
    pub probe: ProbeMetrics,
    /// The number of enabled `insecure_…` switches.
    pub insecure_switches: Gauge,
    /// 0 while the gateway stops, else 1.
    pub ready: Gauge,
    /// Rooms with at least one occupant, on all replicas.
    pub rooms: Gauge,
    /// Occupants of rooms, on all replicas.
    pub people: Gauge,
}

/// Metrics of the store that replicas share.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    /// 1 while the store is available.
    pub ready: Gauge,
    /// Replaced connections.
    pub reconnects: Counter,
    operations: Family<StoreLabels, Counter>,
}

/// Results of reloading a file.
#[derive(Clone, Debug, Default)]
pub struct ReloadMetrics {
    total: Family<ReloadLabels, Counter>,
    successful: Gauge,
    succeeded_at: Gauge,
}

/// The fingerprint of the configuration in use.
#[derive(Clone, Debug, Default)]
pub struct ConfigHash(Arc<ArcSwap<String>>);

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    outcome: StoreOutcome,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    outcome: ReloadOutcome,
}

// === impl ControlMetrics ===

impl ControlMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "insecure_switches",
            "Number of enabled insecure_ switches",
            self.insecure_switches.clone(),
        );
        registry.register(
            "ready",
            "0 while the gateway stops, else 1",
            self.ready.clone(),
        );
        registry.register(
            "rooms_open",
            "Rooms with at least one occupant, on all replicas",
            self.rooms.clone(),
        );
        registry.register(
            "people",
            "Occupants of rooms, on all replicas",
            self.people.clone(),
        );
        if let Some(providers) = &self.providers {
            providers.register(registry);
        }
        self.store.register(registry);
        if let Some(journal) = &self.journal {
            journal.register(registry);
        }
        self.shards.register(registry);
        self.cache.register(registry);
        registry.register_collector(Box::new(self.probe.clone()));
        if let Some(certificate) = &self.certificate {
            certificate.register(registry);
        }
        if let Some(acme) = &self.acme {
            acme.register(registry);
        }
        self.config.register("config", registry);
        registry.register_collector(Box::new(self.config_hash.clone()));
    }
}

// === impl StoreMetrics ===

impl StoreMetrics {
    /// Counts an operation.
    pub fn count(&self, outcome: StoreOutcome) {
        self.operations
            .get_or_create(&StoreLabels { outcome })
            .inc();
    }

    fn register(&self, registry: &mut Registry) {
        for outcome in StoreOutcome::ALL {
            let _ = self
                .operations
                .get_or_create(&StoreLabels { outcome: *outcome });
        }
        registry.register(
            "store_ready",
            "1 while the store is available",
            self.ready.clone(),
        );
        registry.register(
            "store_operations",
            "Store operations by outcome",
            self.operations.clone(),
        );
        registry.register(
            "store_reconnects",
            "Replaced connections to the store",
            self.reconnects.clone(),
        );
    }
}

// === impl ReloadMetrics ===

impl ReloadMetrics {
    /// Records the version that was read at startup, which is not a reload.
    pub fn started(&self, now_seconds: u64) {
        self.successful.set(1);
        self.succeeded_at.set(gauge_value(now_seconds));
        for outcome in ReloadOutcome::ALL {
            let _ = self
                .total
                .get_or_create(&ReloadLabels { outcome: *outcome });
        }
    }

    /// Counts a reload whose result is in use since `now_seconds`.
    pub fn succeeded(&self, now_seconds: u64) {
        self.successful.set(1);
        self.succeeded_at.set(gauge_value(now_seconds));
        self.count(ReloadOutcome::Ok);
    }

    /// Counts a reload whose result is unusable; the previous version stays in use.
    pub fn failed(&self) {
        self.successful.set(0);
        self.count(ReloadOutcome::Failed);
    }

    /// Whether the last reload failed.
    pub fn is_failing(&self) -> bool {
        self.successful.get() == 0 && self.count_of(ReloadOutcome::Failed) > 0
    }

    /// The number of reloads with this outcome.
    pub fn count_of(&self, outcome: ReloadOutcome) -> u64 {
        let count = self.total.get(&ReloadLabels { outcome });
        count.map_or(0, |count| count.get())
    }

    fn count(&self, outcome: ReloadOutcome) {
        self.total.get_or_create(&ReloadLabels { outcome }).inc();
    }

    pub(super) fn register(&self, subject: &str, registry: &mut Registry) {
        registry.register(
            format!("{subject}_reloads"),
            format!("Reloads of the {subject} by outcome"),
            self.total.clone(),
        );
        registry.register(
            format!("{subject}_last_reload_successful"),
            format!("0 if the last reload of the {subject} failed, else 1"),
            self.successful.clone(),
        );
        registry.register(
            format!("{subject}_last_reload_success_timestamp_seconds"),
            format!("When the {subject} in use was read, in seconds since 1970"),
            self.succeeded_at.clone(),
        );
    }
}

// === impl ConfigHash ===

impl ConfigHash {
    /// Replaces the fingerprint.
    pub fn set(&self, hash: &str) {
        self.0.store(Arc::new(hash.to_owned()));
    }
}

/// A collector rather than a registered `Info`: after a reload only the new hash is exposed.
impl Collector for ConfigHash {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The configuration in use";
        let metric = encoder.encode_descriptor("config", help, None, MetricType::Info)?;
        Info::new([("hash", self.0.load_full().to_string())]).encode(metric)
    }
}

fn gauge_value(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
