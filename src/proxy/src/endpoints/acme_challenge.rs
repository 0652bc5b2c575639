//! Answers to `http-01` challenges (RFC 8555 § 8.3), without TLS as with it: an authority begins without.

use http::{Request, Response, StatusCode};

use crate::{Body, request_context::is_reading, respond::plain, server::ChallengeAnswers};

/// Answers a challenge that is pending; any other request is not for this module.
pub(crate) fn acme_challenge<B>(
    challenges: &ChallengeAnswers,
    request: &Request<B>,
) -> Option<Response<Body>> {
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
