//! The admin listener, for probes, Prometheus and operators.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process serves |
//! | `/readyz` | readiness and its reasons as JSON: `readiness` |
//! | `/metrics` | counters of all workers and of the control plane |
//! | `/shards` | states of shards; `POST /shards/NAME` overrides one: `shards` |
//! | `/cache/purge` | `POST` empties the cache of Jitsi's files: `cache` |
//! | `/revoke` | `POST` revokes sessions or a link: `revoke` |
//! | `/rooms`, `/sessions` | who is in which room: [`listing`] |
//!
//! It has no authentication and is bound to loopback by default. What changes state or names people
//! passes `operator_request`, which admits local clients only.

mod cache;
pub mod listing;
mod operator_request;
mod readiness;
mod revoke;
mod shards;

use std::{io, sync::Arc};

use bytes::Bytes;
use cluster::{
    journal::Journal, placement::Placement, presence::Presence, revocation::Revocations,
    store::Store,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use model::{clock::Clock, headers::PeerAddr};
use observe::metrics::{ControlMetrics, Metrics, OPENMETRICS, ProbeMetrics};
use oidc::{ProviderStatus, RelyingParties};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use crate::{
    AssetCache,
    server::{BoundListener, ListenerStop, serve_control_http},
    stream_directory::StreamDirectory,
};

/// The parts of the gateway that the admin listener reports on or changes.
pub struct AdminServer {
    /// The registry of all metrics.
    pub metrics: Metrics,
    /// Gauges of the control plane; some are set when they are read.
    pub control: ControlMetrics,
    /// Rooms and their occupants.
    pub presence: Arc<Presence>,
    /// The open streams of this replica.
    pub streams: Arc<StreamDirectory>,
    /// The OIDC clients; `None` without accounts.
    pub relying_parties: Option<RelyingParties>,
    /// Target of `/revoke`.
    pub revocations: Arc<Revocations>,
    /// The store that replicas share.
    pub store: Arc<dyn Store>,
    /// What this replica keeps on its disk.
    pub journal: Option<Journal>,
    /// Outcomes of the periodic login at Prosody.
    pub probe: ProbeMetrics,
    /// The clock of the certificates' validity.
    pub clock: Clock,
    /// Names of the `insecure_*` options that are set.
    pub insecure_switches: Vec<&'static str>,
    /// Shards; `None` without a Jitsi.
    pub placement: Option<Arc<Placement>>,
    /// Target of `/cache/purge`; `None` if the cache is disabled.
    pub asset_cache: Option<Arc<AssetCache>>,
    /// Cancelled when the public listeners accept connections; `/readyz` fails until then.
    pub opened: CancellationToken,
    /// Cancelled at the start of a shutdown; `/readyz` fails from then on.
    pub draining: CancellationToken,
}

// === impl AdminServer ===

impl AdminServer {
    /// Serves the listener until it is stopped.
    pub async fn serve(
        self: Arc<Self>,
        listener: BoundListener,
        stop: ListenerStop,
    ) -> io::Result<()> {
        let handle = move |request, peer| {
            let admin = Arc::clone(&self);
            async move { admin.handle(request, peer).await }
        };
        serve_control_http("admin", listener, handle, stop).await
    }

    async fn handle(&self, request: Request<Incoming>, peer: PeerAddr) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/revoke" => self.revoke(request, peer).await,
            "/rooms" | "/sessions" => self.listing(&request, peer),
            "/cache/purge" => self.purge_cache(request, peer).await,
            path if path == "/shards" || path.starts_with("/shards/") => {
                self.shards(request, peer).await
            }
            _ => self.report(&request),
        }
    }

    fn report<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return text(status, PLAIN, "only GET and HEAD are allowed\n".into());
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, PLAIN, "alive\n".into()),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => text(
                StatusCode::NOT_FOUND,
                PLAIN,
                "try /livez, /readyz, /metrics, /shards, /rooms, /sessions, /revoke or /cache/purge\n".into(),
            ),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let set = |gauge: &Gauge, n: usize| gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        let totals = self.presence.totals();
        let (rooms, people) = (totals.rooms, totals.occupants);
        set(&self.control.rooms, rooms);
        set(&self.control.people, people);
        for provider in self.relying_parties.iter().flat_map(RelyingParties::iter) {
            let ready = provider.status() == ProviderStatus::Ready;
            set(&provider.metrics().ready, usize::from(ready));
        }
        let ready = self.opened.is_cancelled() && !self.draining.is_cancelled();
        set(&self.control.ready, usize::from(ready));
        let body = self.metrics.encode();
        text(StatusCode::OK, OPENMETRICS, body)
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
