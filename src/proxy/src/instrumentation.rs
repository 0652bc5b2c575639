//! Metrics and traces of the request path.

use std::{future::Future, time::Instant};

use http::{Method, Request};

use crate::{
    Connection, RequestContext, RequestError, SharedState, body::Unread, endpoints::EndpointError,
    shard_upstreams::ForwardingError, signalling::SignallingError, upstream::UpstreamError,
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

/// Starts the span of a request, if requests are traced. A trace context counts only from a trusted
/// proxy.
pub(crate) fn begin_span<B>(
    state: &SharedState,
    request: &Request<B>,
    connection: Connection,
    context: &mut RequestContext,
) -> Option<(RequestSpan, Method)> {
    let traces = state.traces.as_ref()?;
    let trusted = !connection.anonymous && state.trusted_proxies.contains(connection.peer);
    let span = traces.begin(trusted.then(|| request.headers()));
    context.trace = Some(span.traceparent());
    Some((span, request.method().clone()))
}

/// Waits for the head of an upstream's response and records its latency.
pub(crate) async fn timed<T, E>(
    metrics: &WorkerMetrics,
    upstream: UpstreamKind,
    response: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    let outcome = response.await;
    if outcome.is_ok() {
        metrics.count_upstream_response(upstream, began.elapsed());
    }
    outcome
}

/// Counts errors of upstreams, and exceeded limits.
pub(crate) fn count_failure(metrics: &WorkerMetrics, failure: &RequestError, route: Label) {
    let upstream = match route {
        Label::Bosh | Label::WebSocket => UpstreamKind::Xmpp,
        _ => UpstreamKind::Web,
    };
    match failure {
        RequestError::Forwarding(ForwardingError::Upstream(error)) => {
            if matches!(error, UpstreamError::Busy(_)) {
                metrics.count_limit(LimitKind::UpstreamConnections);
            }
            metrics.count_upstream_failure(upstream, error.kind());
        }
        RequestError::Forwarding(ForwardingError::Answer(_)) => {
            metrics.count_upstream_failure(upstream, UpstreamFailure::InvalidResponse);
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
        _ => {}
    }
}
