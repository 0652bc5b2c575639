//! The admin listener: `/livez`, `/readyz`, `/metrics`, `/shards`, for probes and operators, not for
//! people.

mod order;
mod revoke;
mod shards;

use std::{collections::BTreeMap, convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::server::Listener;
use cluster::{
    placement::Placement,
    presence::Presence,
    revocation::Revocations,
    store::{State, Store},
};
use observe::metrics::{ControlMetrics, Metrics, OPENMETRICS, ProbeMetrics, ProbeVerdict};
use oidc::{RelyingParty, Status};

/// What the admin listener tells.
pub struct Admin {
    /// All counters.
    pub metrics: Metrics,
    /// Those that are set when somebody reads them.
    pub control: ControlMetrics,
    /// Who is in which room.
    pub presence: Arc<Presence>,
    /// Whether people can sign in, where they have accounts.
    pub relying_party: Option<Arc<RelyingParty>>,
    /// Where an operator's word ends sessions.
    pub revocations: Arc<Revocations>,
    /// What replicas share.
    pub store: Arc<dyn Store>,
    /// Whether people can log in at Prosody.
    pub probe: ProbeMetrics,
    /// Switches that weaken the gateway and are on.
    pub weakened: Vec<&'static str>,
    /// Which shards there are, if there can be any.
    pub placement: Option<Arc<Placement>>,
    /// Cancelled when the gateway stops: from then on it is not ready.
    pub draining: CancellationToken,
}

// === impl Admin ===

impl Admin {
    /// Answers until told to stop.
    pub async fn serve(
        self: Arc<Self>,
        listener: Listener,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let socket = listener.into_tokio()?;
        while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    warn!(%error, "cannot accept connections on the admin listener");
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let admin = Arc::clone(&self);
            let stopped = stop.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let admin = Arc::clone(&admin);
                    async move { Ok::<_, Infallible>(admin.reply(request, peer).await) }
                });
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                if let Some(Err(error)) = stopped.run_until_cancelled(serving).await {
                    debug!(%error, "an admin connection broke off");
                }
            });
        }
        Ok(())
    }

    async fn reply(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if path == "/shards" || path.starts_with("/shards/") {
            return self.shards(request, peer).await;
        }
        if path == "/revoke" {
            return self.revoke(request, peer).await;
        }
        self.answer(&request)
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(
                StatusCode::METHOD_NOT_ALLOWED,
                PLAIN,
                "only GET is answered here\n".into(),
            );
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, PLAIN, "alive\n".into()),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => text(
                StatusCode::NOT_FOUND,
                PLAIN,
                "try /livez, /readyz, /metrics, /shards or /revoke\n".into(),
            ),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let set = |gauge: &Gauge, n: usize| gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        let (rooms, people) = self.presence.totals();
        set(&self.control.rooms, rooms);
        set(&self.control.people, people);
        if let Some(provider) = &self.relying_party {
            let ready = provider.status() == Status::Ready;
            set(&provider.metrics().ready, usize::from(ready));
        }
        let ready = !self.draining.is_cancelled();
        set(&self.control.ready, usize::from(ready));
        text(StatusCode::OK, OPENMETRICS, self.metrics.encode())
    }

    /// Not ready only while stopping. A provider, store or Prosody that is down is told of, but takes
    /// nobody out of a balancer: all replicas have the same ones, so that none would do better, and a
    /// front door that is gone shows people less than one that says what is wrong.
    fn readiness(&self) -> Response<Full<Bytes>> {
        let provider = self
            .relying_party
            .as_ref()
            .map(|provider| provider.status());
        let draining = self.draining.is_cancelled();
        let mut reasons = Vec::new();
        if draining {
            reasons.push("the gateway is stopping".to_owned());
        }
        if let Some(Status::NotYet { reason } | Status::Stale { reason }) = &provider {
            reasons.push(format!("OpenID provider: {reason}"));
        }
        let store = self.store.state();
        if let State::Unreachable { reason } = &store {
            reasons.push(format!("store: {reason}"));
        }
        let backends = self.probe.verdicts();
        for (backend, verdict) in &backends {
            match verdict {
                ProbeVerdict::Ok => {}
                ProbeVerdict::Open => {
                    reasons.push(format!("{backend}: Prosody lets people in without a token"));
                }
                _ => {
                    let reason = verdict.as_str();
                    reasons.push(format!(
                        "{backend}: nobody can log in at Prosody ({reason})"
                    ));
                }
            }
        }
        let words = backends.iter();
        let backends: BTreeMap<_, _> = words
            .map(|(backend, verdict)| (backend, verdict.as_str()))
            .collect();
        reasons.extend(
            self.weakened
                .iter()
                .map(|switch| format!("`{switch}` is on")),
        );
        if self.control.config.is_failing() {
            reasons.push("the last reload of the configuration failed; see the log".to_owned());
        }
        let certificate = self.control.certificate.as_ref();
        if certificate.is_some_and(|certificate| certificate.reloads.is_failing()) {
            reasons.push("the new certificate cannot be used; see the log".to_owned());
        }
        let view = self.placement.as_ref().map(|placement| placement.view());
        let shards = view.filter(|view| view.is_sharded());
        let shards = shards.map(|view| shards::readiness(&view));
        if let Some((_, lost)) = &shards {
            reasons.extend_from_slice(lost);
        }
        let (status, word) = match (draining, reasons.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (false, true) => (StatusCode::OK, "ready"),
            (false, false) => (StatusCode::OK, "degraded"),
        };
        let mut body = json!({
            "status": word,
            "provider": provider.as_ref().map_or("none", Status::as_str),
            "store": store.as_str(),
            "backends": backends,
            "reasons": reasons,
        });
        if let (Some((shards, _)), Some(body)) = (shards, body.as_object_mut()) {
            body.insert("shards".to_owned(), shards);
        }
        text(status, "application/json", format!("{body}\n"))
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

const PLAIN: &str = "text/plain; charset=utf-8";
const BACK_OFF: Duration = Duration::from_millis(100);
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
