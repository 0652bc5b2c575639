//! Conference requests over HTTP: forwarded to the Jicofo of the room's shard.
//!
//! Where `config.js` has a `conferenceRequestUrl`, Jitsi's client asks Jicofo there to open its room,
//! before it connects to Prosody. Jicofo compares neither the token nor the room with anything
//! (jicofo `xmpp/ConferenceIqHandler.kt`, `parseToken`), so the policy decides here, as for a connection.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use model::{
    conference_request::ConferenceRequest,
    negotiation::RoomScope,
    query::SignallingQuery,
    room::Tenant,
    route::{CONFERENCE_REQUEST, Closed},
    token::BackendToken,
};
use observe::metrics::UpstreamKind;

use super::{
    admission::{Claimant, mint},
    bosh::preflight,
};
use crate::{
    Body, RequestContext, RequestError, Worker,
    body::{self, Unread},
    instrumentation::ResponseTimer,
    request_context::ContextError,
    respond::plain,
    server::ClientBody,
    shard_upstreams::ForwardingError,
    upstream::{RequestBody, UpstreamBody},
};

/// Answers a request to `[/<tenant>]/conference-request/v1`.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    context: RequestContext,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    if !worker.upstreams.has_jicofo() {
        return Err(ContextError::Closed(Closed::ConferenceRequest).into());
    }
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return Ok(preflight(&request, &worker.state.authenticator.origin)),
        _ => {
            let allow = "POST, OPTIONS";
            return Err(ContextError::Method { allow }.into());
        }
    }
    let (head, body) = request.into_parts();
    let mut query = SignallingQuery::parse(tenant, head.uri.query().unwrap_or_default())?;
    // The client sends its token where Jicofo reads it.
    query.token = bearer(&head.headers);
    let rules = worker.rules();
    let mut claimant = Claimant::identify(worker, &rules, &query, &head.headers, &context)?;
    claimant.refuse_early(worker, &rules).await?;
    let body = body::whole(body, MAX_REQUEST).await?;
    let scope = RoomScope::new(&query.room, &worker.jitsi()?.upstream.xmpp_domain);
    let request = ConferenceRequest::parse(&body, &scope)?;

    // Rules and revocations may have changed while the body arrived.
    let rules = worker.rules();
    let mut claimant = Claimant::identify(worker, &rules, &query, &head.headers, &context)?;
    let admitted = claimant.authorize_beside_stream(worker, &rules).await?;
    let token = mint(&worker.state.guests, &rules, &query.room, &admitted)?;
    let upstreams = worker.upstreams.of_room(&query.room).await?;
    let Some(jicofo) = &upstreams.jicofo else {
        return Err(ContextError::Closed(Closed::ConferenceRequest).into());
    };
    let request = forwarded(jicofo.host(), token.as_ref(), &request);
    let within = worker.jitsi()?.upstream.web_timeout;
    // Jicofo opens a room once, however often it is asked.
    let timer = ResponseTimer::start(&worker.metrics, UpstreamKind::Jicofo);
    let answer = jicofo.send(request, within, true).await;
    timer.record(&answer);
    let answer = answer.map_err(ForwardingError::from)?;
    let mut answer = pass_on(answer).await?;
    upstreams.set_shard_header(answer.headers_mut());
    worker.renewal.renew(&admitted.principal, &mut answer);
    Ok(answer)
}

/// The client's token; Jicofo takes it with and without the scheme.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("Bearer ").unwrap_or(value);
    (!token.is_empty()).then(|| token.to_owned())
}

/// The request for Jicofo, whose head is written from scratch.
fn forwarded(
    host: HeaderValue,
    token: Option<&BackendToken>,
    conference: &ConferenceRequest,
) -> Request<RequestBody> {
    let body = conference.to_json();
    let length = HeaderValue::from(body.len());
    let mut request = Request::new(RequestBody::Whole(Some(body.into())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(CONFERENCE_REQUEST);
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_LENGTH, length);
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, token.authorization());
    }
    request
}

/// Jicofo's answer: JSON, or the text of an error, which clients look into for `invalid-session`.
async fn pass_on(answer: Response<UpstreamBody>) -> Result<Response<Body>, ForwardingError> {
    let (head, body) = answer.into_parts();
    let content_type = match head.status {
        StatusCode::OK => "application/json",
        status if status.is_client_error() || status.is_server_error() => {
            "text/plain; charset=utf-8"
        }
        _ => {
            let what = "a status that a conference request does not have";
            return Err(ForwardingError::Answer(what));
        }
    };
    let body = body::whole(body, MAX_ANSWER).await;
    let body = body.map_err(|unread| {
        ForwardingError::Answer(match unread {
            Unread::Lost | Unread::Busy => "a truncated answer to a conference request",
            Unread::TooLarge => "an answer to a conference request that is too long",
        })
    })?;
    let mut answer = plain(head.status, content_type, body);
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// A request has half a kilobyte.
const MAX_REQUEST: usize = 16 * 1024;

/// An answer has half a kilobyte.
const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_client_is_read_as_jicofo_reads_it() {
        let of = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
        };
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("abc").as_deref(), Some("abc"));
        assert_eq!(of("Bearer "), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
