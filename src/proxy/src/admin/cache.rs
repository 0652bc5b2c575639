//! `/cache/purge`: an operator empties the cache of Jitsi's files, of this replica.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use model::headers::PeerAddr;
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::{
    AdminServer, JSON,
    operator_request::{self, refusal},
    text,
};

/// The body of a request: an empty object, which a form of a web page cannot send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeRequest {}

// === impl AdminServer ===

impl AdminServer {
    /// Answers a request to `/cache/purge`.
    pub(super) async fn purge_cache(
        &self,
        request: Request<Incoming>,
        peer: PeerAddr,
    ) -> Response<Full<Bytes>> {
        if *request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "POST /cache/purge");
        }
        let Some(cache) = &self.asset_cache else {
            return refusal(StatusCode::NOT_FOUND, "the cache is disabled");
        };
        match operator_request::parse(request, peer, "the body is {}").await {
            Ok(PurgeRequest {}) => {
                let files = cache.purge();
                info!(files, "an operator emptied the cache");
                let body = json!({ "purged": files });
                text(StatusCode::OK, JSON, format!("{body}\n"))
            }
            Err(response) => response,
        }
    }
}
