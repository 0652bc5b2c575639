//! Metrics of the server certificates, and of the authority that issues them.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};

use super::{control::ReloadMetrics, labels::AcmeOutcome};

/// Metrics of the certificates.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    /// The ends of their validity.
    pub not_after: CertificateExpiries,
    /// Reloads of their files.
    pub reloads: ReloadMetrics,
}

/// The end of the validity of each certificate in use, by its first DNS name. There are as many series as
/// certificates are configured.
#[derive(Clone, Debug, Default)]
pub struct CertificateExpiries(Arc<ArcSwap<Vec<(String, u64)>>>);

/// Metrics of `[tls.acme]`.
#[derive(Clone, Debug, Default)]
pub struct AcmeMetrics {
    /// When a certificate was issued last, in seconds since 1970; 0 if none was since the start.
    pub last_success: Gauge,
    /// When the next order is due, in seconds since 1970.
    pub next_try: Gauge,
    last_error: Arc<ArcSwap<Option<String>>>,
    orders: Family<AcmeLabels, Counter>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AcmeLabels {
    outcome: AcmeOutcome,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.not_after.clone()));
        self.reloads.register("certificate", registry);
    }
}

// === impl CertificateExpiries ===

impl CertificateExpiries {
    /// Replaces all of them: names and seconds since 1970. A name may occur once.
    pub fn replace(&self, expiries: Vec<(String, u64)>) {
        self.0.store(Arc::new(expiries));
    }

    /// The expiries as they were replaced last.
    pub fn values(&self) -> Vec<(String, u64)> {
        self.0.load().to_vec()
    }
}

/// A collector rather than a registered family: the name of a replaced certificate disappears.
impl Collector for CertificateExpiries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let name = "certificate_not_after_timestamp_seconds";
        let help = "End of the validity of each certificate, in seconds since 1970";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (name, end) in self.0.load().iter() {
            let label = NameLabel { name: name.clone() };
            let end = ConstGauge::new(i64::try_from(*end).unwrap_or(i64::MAX));
            end.encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}

// === impl AcmeMetrics ===

impl AcmeMetrics {
    /// Counts an issued certificate.
    pub fn succeeded(&self, now_seconds: u64) {
        self.last_success
            .set(i64::try_from(now_seconds).unwrap_or(i64::MAX));
        self.last_error.store(Arc::default());
        self.count(AcmeOutcome::Ok);
    }

    /// Records that a certificate is in use which another replica ordered.
    pub fn settled(&self) {
        self.last_error.store(Arc::default());
    }

    /// Counts a failed order.
    pub fn failed(&self, error: &str) {
        self.last_error.store(Arc::new(Some(error.to_owned())));
        self.count(AcmeOutcome::Failed);
    }

    /// Why the last order failed; `None` if it did not.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.load().as_ref().clone()
    }

    /// The number of orders with this outcome.
    pub fn count_of(&self, outcome: AcmeOutcome) -> u64 {
        let count = self.orders.get(&AcmeLabels { outcome });
        count.map_or(0, |count| count.get())
    }

    fn count(&self, outcome: AcmeOutcome) {
        self.orders.get_or_create(&AcmeLabels { outcome }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for outcome in AcmeOutcome::ALL {
            let _ = self.orders.get_or_create(&AcmeLabels { outcome: *outcome });
        }
        registry.register(
            "acme_orders",
            "Orders of certificates by outcome",
            self.orders.clone(),
        );
        registry.register(
            "acme_last_success_timestamp_seconds",
            "When a certificate was issued last, in seconds since 1970; 0 if none was since the start",
            self.last_success.clone(),
        );
        registry.register(
            "acme_next_try_timestamp_seconds",
            "When the next order is due, in seconds since 1970",
            self.next_try.clone(),
        );
    }
}
