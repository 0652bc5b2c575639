//! Counters of one worker. The request path adds to memory that no other core writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use super::{
    histogram::Durations,
    label_counters::{Count, PerLabel},
    labels::{
        AdmissionReason, ApiOperation, ApiOutcome, CacheOutcome, CutReason, EntryRole, Handshake,
        LimitKind, StatusClass, StreamKind, UpstreamFailure, UpstreamKind,
    },
};
use model::{
    policy::Admission,
    route::{Label, Transport},
};

/// Counters of one worker.
///
/// Aligned to two cache lines, which x86 prefetches in pairs, so that no two workers share one.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    pub(super) requests: PerLabel<
        Label,
        PerLabel<StatusClass, Count, { StatusClass::ALL.len() }>,
        { Label::ALL.len() },
    >,
    pub(super) request_durations: PerLabel<Label, Durations, { Label::ALL.len() }>,
    pub(super) admissions: PerLabel<AdmissionReason, Count, { AdmissionReason::ALL.len() }>,
    pub(super) entries:
        PerLabel<Transport, PerLabel<EntryRole, Count, { EntryRole::ALL.len() }>, TRANSPORTS>,
    pub(super) cuts:
        PerLabel<Transport, PerLabel<CutReason, Count, { CutReason::ALL.len() }>, TRANSPORTS>,
    pub(super) location_cuts: PerLabel<CutReason, Count, { CutReason::ALL.len() }>,
    pub(super) renewals: Count,
    pub(super) api_requests: PerLabel<
        ApiOperation,
        PerLabel<ApiOutcome, Count, { ApiOutcome::ALL.len() }>,
        { ApiOperation::ALL.len() },
    >,
    pub(super) upstream_durations: PerLabel<UpstreamKind, Durations, { UpstreamKind::ALL.len() }>,
    pub(super) upstream_failures: PerLabel<
        UpstreamKind,
        PerLabel<UpstreamFailure, Count, { UpstreamFailure::ALL.len() }>,
        { UpstreamKind::ALL.len() },
    >,
    pub(super) cache_requests: PerLabel<CacheOutcome, Count, { CacheOutcome::ALL.len() }>,
    pub(super) bosh_waits: Durations,
    pub(super) bosh_sessions: Count,
    pub(super) limits: PerLabel<LimitKind, Count, { LimitKind::ALL.len() }>,
    pub(super) handshakes: PerLabel<Handshake, Count, { Handshake::ALL.len() }>,
    pub(super) streams: PerLabel<StreamKind, AtomicI64, { StreamKind::ALL.len() }>,
    pub(super) connections: AtomicI64,
}

/// An open stream; decrements the gauge on drop.
#[derive(Debug)]
pub struct OpenStream {
    metrics: Arc<WorkerMetrics>,
    kind: StreamKind,
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// Counts a response; `took` lasts from the request's head to the response's head.
    pub fn count_response(&self, route: Label, status: StatusCode, took: Duration) {
        self.requests.of(route).of(status.into()).increment();
        self.request_durations.of(route).add(took);
    }

    /// Counts a decision of the policy.
    pub fn count_admission(&self, admission: &Admission<'_>) {
        self.admissions.of(admission.into()).increment();
    }

    /// Counts an admitted connection to Prosody.
    pub fn count_entry(&self, transport: Transport, role: EntryRole) {
        self.entries.of(transport).of(role).increment();
    }

    /// Counts a WebSocket or BOSH session that the gateway closed.
    pub fn count_cut(&self, transport: Transport, reason: CutReason) {
        self.cuts.of(transport).of(reason).increment();
    }

    /// Counts a WebSocket or request of a location that the gateway ended.
    pub fn count_location_cut(&self, reason: CutReason) {
        self.location_cuts.of(reason).increment();
    }

    /// Counts a session cookie that was issued again because its session is in use.
    pub fn count_renewal(&self) {
        self.renewals.increment();
    }

    /// Counts a request to the API.
    pub fn count_api_request(&self, operation: ApiOperation, outcome: ApiOutcome) {
        self.api_requests.of(operation).of(outcome).increment();
    }

    /// Counts an upstream's response; `took` lasts until its head.
    pub fn count_upstream_response(&self, upstream: UpstreamKind, took: Duration) {
        self.upstream_durations.of(upstream).add(took);
    }

    /// Counts an upstream that gave no usable response.
    pub fn count_upstream_failure(&self, upstream: UpstreamKind, failure: UpstreamFailure) {
        self.upstream_failures.of(upstream).of(failure).increment();
    }

    /// Counts a request for a static file.
    pub fn count_cache_request(&self, outcome: CacheOutcome) {
        self.cache_requests.of(outcome).increment();
    }

    /// Counts a long poll; `took` lasts until Prosody's response.
    pub fn count_poll(&self, took: Duration) {
        self.bosh_waits.add(took);
    }

    /// Counts a created BOSH session.
    pub fn count_bosh_session(&self) {
        self.bosh_sessions.increment();
    }

    /// Counts a request or connection that a limit refused.
    pub fn count_limit(&self, limit: LimitKind) {
        self.limits.of(limit).increment();
    }

    /// How often a limit refused something.
    pub fn refusals(&self, limit: LimitKind) -> u64 {
        self.limits.of(limit).get()
    }

    /// Counts a TLS handshake with a client.
    pub fn count_handshake(&self, outcome: Handshake) {
        self.handshakes.of(outcome).increment();
    }

    /// Counts a stream as open until the returned guard is dropped.
    pub fn open_stream(self: &Arc<Self>, kind: StreamKind) -> OpenStream {
        self.streams.of(kind).fetch_add(1, Ordering::Relaxed);
        OpenStream {
            metrics: Arc::clone(self),
            kind,
        }
    }

    /// Adds to the number of open connections; negative when some closed.
    pub fn add_connections(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// The number of open WebSockets.
    pub fn open_sockets(&self) -> i64 {
        self.open_streams(StreamKind::WebSocket) + self.open_streams(StreamKind::Location)
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn open_streams(&self, kind: StreamKind) -> i64 {
        self.streams.of(kind).load(Ordering::Relaxed)
    }
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            requests: PerLabel::default(),
            request_durations: PerLabel::new(Durations::of_responses),
            admissions: PerLabel::default(),
            entries: PerLabel::default(),
            cuts: PerLabel::default(),
            location_cuts: PerLabel::default(),
            renewals: Count::default(),
            api_requests: PerLabel::default(),
            upstream_durations: PerLabel::new(Durations::of_responses),
            upstream_failures: PerLabel::default(),
            cache_requests: PerLabel::default(),
            bosh_waits: Durations::of_polls(),
            bosh_sessions: Count::default(),
            limits: PerLabel::default(),
            handshakes: PerLabel::default(),
            streams: PerLabel::default(),
            connections: AtomicI64::default(),
        }
    }
}

// === impl OpenStream ===

impl Drop for OpenStream {
    fn drop(&mut self) {
        let open = self.metrics.streams.of(self.kind);
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

const TRANSPORTS: usize = 2;
