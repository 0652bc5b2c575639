//! Counters: one shard for each worker, so that no two cores share a cache line on the data path;
//! summed when they are read.

mod probe;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

pub use self::probe::{ProbeMetrics, Verdict};

/// What one worker counts.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    requests: [[AtomicU64; STATUS_CLASSES.len()]; ROUTES.len()],
    admissions: [AtomicU64; ADMISSIONS.len()],
    cuts: [AtomicU64; CUTS.len()],
    sockets: AtomicI64,
    connections: AtomicI64,
    bosh_sessions: AtomicU64,
}

/// What is counted away from the data path.
#[derive(Clone, Debug, Default)]
pub struct ControlMetrics {
    /// Ended sign-ins by outcome.
    pub sign_ins: Family<OutcomeLabel, Counter>,
    /// 1 while the OpenID provider's configuration is known and fresh.
    pub provider_ready: Gauge,
    /// Reloads of the certificate by outcome.
    pub certificate_reloads: Family<OutcomeLabel, Counter>,
    /// How many `insecure_…` switches are on.
    pub insecure_switches: Gauge,
    /// The store that replicas share.
    pub store: StoreMetrics,
    /// Whether people can log in at the backends.
    pub probe: ProbeMetrics,
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

/// How something ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `ok` or the code of the failure.
    pub outcome: &'static str,
}

/// All metrics, ready to be written out.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

/// Where in a shard something is counted.
type Cell<T> = fn(&WorkerMetrics) -> &T;

#[derive(Debug)]
struct Shards(Vec<Arc<WorkerMetrics>>);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// Counts an answered request.
    pub fn answered(&self, route: &'static str, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let row = position(ROUTES, route).and_then(|route| self.requests.get(route));
        add(row.and_then(|row| row.get(class)));
    }

    /// Counts a decision of the policy, by its word.
    pub fn decided(&self, outcome: &'static str) {
        add(position(ADMISSIONS, outcome).and_then(|at| self.admissions.get(at)));
    }

    /// Counts a socket or stream that the gateway ended, by the reason.
    pub fn cut(&self, reason: &'static str) {
        add(position(CUTS, reason).and_then(|at| self.cuts.get(at)));
    }

    /// Counts a new BOSH session.
    pub fn bosh_session(&self) {
        add(Some(&self.bosh_sessions));
    }

    /// One WebSocket more, or less.
    pub fn sockets(&self, change: i64) {
        self.sockets.fetch_add(change, Ordering::Relaxed);
    }

    /// One connection more, or less.
    pub fn connections(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// How many WebSockets are open.
    pub fn open_sockets(&self) -> i64 {
        self.sockets.load(Ordering::Relaxed)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
    }
}

// === impl Metrics ===

impl Metrics {
    /// Metrics over these shards.
    pub fn new(workers: Vec<Arc<WorkerMetrics>>, control: &ControlMetrics) -> Self {
        let mut registry = Registry::with_prefix("gateway");
        registry.register(
            "sign_ins",
            "Ended sign-ins by outcome",
            control.sign_ins.clone(),
        );
        registry.register(
            "provider_ready",
            "1 while the OpenID provider's configuration is known and fresh",
            control.provider_ready.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Reloads of the certificate by outcome",
            control.certificate_reloads.clone(),
        );
        registry.register(
            "insecure_switches",
            "How many insecure_ switches are on",
            control.insecure_switches.clone(),
        );
        registry.register(
            "store_ready",
            "1 while the store that replicas share can be used",
            control.store.ready.clone(),
        );
        registry.register(
            "store_operations",
            "Operations on the store by outcome",
            control.store.operations.clone(),
        );
        registry.register(
            "store_reconnects",
            "How often a lost connection to the store was replaced",
            control.store.reconnects.clone(),
        );
        control.probe.register(&mut registry);
        registry.register_collector(Box::new(Shards(workers)));
        Self { registry }
    }

    /// The text that Prometheus reads (`OpenMetrics` 1.0).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(fmt::Error) => String::from("# EOF\n"),
        }
    }
}

// === impl Shards ===

