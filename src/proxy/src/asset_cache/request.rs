//! A request for a static file: answered from the cache, by a fetch, or forwarded.

use std::{rc::Rc, sync::Arc};

use http::{Request, Response, StatusCode};
use tokio::sync::watch;

use super::{
    AssetCache, AssetKey, FillOutcome, Joined, Slot, StoredAsset, fill::Fill, key::is_cacheable,
};
use crate::server::ClientBody;
use crate::{Body, RequestError, Worker, shard_upstreams::ShardUpstreams, upstream::UpstreamError};
use model::{
    caching::{AcceptedCodings, CacheDemands, Exchange},
    clock::Timestamp,
    headers::ClientAddr,
    path::CanonicalPath,
    route::is_static_file,
};
use observe::metrics::CacheOutcome;

/// A request that the cache may answer.
#[derive(Debug)]
pub(crate) struct AssetRequest {
    cache: Arc<AssetCache>,
    key: AssetKey,
    upstreams: Rc<ShardUpstreams>,
    accepted: AcceptedCodings,
    demands: CacheDemands,
    received: Timestamp,
}

/// What the table has for a request.
enum Found {
    Fresh(Arc<StoredAsset>),
    /// To be fetched; or to be validated, if there is a stale file.
    ToFetch(Option<Arc<StoredAsset>>),
    ToForward,
}

// === impl AssetRequest ===

impl AssetRequest {
    /// A GET or HEAD for this web server; `None` if the cache has nothing to do with it.
    pub(crate) fn of(
        worker: &Worker,
        request: &Request<ClientBody>,
        path: &CanonicalPath,
        upstreams: &Rc<ShardUpstreams>,
    ) -> Option<Self> {
        let cache = worker.state.asset_cache.as_ref()?;
        if !is_static_file(path) || !is_cacheable(request) {
            return None;
        }
        let accepted = AcceptedCodings::of(request.headers());
        let query = request.uri().query().unwrap_or_default();
        Some(Self {
            key: AssetKey::new(upstreams.web_authority(), path, query, accepted.to_ask())?,
            cache: Arc::clone(cache),
            upstreams: Rc::clone(upstreams),
            accepted,
            demands: CacheDemands::of(request.headers()),
            received: cache.clock.now(),
        })
    }

    /// Answers the request from the cache; `None` if it has to be forwarded.
    ///
    /// A fetch takes a connection of the share of the client that causes it, as a forwarded request does.
    pub(crate) async fn answer(
        &self,
        worker: &Rc<Worker>,
        request: &Request<ClientBody>,
        client: &ClientAddr,
    ) -> Result<Option<Response<Body>>, RequestError> {
        let stale = match self.find() {
            Found::Fresh(stored) => {
                return Ok(self.respond(worker, request, &stored, CacheOutcome::Hit));
            }
            _ if self.demands.only_stored => return Ok(Some(gateway_timeout())),
            Found::ToForward => return Ok(None),
            Found::ToFetch(stale) => stale,
        };
        let settled = || matches!(self.find(), Found::Fresh(_) | Found::ToForward);
        let (waiter, joined) = match self.cache.fetches.join(&self.key, settled) {
            Joined::Settled => {
                return Ok(match self.find() {
                    Found::Fresh(stored) => {
                        self.respond(worker, request, &stored, CacheOutcome::Collapsed)
                    }
                    Found::ToFetch(_) | Found::ToForward => None,
                });
            }
            Joined::Full => return Ok(None),
            Joined::Under(waiter) => (waiter, true),
            Joined::Begun(fetch, waiter) => {
                let limited = worker.state.limited_client(client);
                let place = limited.map(|client| worker.web_shares.try_take(client));
                // Forwarded, the request waits for one, and the others do not wait with it.
                if let Some(None) = place {
                    return Ok(None);
                }
                let fill = Fill {
                    worker: Rc::clone(worker),
                    cache: Arc::clone(&self.cache),
                    key: self.key.clone(),
                    upstreams: Rc::clone(&self.upstreams),
                    stale: stale.clone(),
                    _place: place.flatten(),
                };
                // A task: the client may go away, and others wait for the file.
                tokio::task::spawn_local(fill.run(fetch));
                (waiter, false)
            }
        };
        let outcome = outcome_of(waiter).await;
        self.conclude(worker, request, outcome, stale, joined)
    }

