//! The fetch of a file, by a request of the gateway's own.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{AssetCache, AssetKey, BegunFetch, Slot, StoredAsset};
use crate::{
    RequestError, Worker,
    instrumentation::{ResponseTimer, count_failure},
    limits::ClientPlace,
    shard_upstreams::ShardUpstreams,
    upstream::{RequestBody, UpstreamBody, UpstreamError},
    web::WebError,
};
use model::{
    caching::{Exchange, Freshness, NotStorable, check_storable},
    headers::{self, X_FORWARDED_PROTO, X_JITSI_SHARD},
    route::Label,
};
use observe::metrics::UpstreamKind;

/// A fetch of a file.
pub(super) struct Fill {
    pub(super) worker: Rc<Worker>,
    pub(super) cache: Arc<AssetCache>,
    pub(super) key: AssetKey,
    pub(super) upstreams: Rc<ShardUpstreams>,
    /// The file to validate.
    pub(super) stale: Option<Arc<StoredAsset>>,
    /// The connection of the share of the client that caused the fetch; none, if the client has no share.
    pub(super) _place: Option<ClientPlace>,
}

/// What all requests for a file get from its fetch.
#[derive(Clone, Debug)]
pub(super) enum FillOutcome {
    /// The file.
    Fetched(Arc<StoredAsset>),
    /// The stale file, which is valid again.
    Validated(Arc<StoredAsset>),
    /// A response that is not stored: each request is forwarded.
    Unstorable,
    /// No response, or one of 500, 502, 503, 504.
    Failed {
        /// The web server sent nothing in its time.
        silent: bool,
    },
}

// === impl Fill ===

impl Fill {
    /// Fetches the file, stores what was found, and ends the fetch.
    pub(super) async fn run(self, mut fetch: BegunFetch) {
        let outcome = match self.fetch(&mut fetch).await {
            Ok(outcome) => outcome,
            Err(error) => {
                count_failure(&self.worker.metrics, &error, Label::Asset);
                FillOutcome::Failed {
                    silent: is_timeout(&error),
                }
            }
        };
        let retry = |after| Slot::Unstorable {
            until: self.cache.clock.now().after(after),
        };
        let slot = match &outcome {
            FillOutcome::Fetched(stored) | FillOutcome::Validated(stored) => {
                Some(Slot::Stored(Arc::clone(stored)))
            }
            FillOutcome::Unstorable => Some(retry(AFTER_UNSTORABLE)),
            // A stale file may say that it replaces errors.
            FillOutcome::Failed { .. } if self.stale.is_some() => None,
            FillOutcome::Failed { .. } => Some(retry(AFTER_FAILURE)),
        };
        if let Some(slot) = slot {
            self.cache.store(&self.key, slot, &fetch);
        }
        self.cache.fetches.end(&self.key, &fetch, outcome);
    }

    async fn fetch(&self, fetch: &mut BegunFetch) -> Result<FillOutcome, RequestError> {
        let request = self.request()?;
        let requested = self.cache.clock.now();
        let within = self.worker.jitsi()?.upstream.web_timeout;
        let timer = ResponseTimer::start(&self.worker.metrics, UpstreamKind::Web);
        let answer = self.upstreams.web.send(request, within, true).await;
        timer.record(&answer);
        let answer = self
            .worker
            .upstreams
            .note_outcome(&self.upstreams, answer)?;
        let exchange = Exchange {
            requested,
            received: self.cache.clock.now(),
        };
        if FAILURES.contains(&answer.status()) {
            return Ok(FillOutcome::Failed { silent: false });
        }
        if let (StatusCode::NOT_MODIFIED, Some(stale)) = (answer.status(), &self.stale) {
            let mut head = answer.into_parts().0.headers;
            headers::strip_response(&mut head);
            let validated = stale.validated(&head, exchange, self.key.is_versioned());
            return Ok(validated.map_or(FillOutcome::Unstorable, |stored| {
                FillOutcome::Validated(Arc::new(stored))
            }));
        }
        // A body that takes longer is forwarded as it comes.
        let reading = self.read(answer, exchange, fetch);
        let stored = timeout(within, reading).await;
        let stored = stored.unwrap_or(Err(NotStorable::TooLong));
        Ok(stored.map_or(FillOutcome::Unstorable, |stored| {
            FillOutcome::Fetched(Arc::new(stored))
        }))
    }

    /// The request: a closed list of fields, none of a client.
    fn request(&self) -> Result<Request<RequestBody>, WebError> {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::try_from(self.key.target()).map_err(|_| WebError::Target)?;
        let authority = HeaderValue::from_str(self.worker.state.authority.as_str());
        let authority = authority.map_err(|_| WebError::Target)?;
        let fields = request.headers_mut();
        fields.insert(headers::X_FORWARDED_HOST, authority.clone());
        fields.insert(header::HOST, authority);
        fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let coding = HeaderValue::from_static(self.key.asked().as_str());
        fields.insert(header::ACCEPT_ENCODING, coding);
        if let Some(stale) = &self.stale {
            let validators = &stale.validators;
            if let Some(etag) = validators.etag.clone() {
                fields.insert(header::IF_NONE_MATCH, etag);
            }
            if let Some(date) = validators.last_modified.clone() {
                fields.insert(header::IF_MODIFIED_SINCE, date);
            }
        }
        Ok(request)
    }

    /// Reads a response that is storable.
    async fn read(
        &self,
        answer: Response<UpstreamBody>,
        exchange: Exchange,
        fetch: &mut BegunFetch,
    ) -> Result<StoredAsset, NotStorable> {
        let (parts, body) = answer.into_parts();
        let mut head = parts.headers;
        // Without either, the end of the connection is the end of the body, complete or not
        // (RFC 9111 § 3.3).
        let has_end = head.contains_key(header::CONTENT_LENGTH)
            || head.contains_key(header::TRANSFER_ENCODING);
        headers::strip_response(&mut head);
        // Files belong to no room.
        head.remove(X_JITSI_SHARD);
        let coding = check_storable(parts.status, &head, self.key.asked())?;
        let freshness = Freshness::of(&head, exchange, self.key.is_versioned());
        if !freshness.is_fresh(exchange.received) {
            return Err(NotStorable::Stale);
        }
        if !has_end {
            return Err(NotStorable::TooLong);
        }
        let body = read_body(body, self.cache.largest, fetch).await?;
        Ok(StoredAsset::new(head, body, coding, freshness))
    }
}

async fn read_body(
    mut body: UpstreamBody,
    largest: usize,
    fetch: &mut BegunFetch,
) -> Result<Bytes, NotStorable> {
    let announced = hyper::body::Body::size_hint(&body).lower();
    if announced > largest as u64 {
        return Err(NotStorable::TooLong);
    }
    let mut read = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NotStorable::TooLong)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > largest || !fetch.budget.take(data.len()) {
            return Err(NotStorable::TooLong);
        }
        read.extend_from_slice(&data);
    }
    // Without the room that the vector grew by.
    Ok(read.into_boxed_slice().into())
}

fn is_timeout(error: &RequestError) -> bool {
    use crate::shard_upstreams::ForwardingError::Upstream;
    matches!(
        error,
        RequestError::Forwarding(Upstream(UpstreamError::Timeout(_)))
    )
}

/// The errors that a stale file may replace (RFC 5861 § 4).
const FAILURES: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// A file whose headers forbid storing it gets others when Jitsi's web server is configured anew.
const AFTER_UNSTORABLE: Duration = Duration::from_mins(1);

/// A web server that restarts is back after some seconds.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
