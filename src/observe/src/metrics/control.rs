//! What is counted away from the data path, where a lock costs nothing.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{ProbeMetrics, ShardMetrics};

/// What is counted away from the data path.
#[derive(Clone, Debug, Default)]
pub struct ControlMetrics {
    /// Ended sign-ins by outcome.
    pub sign_ins: Family<OutcomeLabel, Counter>,
    /// What was said with the OpenID provider, if there is one.
    pub provider: Option<ProviderMetrics>,
    /// The store that replicas share.
    pub store: StoreMetrics,
    /// Shards and their rooms.
    pub shards: ShardMetrics,
    /// The certificate, if there is one.
    pub certificate: Option<CertificateMetrics>,
    /// Reloads of the configuration.
    pub config: ReloadMetrics,
    /// Which configuration is in use.
    pub config_hash: ConfigHash,
    /// Whether people can log in at the backends.
    pub probe: ProbeMetrics,
    /// How many `insecure_…` switches are on.
    pub insecure_switches: Gauge,
    /// 1 unless the gateway is stopping.
    pub ready: Gauge,
    /// Rooms in which somebody is, on any replica.
    pub rooms: Gauge,
    /// People in rooms, on any replica.
    pub people: Gauge,
}

/// What was said with the OpenID provider.
#[derive(Clone, Debug)]
pub struct ProviderMetrics {
    /// 1 while the provider's configuration is known and fresh.
    pub ready: Gauge,
    /// When the keys in use were fetched, in seconds since 1970.
    pub keys_fetched: Gauge,
    requests: Family<ExchangeLabels, Counter>,
    durations: Family<RequestLabel, Histogram>,
}

/// What is counted of the store that replicas share.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    /// 1 while the store can be used.
    pub ready: Gauge,
    /// Operations by outcome.
    pub operations: Family<OutcomeLabel, Counter>,
    /// How often a lost connection was replaced.
    pub reconnects: Counter,
}

/// What is known of the certificate.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    /// Until when it is good, in seconds since 1970.
    pub not_after: Gauge,
    /// Reloads of its files.
    pub reloads: ReloadMetrics,
}

/// How reading something again went.
#[derive(Clone, Debug, Default)]
pub struct ReloadMetrics {
    total: Family<OutcomeLabel, Counter>,
    successful: Gauge,
    succeeded_at: Gauge,
}

/// The hash of the configuration in use.
#[derive(Clone, Debug, Default)]
pub struct ConfigHash(pub(super) Arc<ArcSwap<String>>);

/// How something ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `ok` or the code of the failure.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    request: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabel {
    request: &'static str,
}

// === impl ControlMetrics ===

impl ControlMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        begin_at_zero(&self.sign_ins);
        registry.register(
            "sign_ins",
            "Ended sign-ins by outcome",
            self.sign_ins.clone(),
        );
        registry.register(
            "insecure_switches",
            "How many insecure_ switches are on",
            self.insecure_switches.clone(),
        );
        registry.register(
            "ready",
            "1 unless the gateway is stopping",
            self.ready.clone(),
        );
        registry.register(
            "rooms_open",
            "Rooms in which somebody is, on any replica",
            self.rooms.clone(),
        );
        registry.register(
            "people",
            "People in rooms, on any replica",
            self.people.clone(),
        );
        if let Some(provider) = &self.provider {
            provider.register(registry);
        }
        self.store.register(registry);
        self.shards.register(registry);
        self.probe.register(registry);
        if let Some(certificate) = &self.certificate {
            registry.register(
                "certificate_not_after_seconds",
                "Until when the certificate is good, in seconds since 1970",
                certificate.not_after.clone(),
            );
            certificate.reloads.register("certificate", registry);
        }
        self.config.register("config", registry);
    }
}

// === impl ProviderMetrics ===

