//! Metrics of the OpenID providers.

mod sign_ins;

use std::{fmt, sync::Arc, time::Duration};

use model::clock::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::sign_ins::{SignInCounters, SignInFamilies};
use super::labels::{
    LogoutOutcome, ProviderOutcome, ProviderRequest, RevalidationResult, SignInReason,
};

/// The metrics of all OpenID providers of a deployment.
#[derive(Clone, Debug)]
pub struct ProviderFamilies {
    ready: Family<ProviderLabel, Gauge>,
    keys_fetched: Family<ProviderLabel, Gauge>,
    client_certificate_ends: Family<ProviderLabel, Gauge>,
    requests: Family<ExchangeLabels, Counter>,
    durations: Family<RequestLabels, Histogram>,
    revalidations: Family<RevalidationLabels, Counter>,
    sign_ins: SignInFamilies,
}

/// The metrics of one OpenID provider.
#[derive(Clone, Debug)]
pub struct ProviderMetrics {
    /// 1 while the provider's configuration is known and fresh.
    pub ready: Gauge,
    /// When the keys in use were fetched, in seconds since 1970.
    pub keys_fetched: Gauge,
    families: ProviderFamilies,
    sign_ins: Arc<SignInCounters>,
    provider: ProviderLabel,
}

/// The id of one of several providers; the only provider has no label.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
struct ProviderLabel(Option<Arc<str>>);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RevalidationLabels {
    #[prometheus(flatten)]
    provider: ProviderLabel,
    result: RevalidationResult,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    #[prometheus(flatten)]
    provider: ProviderLabel,
    request: ProviderRequest,
    outcome: ProviderOutcome,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    #[prometheus(flatten)]
    provider: ProviderLabel,
    request: ProviderRequest,
}

// === impl ProviderMetrics ===

impl ProviderMetrics {
    /// The id of one of several providers.
    pub fn provider(&self) -> Option<&str> {
        self.provider.0.as_deref()
    }

    /// Exposes when the certificate of the client's key ends; a client without one has no series.
    pub fn set_client_certificate_end(&self, end: Timestamp) {
        let ends = &self.families.client_certificate_ends;
        ends.get_or_create(&self.provider)
            .set(end.as_unix().try_into().unwrap_or(i64::MAX));
    }

    /// Counts an exchange with the provider; `took` lasts until the whole response is read.
    pub fn count_request(
        &self,
        request: ProviderRequest,
        outcome: ProviderOutcome,
        took: Duration,
    ) {
        let provider = self.provider.clone();
        let labels = ExchangeLabels {
            provider: provider.clone(),
            request,
            outcome,
        };
        self.families.requests.get_or_create(&labels).inc();
        self.families
            .durations
            .get_or_create(&RequestLabels { provider, request })
            .observe(took.as_secs_f64());
    }

    /// Counts a redirect to the provider.
    pub fn count_sign_in_start(&self) {
        self.sign_ins.started.inc();
    }

    /// Counts the end of a sign-in.
    pub fn count_sign_in(&self, reason: SignInReason) {
        self.sign_ins.ended.of(reason).inc();
    }

    /// Counts a back-channel logout request.
    pub fn count_backchannel_logout(&self, outcome: LogoutOutcome) {
        self.sign_ins.backchannel_logouts.of(outcome).inc();
    }

    /// Counts a front-channel logout request.
    pub fn count_frontchannel_logout(&self, outcome: LogoutOutcome) {
        self.sign_ins.frontchannel_logouts.of(outcome).inc();
    }

    /// Counts a revalidation of a session.
    pub fn count_revalidation(&self, result: RevalidationResult) {
        let provider = self.provider.clone();
        let labels = RevalidationLabels { provider, result };
        self.families.revalidations.get_or_create(&labels).inc();
    }
}

/// The metrics of the only provider.
impl Default for ProviderMetrics {
    fn default() -> Self {
        ProviderFamilies::default().of(None)
    }
}

// === impl ProviderFamilies ===

impl ProviderFamilies {
    /// The metrics of one of several providers, by its id, or of the only one.
    pub fn of(&self, provider: Option<&str>) -> ProviderMetrics {
        let provider = ProviderLabel(provider.map(Arc::from));
        for request in ProviderRequest::ALL {
            let labels = ExchangeLabels {
                provider: provider.clone(),
                request: *request,
                outcome: ProviderOutcome::Ok,
            };
            let _ = self.requests.get_or_create(&labels);
        }
        for result in RevalidationResult::ALL {
            let labels = RevalidationLabels {
                provider: provider.clone(),
                result: *result,
            };
            let _ = self.revalidations.get_or_create(&labels);
        }
        ProviderMetrics {
            ready: self.ready.get_or_create_owned(&provider),
            keys_fetched: self.keys_fetched.get_or_create_owned(&provider),
            families: self.clone(),
            sign_ins: Arc::new(self.sign_ins.of(&provider)),
            provider,
        }
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
            "provider_client_certificate_not_after_timestamp_seconds",
            "When the certificate expires by which the OpenID provider knows the gateway, in seconds since 1970",
            self.client_certificate_ends.clone(),
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
        self.sign_ins.register(registry);
    }
}

impl Default for ProviderFamilies {
    fn default() -> Self {
        Self {
            ready: Family::default(),
            keys_fetched: Family::default(),
            client_certificate_ends: Family::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            revalidations: Family::default(),
            sign_ins: SignInFamilies::default(),
        }
    }
}

// === impl ProviderLabel ===

impl EncodeLabelSet for ProviderLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        match &self.0 {
            Some(id) => ("provider", &**id).encode(encoder.encode_label()),
            None => Ok(()),
        }
    }
}

/// Providers answer within tens of milliseconds; a request is abandoned after seconds.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
