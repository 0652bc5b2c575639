//! What the request path counts and records of itself.

use std::{future::Future, time::Instant};

use http::{Method, Request};

use super::{Connection, Facts, Failure, Worker, audit, visitor::Entrant};
use model::{
    room::RoomKey,
    route::{Label, Transport},
};
use observe::{
    metrics::{Limit, Upstream, WorkerMetrics},
    traces::Span,
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
    ) -> Option<(Span, Method)> {
        let traces = self.gateway.traces.as_ref()?;
        let trusted =
            !connection.anonymous && self.gateway.trusted_proxies.contains(connection.peer);
        let span = traces.begin(trusted.then(|| request.headers()));
        facts.trace = Some(span.traceparent());
        Some((span, request.method().clone()))
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
            .map_or("recorder", |grant| grant.role().as_str());
        self.metrics.entered(transport, role);
        audit::admitted(entrant, role, room, transport, facts);
    }

    /// Waits for the head of an upstream's answer, and counts how long that took.
    pub(super) async fn timed<T, E>(
        &self,
        upstream: Upstream,
        asking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let outcome = asking.await;
        if outcome.is_ok() {
            self.metrics.upstream_answered(upstream, began.elapsed());
        }
        outcome
    }

    /// Counts what a failure says of our neighbours and limits.
    pub(super) fn count_failure(&self, failure: &Failure, route: Label) {
        let upstream = match route {
            Label::Bosh | Label::WebSocket => Upstream::Xmpp,
            _ => Upstream::Web,
        };
        match failure {
            Failure::Upstream(error) => self.metrics.upstream_failed(upstream, error.as_str()),
            Failure::UpstreamAnswer(_) => self.metrics.upstream_failed(upstream, "nonsense"),
            Failure::TooLarge => self.metrics.limited(Limit::Body),
            Failure::BodyLost => self.metrics.limited(Limit::BodyTime),
            Failure::TooManyStreams => self.metrics.limited(Limit::Events),
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
