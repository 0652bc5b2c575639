//! What the request path counts and records of itself.

use std::{future::Future, time::Instant};

use http::{Method, Request};

use super::{Connection, Facts, Failure, Worker, audit, visitor::Entrant};
use model::{
    room::RoomKey,
    route::{Label, Transport},
};
use observe::{
    metrics::{EntryRole, LimitKind, UpstreamFailure, UpstreamKind, WorkerMetrics},
    traces::RequestSpan,
};

/// A long poll under way; dropped before it was answered, it says that its connection broke.
#[derive(Debug)]
pub(super) struct Parting<'p> {
    pub(super) who: audit::Who<'p>,
    pub(super) facts: &'p Facts,
    pub(super) armed: bool,
}

// === impl Worker ===

impl Worker {
    /// The counters of this thread.
    pub fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// The span of a request, if requests are traced. Only a trusted proxy's word on the trace
    /// counts.
    pub(super) fn traced<B>(
        &self,
        request: &Request<B>,
        connection: Connection,
        facts: &mut Facts,
    ) -> Option<(RequestSpan, Method)> {
        let traces = self.gateway.traces.as_ref()?;
        let trusted =
            !connection.anonymous && self.gateway.trusted_proxies.contains(connection.peer);
        let span = traces.begin(trusted.then(|| request.headers()));
        facts.trace = Some(span.traceparent());
        Some((span, request.method().clone()))
    }

    /// Whether an audit line that a stranger caused may be written, and how many were suppressed.
    pub(super) fn permit_line(&self, facts: &Facts) -> Option<u64> {
        let now = self.gateway.clock.now();
        self.gateway.line_limit.permit(facts.client.ip(), now)
    }

    /// Somebody was let into a room.
    pub(super) fn record_entry(
        &self,
        entrant: &Entrant<'_>,
        room: &RoomKey,
        transport: Transport,
        facts: &Facts,
    ) {
        let role = entrant
            .grant()
            .map_or(EntryRole::Recorder, |grant| grant.role().into());
        self.metrics.count_entry(transport, role);
        audit::admitted(entrant, role.as_str(), room, transport, facts);
    }

    /// Waits for the head of an upstream's answer, and counts how long that took.
    pub(super) async fn timed<T, E>(
        &self,
        upstream: UpstreamKind,
        asking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let outcome = asking.await;
        if outcome.is_ok() {
            self.metrics
                .count_upstream_response(upstream, began.elapsed());
        }
        outcome
    }

    /// Counts what a failure says of our neighbours and limits.
    pub(super) fn count_failure(&self, failure: &Failure, route: Label) {
        let upstream = match route {
            Label::Bosh | Label::WebSocket => UpstreamKind::Xmpp,
            _ => UpstreamKind::Web,
        };
        match failure {
            Failure::Upstream(error) => self.metrics.count_upstream_failure(upstream, error.kind()),
            Failure::UpstreamAnswer(_) => {
                self.metrics
                    .count_upstream_failure(upstream, UpstreamFailure::InvalidResponse);
            }
            Failure::TooLarge => self.metrics.count_limit(LimitKind::Body),
            Failure::BodyLost => self.metrics.count_limit(LimitKind::BodyTime),
            Failure::TooManyStreams => self.metrics.count_limit(LimitKind::Events),
            _ => {}
        }
    }
}

// === impl Parting ===

impl Parting<'_> {
    /// It was answered, or ended by us.
    pub(super) fn over(mut self) {
        self.armed = false;
    }
}

impl Drop for Parting<'_> {
    fn drop(&mut self) {
        if self.armed {
            audit::left(&self.who, Transport::Bosh, "broken", self.facts);
        }
    }
}
