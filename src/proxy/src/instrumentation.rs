//! Metrics and traces of the request path.

use std::{future::Future, time::Instant};

use http::{Method, Request};

use crate::{
    Connection, RequestContext, RequestError, Worker, audit, body::Unread,
    endpoints::EndpointError, shard_upstreams::ForwardingError,
};
use model::route::{Label, Transport};
use observe::{
    logs::LineLimit,
    metrics::{LimitKind, UpstreamFailure, UpstreamKind, WorkerMetrics},
    traces::RequestSpan,
};

/// An in-flight long poll. Dropping it unanswered audits that the client's connection broke.
#[derive(Debug)]
pub(crate) struct PollGuard<'p> {
    pub(crate) who: audit::Who<'p>,
    pub(crate) context: &'p RequestContext,
    pub(crate) armed: bool,
}

// === impl Worker ===

impl Worker {
    /// The counters of this worker.
    pub fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// Starts the span of a request, if requests are traced. A trace context counts only from a trusted
    /// proxy.
    pub(crate) fn traced<B>(
        &self,
        request: &Request<B>,
        connection: Connection,
        context: &mut RequestContext,
    ) -> Option<(RequestSpan, Method)> {
        let traces = self.state.traces.as_ref()?;
        let trusted = !connection.anonymous && self.state.trusted_proxies.contains(connection.peer);
        let span = traces.begin(trusted.then(|| request.headers()));
        context.trace = Some(span.traceparent());
        Some((span, request.method().clone()))
    }

    /// Whether an audit line that a stranger caused may be written, and how many were suppressed.
    pub(crate) fn permit_line(&self, limit: &LineLimit, context: &RequestContext) -> Option<u64> {
        limit.permit(context.client.ip(), self.state.clock.now())
    }

    /// Waits for the head of an upstream's response and records its latency.
    pub(crate) async fn timed<T, E>(
        &self,
        upstream: UpstreamKind,
        response: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let outcome = response.await;
        if outcome.is_ok() {
            self.metrics
                .count_upstream_response(upstream, began.elapsed());
        }
        outcome
    }

    /// Counts errors of upstreams, and exceeded limits.
    pub(crate) fn count_failure(&self, failure: &RequestError, route: Label) {
        let upstream = match route {
            Label::Bosh | Label::WebSocket => UpstreamKind::Xmpp,
            _ => UpstreamKind::Web,
        };
        match failure {
            RequestError::Forwarding(ForwardingError::Upstream(error)) => {
                self.metrics.count_upstream_failure(upstream, error.kind());
            }
            RequestError::Forwarding(ForwardingError::Answer(_)) => {
                self.metrics
                    .count_upstream_failure(upstream, UpstreamFailure::InvalidResponse);
            }
            RequestError::Body(Unread::TooLarge) => self.metrics.count_limit(LimitKind::Body),
            RequestError::Body(Unread::Lost) => self.metrics.count_limit(LimitKind::BodyTime),
            RequestError::Endpoint(EndpointError::TooManyStreams) => {
                self.metrics.count_limit(LimitKind::Events)
            }
            _ => {}
        }
    }
}

// === impl PollGuard ===

impl PollGuard<'_> {
    /// Disarms the guard: the poll was answered, or the gateway ended it.
    pub(crate) fn over(mut self) {
        self.armed = false;
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            audit::left(&self.who, Transport::Bosh, "broken", self.context);
        }
    }
}
