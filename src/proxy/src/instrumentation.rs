//! Metrics and traces of the request path.

use std::time::Instant;

use http::{Method, Request};
use tracing::warn;

use crate::{
    Connection, RequestContext, RequestError, SharedState,
    body::Unread,
    endpoints::EndpointError,
    locations::LocationError,
    request_context::{ContextError, TrustedProxy},
    shard_upstreams::ForwardingError,
    signalling::SignallingError,
    upstream::{UpstreamBodyError, UpstreamError},
};
use model::{clock::Clock, route::Label};
use observe::{
    logs::LineLimit,
    metrics::{LimitKind, UpstreamFailure, UpstreamKind, WorkerMetrics},
    traces::RequestSpan,
};

/// Bounds the audit lines that strangers can cause.
#[derive(Debug)]
pub(crate) struct AuditQuota {
    refused_tokens: LineLimit,
    refused_keys: LineLimit,
    clock: Clock,
}

// === impl AuditQuota ===

impl AuditQuota {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            // One line a second, to see each refusal while an integration is being set up.
            refused_tokens: LineLimit::new(60, 600),
            // A wrong key is a mistake that one line tells, or a guess.
            refused_keys: LineLimit::new(1, 60),
            clock,
        }
    }

    /// Whether a `token_refused` line may be written, and how many were suppressed.
    pub(crate) fn permit_refused_token(&self, context: &RequestContext) -> Option<u64> {
        self.refused_tokens
            .permit(context.client.ip(), self.clock.now())
    }

    /// The same for `api_refused`.
    pub(crate) fn permit_refused_key(&self, context: &RequestContext) -> Option<u64> {
        self.refused_keys
            .permit(context.client.ip(), self.clock.now())
    }
}

/// Warns the operator of a proxy in front that is not set up as the gateway needs it: at most once
/// a minute for each proxy.
#[derive(Debug)]
pub(crate) struct ProxyWarnings {
    lines: LineLimit,
    clock: Clock,
}

// === impl ProxyWarnings ===

impl ProxyWarnings {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            // Deployments have two or three proxies.
            lines: LineLimit::new(1, 10),
            clock,
        }
    }

    /// The request counts as plain HTTP because its trusted proxy does not name the scheme.
    pub(crate) fn scheme_missing(&self, context: &RequestContext) {
        if let Some(proxy) = context.proxy.filter(|proxy| !proxy.states_scheme) {
            self.warn(proxy, || {
                "the proxy sends no X-Forwarded-Proto, so its requests count as plain HTTP and are \
                 redirected to HTTPS again and again; let it send X-Forwarded-Proto: https"
                    .to_owned()
            });
        }
    }

    /// A trusted proxy forwarded a request for another host.
    pub(crate) fn failed(&self, failure: &RequestError, context: &RequestContext) {
        if let (RequestError::Context(error @ ContextError::Misdirected { .. }), Some(proxy)) =
            (failure, context.proxy)
        {
            self.warn(proxy, || {
                format!("{error}; let the proxy forward the client's Host unchanged")
            });
        }
    }

    fn warn(&self, proxy: TrustedProxy, message: impl FnOnce() -> String) {
        if let Some(suppressed) = self.lines.permit(proxy.addr.ip(), self.clock.now()) {
            warn!(proxy.addr = %proxy.addr, suppressed, "{}", message());
        }
    }
}

/// Names the option of a limit that refuses requests: at most once a minute for each limit and worker. The metrics
/// have the numbers.
#[derive(Debug)]
pub(crate) struct LimitWarnings {
    requests: LineLimit,
    sign_ins: LineLimit,
    streams: LineLimit,
    upstream: LineLimit,
    clock: Clock,
}

// === impl LimitWarnings ===

impl LimitWarnings {
    pub(crate) fn new(clock: Clock) -> Self {
        let [requests, sign_ins, streams, upstream] = std::array::from_fn(|_| LineLimit::new(1, 1));
        Self {
            requests,
            sign_ins,
            streams,
            upstream,
            clock,
        }
    }

