//! Answers to BOSH clients.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};

use crate::{
    Body,
    connections::CloseReason,
    respond::{plain, terminated},
    server::ClientBody,
    shard_upstreams::ShardPools,
    upstream::UpstreamBody,
};
use model::{
    headers::{self, RequestOrigin},
    room::RoomKey,
};

/// Answers a preflight (Fetch § 3.2.2): pages of this site send none, pages of others get nothing.
pub(in crate::signalling) fn preflight(
    request: &Request<ClientBody>,
    own_origin: &str,
) -> Response<Body> {
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if headers::request_origin(request.headers(), own_origin) == RequestOrigin::SameOrigin
        && let Ok(origin) = HeaderValue::from_str(own_origin)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST, OPTIONS"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Content-Type"),
        );
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    answer
}

/// The answer to a request that the gateway ended.
pub(super) fn ended(upstreams: &ShardPools, room: &RoomKey, reason: CloseReason) -> Response<Body> {
    match reason {
        CloseReason::Moved | CloseReason::Demoted => upstreams.start_again(room),
        // The client repeats the request, and Prosody, which knows its id, gives the answer: with an empty
        // answer of the gateway's the stanzas of Prosody's would be lost. Strophe repeats a request after
        // a status of 500 or more (strophejs `src/bosh.js`, `_onRequestStateChange`).
        CloseReason::Shutdown => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain",
            "the gateway stops\n",
        ),
        CloseReason::Revoked(_) => {
            let mut answer = terminated("policy-violation");
            answer.headers_mut().insert(X_GATEWAY_ENDED, SIGNED_OUT);
            answer
        }
        CloseReason::Expired | CloseReason::Refused => terminated("policy-violation"),
    }
}

/// Prosody's answer; its body is streamed.
pub(super) fn pass_on(answer: Response<UpstreamBody>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    answer_of(head.status, Body::Upstream(body))
}

/// Only the status of Prosody's head is forwarded: its CORS headers would allow every origin.
pub(super) fn answer_of(status: StatusCode, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/xml; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// Tells the script in Jitsi's page why a stream ended.
const X_GATEWAY_ENDED: HeaderName = HeaderName::from_static("x-gateway-ended");

const SIGNED_OUT: HeaderValue = HeaderValue::from_static(crate::connections::SIGNED_OUT);
