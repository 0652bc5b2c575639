//! Metrics of the OpenID provider.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::labels::{ProviderOutcome, ProviderRequest, RevalidationResult};

/// Metrics of the OpenID provider.
#[derive(Clone, Debug)]
pub struct ProviderMetrics {
    /// 1 while the provider's configuration is known and fresh.
    pub ready: Gauge,
    /// When the keys in use were fetched, in seconds since 1970.
    pub keys_fetched: Gauge,
    requests: Family<ExchangeLabels, Counter>,
    durations: Family<RequestLabels, Histogram>,
    revalidations: Family<RevalidationLabels, Counter>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RevalidationLabels {
    result: RevalidationResult,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    request: ProviderRequest,
    outcome: ProviderOutcome,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    request: ProviderRequest,
}

// === impl ProviderMetrics ===

impl ProviderMetrics {
    /// Counts an exchange with the provider; `took` lasts until the whole response is read.
    pub fn count_request(
        &self,
        request: ProviderRequest,
        outcome: ProviderOutcome,
        took: Duration,
    ) {
        let labels = ExchangeLabels { request, outcome };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&RequestLabels { request })
            .observe(took.as_secs_f64());
    }

    /// Counts a revalidation of a session.
    pub fn count_revalidation(&self, result: RevalidationResult) {
        let labels = RevalidationLabels { result };
        self.revalidations.get_or_create(&labels).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
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
            "Requests to the OpenID provider by endpoint and outcome",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "provider_request_duration",
            "Duration of requests to the OpenID provider",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "session_revalidations",
            "Sessions that the OpenID provider was asked about again, by result",
            self.revalidations.clone(),
        );
    }
}

impl Default for ProviderMetrics {
    fn default() -> Self {
        let requests = Family::<ExchangeLabels, Counter>::default();
        for request in ProviderRequest::ALL {
            let labels = ExchangeLabels {
                request: *request,
                outcome: ProviderOutcome::Ok,
            };
            let _ = requests.get_or_create(&labels);
        }
        let revalidations = Family::<RevalidationLabels, Counter>::default();
        for result in RevalidationResult::ALL {
            let _ = revalidations.get_or_create(&RevalidationLabels { result: *result });
        }
        Self {
            revalidations,
            ready: Gauge::default(),
            keys_fetched: Gauge::default(),
            requests,
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }
}

/// Providers answer within tens of milliseconds; a request is abandoned after seconds.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