    /// A request failed; only those that an option of `[limits]` refuses are logged.
    pub(crate) fn failed(&self, failure: &RequestError, context: &RequestContext) {
        let (lines, limit, remedy) = match failure {
            RequestError::Context(ContextError::TooManyRequests) => (
                &self.requests,
                LimitKind::Requests,
                "limits.requests_per_minute, or listen.trusted_proxies if this is a proxy",
            ),
            RequestError::Context(ContextError::TooManySignIns) => (
                &self.sign_ins,
                LimitKind::SignIns,
                "limits.sign_ins_per_minute, or listen.trusted_proxies if this is a proxy",
            ),
            RequestError::Signalling(SignallingError::TooManyStreams) => (
                &self.streams,
                LimitKind::Streams,
                "limits.streams_per_session, or limits.connections_per_address for all sessions of an address",
            ),
            RequestError::Context(ContextError::ShareTaken)
            | RequestError::Forwarding(ForwardingError::Upstream(UpstreamError::Busy(_))) => (
                &self.upstream,
                LimitKind::UpstreamConnections,
                "limits.upstream_connections; one address has at most half of it, or listen.trusted_proxies if this is a proxy",
            ),
            _ => return,
        };
        if let Some(suppressed) = lines.permit(context.client.ip(), self.clock.now()) {
            let limit = limit.as_str();
            warn!(limit, client.addr = %context.client, suppressed, remedy, "refused a request");
        }
    }
}

/// Starts the span of a request, if requests are traced. A trace context counts only from a trusted
/// proxy.
pub(crate) fn begin_span<B>(
    state: &SharedState,
    request: &Request<B>,
    connection: Connection,
    context: &mut RequestContext,
) -> Option<(RequestSpan, Method)> {
    let traces = state.traces.as_ref()?;
    let trusted = !connection.anonymous && state.trusted_proxies.trust(connection.peer);
    let span = traces.begin(trusted.then(|| request.headers()));
    context.trace = Some(span.traceparent());
    Some((span, request.method().clone()))
}

/// Measures the time to the head of an upstream's response.
///
/// The caller awaits the response: a future that is passed to an `async fn` takes its room twice.
#[must_use = "the time is recorded by `record`"]
pub(crate) struct ResponseTimer<'m> {
    metrics: &'m WorkerMetrics,
    upstream: UpstreamKind,
    began: Instant,
}

// === impl ResponseTimer ===

impl<'m> ResponseTimer<'m> {
    pub(crate) fn start(metrics: &'m WorkerMetrics, upstream: UpstreamKind) -> Self {
        Self {
            metrics,
            upstream,
            began: Instant::now(),
        }
    }

    /// Records the time, if there is a response.
    pub(crate) fn record<T, E>(self, outcome: &Result<T, E>) {
        if outcome.is_ok() {
            let took = self.began.elapsed();
            self.metrics.count_upstream_response(self.upstream, took);
        }
    }
}

/// Counts errors of upstreams, and exceeded limits.
pub(crate) fn count_failure(metrics: &WorkerMetrics, failure: &RequestError, route: Label) {
    let upstream = match route {
        Label::Bosh | Label::WebSocket => UpstreamKind::Xmpp,
        Label::Location => UpstreamKind::Location,
        Label::ConferenceRequest => UpstreamKind::Jicofo,
        _ => UpstreamKind::Web,
    };
    match failure {
        RequestError::Forwarding(ForwardingError::Upstream(error)) => {
            if matches!(error, UpstreamError::Busy(_)) {
                metrics.count_limit(LimitKind::UpstreamConnections);
            }
            metrics.count_upstream_failure(upstream, error.kind());
        }
        RequestError::Forwarding(
            ForwardingError::Answer(_) | ForwardingError::Body(UpstreamBodyError::Broken(_)),
        ) => {
            metrics.count_upstream_failure(upstream, UpstreamFailure::InvalidResponse);
        }
        RequestError::Context(ContextError::ShareTaken) => {
            metrics.count_limit(LimitKind::UpstreamConnections);
        }
        RequestError::Context(ContextError::TooManyRequests) => {
            metrics.count_limit(LimitKind::Requests);
        }
        RequestError::Context(ContextError::TooManySignIns) => {
            metrics.count_limit(LimitKind::SignIns);
        }
        RequestError::Body(Unread::TooLarge) => metrics.count_limit(LimitKind::Body),
        RequestError::Body(Unread::Busy) => metrics.count_limit(LimitKind::BodyBytes),
        RequestError::Signalling(SignallingError::TooManyStreams) => {
            metrics.count_limit(LimitKind::Streams);
        }
        RequestError::Body(Unread::Lost) => metrics.count_limit(LimitKind::BodyTime),
        RequestError::Endpoint(EndpointError::TooManyStreams) => {
            metrics.count_limit(LimitKind::Events);
        }
        RequestError::Location(LocationError::TooManySockets) => {
            metrics.count_limit(LimitKind::Sockets);
        }
        // Also a body that goes silent, which its lease counts.
        _ => {}
    }
}