impl ProviderMetrics {
    /// Counts a request to the provider, by what was asked for and what came of it.
    pub fn asked(&self, request: &'static str, outcome: &'static str, took: Duration) {
        let labels = ExchangeLabels { request, outcome };
        self.requests.get_or_create(&labels).inc();
        let label = RequestLabel { request };
        let took = took.as_secs_f64();
        self.durations.get_or_create(&label).observe(took);
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "provider_ready",
            "1 while the OpenID provider's configuration is known and fresh",
            self.ready.clone(),
        );
        registry.register(
            "provider_keys_fetched_timestamp_seconds",
            "When the provider's keys in use were fetched, in seconds since 1970",
            self.keys_fetched.clone(),
        );
        registry.register(
            "provider_requests",
            "Requests to the OpenID provider by what was asked for and outcome",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "provider_request_duration",
            "Time that requests to the OpenID provider took",
            Unit::Seconds,
            self.durations.clone(),
        );
    }
}

impl Default for ProviderMetrics {
    fn default() -> Self {
        Self {
            ready: Gauge::default(),
            keys_fetched: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(PROVIDER_SECONDS)),
        }
    }
}

// === impl StoreMetrics ===

impl StoreMetrics {
    fn register(&self, registry: &mut Registry) {
        begin_at_zero(&self.operations);
        registry.register(
            "store_ready",
            "1 while the store that replicas share can be used",
            self.ready.clone(),
        );
        registry.register(
            "store_operations",
            "Operations on the store by outcome",
            self.operations.clone(),
        );
        registry.register(
            "store_reconnects",
            "How often a lost connection to the store was replaced",
            self.reconnects.clone(),
        );
    }
}

// === impl ReloadMetrics ===

impl ReloadMetrics {
    /// What is in use since the start counts as read well, and not as a reload.
    pub fn started(&self, now_seconds: u64) {
        self.successful.set(1);
        self.succeeded_at.set(seconds(now_seconds));
        for outcome in ["ok", "failed"] {
            let _ = self.total.get_or_create(&OutcomeLabel { outcome });
        }
    }

    /// What was read is in use.
    pub fn succeeded(&self, now_seconds: u64) {
        self.successful.set(1);
        self.succeeded_at.set(seconds(now_seconds));
        self.count("ok");
    }

    /// What was read cannot be used, and what was there before still is.
    pub fn failed(&self) {
        self.successful.set(0);
        self.count("failed");
    }

    /// Whether the last reading went wrong.
    pub fn is_failing(&self) -> bool {
        let ok = OutcomeLabel { outcome: "failed" };
        self.successful.get() == 0 && self.total.get(&ok).is_some_and(|failed| failed.get() > 0)
    }

    /// How many ended so.
    pub fn count_of(&self, outcome: &'static str) -> u64 {
        let label = OutcomeLabel { outcome };
        self.total.get(&label).map_or(0, |count| count.get())
    }

    fn count(&self, outcome: &'static str) {
        self.total.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    fn register(&self, of: &str, registry: &mut Registry) {
        registry.register(
            format!("{of}_reloads"),
            format!("Reloads of the {of} by outcome"),
            self.total.clone(),
        );
        registry.register(
            format!("{of}_last_reload_successful"),
            format!("1 unless the last reload of the {of} failed"),
            self.successful.clone(),
        );
        registry.register(
            format!("{of}_last_reload_success_timestamp_seconds"),
            format!("When the {of} in use was read, in seconds since 1970"),
            self.succeeded_at.clone(),
        );
    }
}

// === impl ConfigHash ===

impl ConfigHash {
    /// Another configuration is in use.
    pub fn set(&self, hash: &str) {
        self.0.store(Arc::new(hash.to_owned()));
    }
}

/// So that the first event is seen as one.
fn begin_at_zero(outcomes: &Family<OutcomeLabel, Counter>) {
    let _ = outcomes.get_or_create(&OutcomeLabel { outcome: "ok" });
}

fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}

/// Providers answer within tens of milliseconds, and are given up after seconds.
const PROVIDER_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
