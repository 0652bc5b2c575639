//! Metrics. Each worker has counters of its own, so that no two cores write to one cache line on
//! the request path; the control plane has separate metrics; `/metrics` sums them up.
//!
//! All label values are enums of this crate or names of the configuration, never a client's input.
//! `docs/metrics.md` lists every metric, and a test compares it with the program.

mod cache;
mod certificate;
mod control;
mod histogram;
mod journal;
mod label_counters;
mod labels;
mod probe;
mod process;
mod provider;
mod shards;
mod worker;
mod workers;

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};

pub use self::{
    cache::CacheMetrics,
    certificate::{AcmeMetrics, CertificateExpiries, CertificateMetrics},
    control::{ConfigHash, ControlMetrics, ReloadMetrics, StoreMetrics},
    journal::JournalMetrics,
    labels::{
        AcmeOutcome, AdmissionReason, ApiOperation, ApiOutcome, CacheOutcome, CutReason, EntryRole,
        Handshake, LabelValue, LimitKind, LogoutOutcome, PlacementOutcome, ProviderOutcome,
        ProviderRequest, ReloadOutcome, RevalidationResult, SignInReason, StatusClass,
        StoreOutcome, StreamKind, UpstreamFailure, UpstreamKind,
    },
    probe::{ProbeMetrics, ProbeVerdict},
    provider::{ProviderFamilies, ProviderMetrics},
    shards::{PlacementLabels, ShardLabel, ShardMetrics, ShardStateLabels},
    worker::{OpenStream, WorkerMetrics},
};
use self::{process::Process, workers::Workers};

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

// === impl Metrics ===

impl Metrics {
    /// Collects the metrics of `workers` and the control plane; `started` is the start time of the
    /// process in seconds since 1970.
    pub fn new(workers: Vec<Arc<WorkerMetrics>>, control: &ControlMetrics, started: u64) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process { started }));
        let prefixed = registry.sub_registry_with_prefix(PREFIX);
        prefixed.register(
            "build",
            "The program's version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        control.register(prefixed);
        prefixed.register_collector(Box::new(Workers(workers)));
        Self { registry }
    }

    /// The exposition in the `OpenMetrics` 1.0 text format, of the media type [`OPENMETRICS`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Infallible in practice: a `String` takes every write.
            Err(fmt::Error) => String::from("# EOF\n"),
        }
    }
}

/// The media type of the exposition (`OpenMetrics` 1.0 § 4.1.1). Prometheus, `VictoriaMetrics`,
/// Grafana Alloy and the OpenTelemetry Collector read it.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "jitsi_auth_gateway";

#[cfg(test)]
mod tests;
