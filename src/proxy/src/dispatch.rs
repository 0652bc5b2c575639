//! The phases of a request in order: context, route, host, then the handler of the route, which
//! authenticates and authorizes; then the response.
//!
//! A worker runs on one thread and takes no lock that another thread holds for longer than a few
//! instructions.

use std::{rc::Rc, time::Instant};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};

use crate::{
    Body, Connection, Worker, audit, body, endpoints,
    instrumentation::{begin_span, count_failure},
    locations,
    request_context::{ContextError, RequestContext, check_authority, is_reading},
    respond::{self, Audience, RequestError, Responder},
    server::ClientBody,
    signalling,
    web::{assets, room_page},
};
use model::route::{Endpoint, Label, Route, Routed, Transport};
use pages::StartPage;

// === impl Worker ===

impl Worker {
    /// Answers a request; every answer is counted, and traced and logged where that is configured.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<ClientBody>,
        connection: Connection,
    ) -> Response<Body> {
        let started = Instant::now();
        let mut context = RequestContext::of(
            &request,
            connection,
            &self.state.trusted_proxies,
            self.next_id(),
        );
        let span = begin_span(&self.state, &request, connection, &mut context);
        let line = self
            .state
            .access_log
            .then(|| audit::AccessLine::of(&request, &context));
        // hyper prefers `Transfer-Encoding` to a `Content-Length` beside it; the bytes after such a body
        // are not read as another request (RFC 9112 § 6.1).
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let opens_tunnel = opens_tunnel(request.method(), request.headers());
        let head_only = request.method() == Method::HEAD;
        let version = request.version();
        let (label, mut answer) = route_request(&self, request, context, started).await;
        if context.secure {
            answer
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if head_only {
            answer = body::without_body(answer);
        }
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let close = chunked || !switched && (opens_tunnel || self.draining.get());
        finish_connection_header(answer.headers_mut(), version, close);
        let took = started.elapsed();
        self.metrics.count_response(label, answer.status(), took);
        if let Some((span, method)) = span {
            span.end(&method, label, answer.status(), context.id.to_string());
        }
        if let Some(line) = line {
            let cache = answer.extensions().get().copied();
            line.write(label, answer.status(), cache, took);
        }
        answer
    }
}

/// Routes a request, checks its rate and its `Host`, and answers it; with the label of its route.
async fn route_request(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    context: RequestContext,
    now: Instant,
) -> (Label, Response<Body>) {
    let (uri, headers) = (request.uri(), request.headers());
    // ACME's `http-01` begins without TLS (RFC 8555 § 8.3).
    if let Some(challenges) = &worker.state.challenges
        && let Some(answer) = endpoints::acme_challenge(challenges, &request)
    {
        return (Label::Endpoint, answer);
    }
    let routed = match Route::classify(uri.path(), &worker.state.locations) {
        Ok(routed) => routed,
        Err(error) => {
            let responder = Responder::of_bad_path(context.id, uri.path(), headers);
            let answer = refuse(worker, &error.into(), Label::Refused, &responder, context);
            return (Label::Refused, answer);
        }
    };
    let label = routed.route.label();
    let responder = Responder::of(&routed, context.id, uri.query(), headers);
    if let Err(error) = check_rates(worker, &routed.route, &context, now) {
        let answer = refuse(worker, &error.into(), label, &responder, context);
        return (label, answer);
    }
    // Prosody fetches the public keys by an internal name and without TLS: neither is checked.
    if let Route::Endpoint(endpoint @ (Endpoint::Jwks | Endpoint::Asap(_))) = &routed.route {
        return (
            label,
            endpoints::published_keys(worker, endpoint, &responder),
        );
    }
    if !context.secure {
        return (label, to_https(worker, &request, &responder, context));
    }
    let (version, public_authority) = (request.version(), &worker.state.authority);
    let behind_proxy = context.proxy.is_some();
    let host = check_authority(uri, version, headers, public_authority, behind_proxy);
    let outcome = match host {
        // An extended CONNECT for a WebSocket (RFC 8441) has become a handshake already.
        Ok(()) if *request.method() == Method::CONNECT => {
            Err(ContextError::Method { allow: "GET" }.into())
        }
        Ok(()) => call_handler(worker, routed, request, &responder, context).await,
        Err(error) => Err(error.into()),
    };
    let answer =
        outcome.unwrap_or_else(|failure| refuse(worker, &failure, label, &responder, context));
    (label, answer)
}

/// Takes a request of its address' rates. Streams and locations have limits of their own, so that meetings
/// go on.
fn check_rates(
    worker: &Worker,
    route: &Route,
    context: &RequestContext,
    now: Instant,
) -> Result<(), ContextError> {
    let streams = matches!(
        route,
        Route::Signalling { .. } | Route::ConferenceRequest { .. } | Route::Location { .. }
    );
    let Some(client) = worker.state.limited_client(&context.client) else {
        return Ok(());
    };
    if streams {
        return Ok(());
    }
    if !worker.rates.requests.take(client, now) {
        return Err(ContextError::TooManyRequests);
    }
    let signs_in = matches!(
        route,
        Route::Endpoint(Endpoint::Login | Endpoint::Callback(_) | Endpoint::Join)
    );
    if signs_in && !worker.rates.sign_ins.take(client, now) {
        return Err(ContextError::TooManySignIns);
    }
    Ok(())
}