impl Shards {
    fn sum(&self, of: impl Fn(&WorkerMetrics) -> Option<&AtomicU64>) -> u64 {
        self.0
            .iter()
            .filter_map(|shard| of(shard))
            .map(|n| n.load(Ordering::Relaxed))
            .sum()
    }

    fn by_kind(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        kinds: &[&'static str],
        of: impl Fn(&WorkerMetrics, usize) -> Option<&AtomicU64>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (at, kind) in kinds.iter().enumerate() {
            let count = ConstCounter::new(self.sum(|shard| of(shard, at)));
            count.encode(family.encode_family(&KindLabel { kind })?)?;
        }
        Ok(())
    }
}

impl Collector for Shards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        {
            let mut family = encoder.encode_descriptor(
                "requests",
                "Answered requests by route and class of status",
                None,
                MetricType::Counter,
            )?;
            for (row, route) in ROUTES.iter().enumerate() {
                for (column, status) in STATUS_CLASSES.iter().enumerate() {
                    let count = self.sum(|shard| shard.requests.get(row)?.get(column));
                    if count > 0 {
                        let labels = RequestLabels { route, status };
                        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                    }
                }
            }
        }
        let admissions = ("admissions", "Decisions of the room rules");
        self.by_kind(&mut encoder, admissions, ADMISSIONS, |shard, at| {
            shard.admissions.get(at)
        })?;
        let cuts = (
            "cuts",
            "Sockets and streams that the gateway ended, by reason",
        );
        self.by_kind(&mut encoder, cuts, CUTS, |shard, at| shard.cuts.get(at))?;
        let gauges: [(&str, &str, Cell<AtomicI64>); 2] = [
            ("websockets_open", "Open WebSockets to Prosody", |shard| {
                &shard.sockets
            }),
            ("connections_open", "Open connections of clients", |shard| {
                &shard.connections
            }),
        ];
        for (name, help, of) in gauges {
            let sum: i64 = self
                .0
                .iter()
                .map(|shard| of(shard).load(Ordering::Relaxed))
                .sum();
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(sum).encode(metric)?;
        }
        let sessions = self.sum(|shard| Some(&shard.bosh_sessions));
        let (name, help) = ("bosh_sessions", "BOSH sessions created");
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(sessions).encode(metric)?;
        Ok(())
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn position(words: &[&str], word: &str) -> Option<usize> {
    words.iter().position(|known| *known == word)
}

/// `Route::label`, and what has no route.
const ROUTES: &[&str] = &[
    "asset",
    "room",
    "bosh",
    "websocket",
    "config",
    "home",
    "own",
    "api",
    "private",
    "closed",
    "no_room",
    "refused",
];

const STATUS_CLASSES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];

/// `Admission::as_str`.
const ADMISSIONS: &[&str] = &[
    "moderator",
    "participant",
    "wait",
    "guest",
    "sign_in",
    "no_rule",
    "closed",
    "not_allowed",
    "invitation_only",
    "not_yet",
    "over",
    "full",
];

/// `End::as_str`.
const CUTS: &[&str] = &["revoked", "expired", "shutdown"];

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn shards_are_summed() {
        let shards = vec![
            Arc::new(WorkerMetrics::default()),
            Arc::new(WorkerMetrics::default()),
        ];
        for shard in &shards {
            shard.answered("bosh", StatusCode::OK);
            shard.decided("moderator");
            shard.sockets(2);
        }
        shards[0].answered("made up", StatusCode::OK);
        let control = ControlMetrics::default();
        control
            .sign_ins
            .get_or_create(&OutcomeLabel { outcome: "ok" })
            .inc();
        let text = Metrics::new(shards, &control).encode();
        for line in [
            "gateway_requests_total{route=\"bosh\",status=\"2xx\"} 2",
            "gateway_admissions_total{kind=\"moderator\"} 2",
            "gateway_admissions_total{kind=\"closed\"} 0",
            "gateway_websockets_open 4",
            "gateway_sign_ins_total{outcome=\"ok\"} 1",
            "gateway_bosh_sessions_total 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("made up"));
    }
}
