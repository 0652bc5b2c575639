//! Answers to `http-01` challenges (RFC 8555 § 8.3), without TLS as with it: an authority begins without.

use http::{Request, Response, StatusCode};

use crate::{Body, Worker, request_context::is_reading, respond::plain};

/// Answers a challenge that is pending; any other request is not for this module.
pub(crate) fn acme_challenge<B>(worker: &Worker, request: &Request<B>) -> Option<Response<Body>> {
    let challenges = worker.state.challenges.as_ref()?;
    let token = request.uri().path().strip_prefix(DIRECTORY)?;
    let key_authorization = challenges.key_authorization(token)?;
    is_reading(request.method()).then(|| {
        plain(
            StatusCode::OK,
            "application/octet-stream",
            key_authorization,
        )
    })
}

const DIRECTORY: &str = "/.well-known/acme-challenge/";