/// Calls the handler of a route. The handlers' futures are boxed: each request would take the room of the
/// largest of them.
async fn call_handler(
    worker: &Rc<Worker>,
    Routed { route, path }: Routed,
    mut request: Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    match route {
        Route::Endpoint(endpoint) => {
            Box::pin(endpoints::answer(
                worker, endpoint, request, responder, context,
            ))
            .await
        }
        Route::Signalling { transport, tenant } => match transport {
            Transport::Bosh => {
                Box::pin(signalling::bosh::answer(worker, request, context, tenant)).await
            }
            Transport::WebSocket => {
                Box::pin(signalling::websocket::answer(
                    worker,
                    &mut request,
                    context,
                    tenant,
                ))
                .await
            }
        },
        Route::ConferenceRequest { tenant } => {
            Box::pin(signalling::conference_request::answer(
                worker, request, context, tenant,
            ))
            .await
        }
        Route::Room(room) => {
            Box::pin(room_page::answer(
                worker, request, &path, responder, context, room,
            ))
            .await
        }
        Route::Config { tenant } => {
            Box::pin(assets::config_js(worker, request, &path, context, tenant)).await
        }
        Route::Home if worker.state.start == StartPage::Gateway || worker.jitsi().is_err() => {
            let authenticator = &worker.state.authenticator;
            authenticator
                .revalidate_if_overdue(&worker.opened_sessions, request.headers())
                .await;
            endpoints::start_page(worker, &request, responder)
        }
        Route::Home | Route::Asset => {
            Box::pin(assets::public(worker, request, &path, context)).await
        }
        Route::Location { location, tenant } => {
            Box::pin(locations::answer(
                worker, request, &path, context, location, tenant,
            ))
            .await
        }
        Route::NoRoom(error) => Err(error.into()),
        Route::Closed(closed) => Err(ContextError::Closed(closed).into()),
    }
}

fn refuse(
    worker: &Worker,
    failure: &RequestError,
    label: Label,
    responder: &Responder,
    context: RequestContext,
) -> Response<Body> {
    worker.state.proxy_warnings.failed(failure, &context);
    worker.limit_warnings.failed(failure, &context);
    audit::failed(failure, label, &context, || {
        worker.state.audit_quota.permit_refused_token(&context)
    });
    count_failure(&worker.metrics, failure, label);
    let sites = (label == Label::Room).then(|| {
        let integrations = &worker.rules().integrations;
        worker
            .state
            .embedding_sites
            .of_failure(failure, responder, integrations)
    });
    failure.answer(responder, &worker.state.pages, sites.as_deref())
}

/// Redirects a plain HTTP request to HTTPS. A body or a WebSocket would be lost, so only reading
/// requests are redirected.
fn to_https(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Response<Body> {
    worker.state.proxy_warnings.scheme_missing(&context);
    let is_safe = is_reading(request.method());
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let location = format!("{}{target}", worker.state.authenticator.origin);
    // The address may have a token, so no cache keeps the redirect.
    match respond::redirect(StatusCode::PERMANENT_REDIRECT, &location) {
        // An API key must not be sent a second time.
        Ok(answer)
            if is_safe
                && responder.audience != Audience::Api
                && !request.headers().contains_key(header::UPGRADE) =>
        {
            answer
        }
        _ => refuse(
            worker,
            &ContextError::Insecure.into(),
            Label::Refused,
            responder,
            context,
        ),
    }
}

/// Whether the bytes that follow the head are meant for a tunnel. If none opens, they are no further requests: a
/// proxy in front that takes a refused handshake for an open tunnel would pass on those of a stranger as
/// its own.
fn opens_tunnel(method: &Method, headers: &HeaderMap) -> bool {
    let upgrades = headers.get_all(header::UPGRADE).iter().any(|value| {
        let protocols = value.as_bytes().split(|byte| *byte == b',');
        protocols
            .map(<[u8]>::trim_ascii)
            .any(|name| name.eq_ignore_ascii_case(b"websocket"))
    });
    *method == Method::CONNECT || upgrades
}

/// Asks a client of HTTP/1.x to open another connection. HTTP/2 has `GOAWAY` instead, and no
/// connection-specific header fields (RFC 9113 § 8.2.2).
fn finish_connection_header(headers: &mut HeaderMap, version: Version, close: bool) {
    if version >= Version::HTTP_2 {
        headers.remove(header::CONNECTION);
    } else if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// HSTS of two years, as Mozilla's guideline 6.0 has it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_and_websocket_handshakes_open_tunnels() {
        for (method, upgrade, expected) in [
            (Method::CONNECT, None, true),
            (Method::GET, Some("websocket"), true),
            (Method::GET, Some("h2c, WebSocket"), true),
            // Some clients offer it with every request, and go on with HTTP/1.1.
            (Method::GET, Some("h2c"), false),
            (Method::GET, None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(upgrade.map(|name| (header::UPGRADE, HeaderValue::from_static(name))));
            assert_eq!(opens_tunnel(&method, &headers), expected, "{upgrade:?}");
        }
    }

    #[test]
    fn only_http_1_has_a_connection_header() {
        for (version, refused, close, expected) in [
            (Version::HTTP_11, false, false, None),
            (Version::HTTP_11, false, true, Some("close")),
            (Version::HTTP_10, true, false, Some("close")),
            (Version::HTTP_2, false, true, None),
            // An error asks for it without knowing the version.
            (Version::HTTP_2, true, false, None),
        ] {
            let mut headers = HeaderMap::new();
            if refused {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            finish_connection_header(&mut headers, version, close);
            let value = headers
                .get(header::CONNECTION)
                .map(|value| value.to_str().unwrap());
            assert_eq!(value, expected, "{version:?} {refused} {close}");
        }
    }
}