    /// Counts a request that was forwarded, and looks at its response.
    pub(crate) fn forwarded(&self, worker: &Worker, answer: &mut Response<Body>) {
        let exchange = Exchange {
            requested: self.received,
            received: self.cache.clock.now(),
        };
        let (status, headers) = (answer.status(), answer.headers());
        self.cache.observe(&self.key, status, headers, exchange);
        record(worker, answer, CacheOutcome::Bypass);
    }

    fn find(&self) -> Found {
        let now = self.cache.clock.now();
        if self.demands.refuses_stored {
            return Found::ToForward;
        }
        match self.cache.slots.get(&self.key) {
            Some(Slot::Stored(stored)) => {
                let (age, left) = (stored.freshness.age(now), stored.freshness.left(now));
                match (left > 0, self.demands.admit(age, left)) {
                    (true, true) => Found::Fresh(stored),
                    (true, false) => Found::ToForward,
                    (false, _) => Found::ToFetch(Some(stored)),
                }
            }
            Some(Slot::Unstorable { until }) if now < until => Found::ToForward,
            Some(Slot::Worthwhile) => Found::ToFetch(None),
            _ if self.key.is_versioned() => Found::ToFetch(None),
            _ => Found::ToForward,
        }
    }

    /// The answer after a fetch.
    fn conclude(
        &self,
        worker: &Worker,
        request: &Request<ClientBody>,
        outcome: Option<FillOutcome>,
        stale: Option<Arc<StoredAsset>>,
        joined: bool,
    ) -> Result<Option<Response<Body>>, RequestError> {
        let how = |own| {
            if joined { CacheOutcome::Collapsed } else { own }
        };
        let (stored, outcome) = match outcome {
            Some(FillOutcome::Fetched(stored)) => (stored, how(CacheOutcome::Miss)),
            Some(FillOutcome::Validated(stored)) => (stored, how(CacheOutcome::Revalidated)),
            Some(FillOutcome::Failed { silent }) => {
                let now = self.cache.clock.now();
                match stale.filter(|stale| stale.freshness.is_usable_on_error(now)) {
                    Some(stale) => (stale, CacheOutcome::Stale),
                    // The web server has had its time; a second wait would double it.
                    None if silent => {
                        let web = self.upstreams.web_authority().clone();
                        return Err(UpstreamError::Timeout(web).into());
                    }
                    None => return Ok(None),
                }
            }
            Some(FillOutcome::Unstorable) | None => return Ok(None),
        };
        Ok(self.respond(worker, request, &stored, outcome))
    }

    fn respond(
        &self,
        worker: &Worker,
        request: &Request<ClientBody>,
        stored: &Arc<StoredAsset>,
        outcome: CacheOutcome,
    ) -> Option<Response<Body>> {
        if stored.wants_brotli(self.accepted) && !self.cache.to_compress.offer(&self.key, stored) {
            stored.forget_requests();
        }
        let now = self.cache.clock.now();
        let mut answer = stored.respond(request, self.accepted, now)?;
        record(worker, &mut answer, outcome);
        Some(answer)
    }
}

/// Waits for a fetch; `None` if its task ended without an outcome.
async fn outcome_of(mut waiter: watch::Receiver<Option<FillOutcome>>) -> Option<FillOutcome> {
    let outcome = waiter.wait_for(Option::is_some).await;
    outcome.ok().and_then(|outcome| outcome.clone())
}

/// Counts the outcome, and passes it on to the access log as an extension of the answer, which takes an allocation.
fn record(worker: &Worker, answer: &mut Response<Body>, outcome: CacheOutcome) {
    worker.metrics.count_cache_request(outcome);
    if worker.state.access_log {
        answer.extensions_mut().insert(outcome);
    }
}

/// The answer to `only-if-cached` (RFC 9111 § 5.2.1.7).
fn gateway_timeout() -> Response<Body> {
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    answer
}
