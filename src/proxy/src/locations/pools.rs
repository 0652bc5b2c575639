//! A worker's connections to the servers of locations.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use http::{Request, Response, uri::Authority};
use hyper::body::Incoming;
use model::route::LocationUpstream;
use observe::metrics::UpstreamKind;

use crate::{
    RequestError, Worker,
    instrumentation::ResponseTimer,
    upstream::{FailureCounter, Place, RequestBody, UpstreamBody, UpstreamPool},
};

/// One worker's connection pools to the servers that were needed so far.
#[derive(Debug, Default)]
pub(crate) struct LocationPools(RefCell<HashMap<Authority, UpstreamPool>>);

// === impl LocationPools ===

impl LocationPools {
    fn of(&self, server: &Authority, open: impl FnOnce() -> UpstreamPool) -> UpstreamPool {
        let mut pools = self.0.borrow_mut();
        // The configuration has few servers, and no request can name another.
        pools.entry(server.clone()).or_insert_with(open).clone()
    }
}

/// Sends a request to the server of a location and waits for the head of the response.
pub(super) async fn send(
    worker: &Worker,
    to: &LocationUpstream,
    request: Request<RequestBody>,
    retry: bool,
) -> Result<Response<UpstreamBody>, RequestError> {
    let within = worker.jitsi()?.upstream.web_timeout;
    let timer = ResponseTimer::start(&worker.metrics, UpstreamKind::Location);
    Ok(match to {
        LocationUpstream::Web => {
            let shard = worker.upstreams.default_shard()?;
            let answer = shard.web.send(request, within, retry).await;
            timer.record(&answer);
            worker.upstreams.note_outcome(&shard, answer)?
        }
        LocationUpstream::Server(server) => {
            let pool = pool_of(worker, server)?;
            let answer = pool.send(request, within, retry).await;
            timer.record(&answer);
            answer?
        }
    })
}

/// The same on a connection of its own, for an upgrade; with its place among the connections.
pub(super) async fn send_dedicated(
    worker: &Worker,
    to: &LocationUpstream,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Place), RequestError> {
    let within = worker.jitsi()?.upstream.web_timeout;
    let timer = ResponseTimer::start(&worker.metrics, UpstreamKind::Location);
    Ok(match to {
        LocationUpstream::Web => {
            let shard = worker.upstreams.default_shard()?;
            let answer = shard.web.send_dedicated(request, within).await;
            timer.record(&answer);
            worker.upstreams.note_outcome(&shard, answer)?
        }
        LocationUpstream::Server(server) => {
            let pool = pool_of(worker, server)?;
            let answer = pool.send_dedicated(request, within).await;
            timer.record(&answer);
            answer?
        }
    })
}

fn pool_of(worker: &Worker, server: &Authority) -> Result<UpstreamPool, RequestError> {
    let settings = &worker.jitsi()?.upstream;
    let most = worker.state.limits.upstream_connections;
    let open = || {
        UpstreamPool::new(
            server.clone(),
            settings.connect_timeout,
            settings.idle,
            most,
            FailureCounter::new(Arc::clone(&worker.metrics), UpstreamKind::Location),
        )
    };
    Ok(worker.location_pools.of(server, open))
}
