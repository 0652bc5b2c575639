//! The request path: what happens to a request between its head and its answer.
//!
//! [`Worker::handle`] is the order of DESIGN § 3 in code: context, host, route, room, visitor,
//! admission, token, upstream, answer. A worker lives on one thread; what it shares with the others
//! is read and not locked.

use std::{rc::Rc, time::Instant};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::{
    Body, Connection, Worker, audit, body,
    request_context::{RequestContext, check_authority},
    respond::{Audience, RequestError, Responder},
    signalling,
};
use model::route::{Endpoint, Label, Route, Routed, Transport};
use pages::StartPage;

// === impl Worker ===

impl Worker {
    /// Answers a request. Every way out of it is counted and logged.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<Body> {
        let started = Instant::now();
        let mut context = RequestContext::of(
            &request,
            connection,
            &self.state.trusted_proxies,
            self.next_id(),
        );
        let span = self.traced(&request, connection, &mut context);
        let line = self
            .state
            .access_log
            .then(|| audit::AccessLine::of(&request, &context));
        let worker = Rc::clone(&self);
        // The HTTP library takes `Transfer-Encoding` over a `Content-Length` beside it without a
        // word; what follows such a body is not taken as another request (RFC 9112 § 6.1).
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let head_only = request.method() == Method::HEAD;
        let version = request.version();
        let (label, mut answer) = self.answer(request, context).await;
        if context.secure {
            answer
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if head_only {
            answer = body::without_body(answer);
        }
        // HTTP/2 has `GOAWAY` for it, and a tunnel has left HTTP.
        let draining = worker.draining.get()
            && version < Version::HTTP_2
            && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
        if chunked || draining {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = started.elapsed();
        worker.metrics.count_response(label, answer.status(), took);
        if let Some((span, method)) = span {
            span.end(&method, label, answer.status(), context.id.to_string());
        }
        if let Some(line) = line {
            line.write(label, answer.status(), took);
        }
        answer
    }

    async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        context: RequestContext,
    ) -> (Label, Response<Body>) {
        let (uri, headers) = (request.uri(), request.headers());
        let routed = match Route::classify(uri.path()) {
            Ok(routed) => routed,
            Err(error) => {
                let responder = Responder::of_bad_path(context.id, uri.path(), headers);
                let answer = self.refuse(&error.into(), Label::Refused, &responder, context);
                return (Label::Refused, answer);
            }
        };
        let label = routed.route.label();
        let responder = Responder::of(&routed, context.id, uri.query(), headers);
        // Prosody fetches the public keys by an internal name and without TLS: neither is checked.
        if let Route::Endpoint(endpoint @ (Endpoint::Jwks | Endpoint::Asap(_))) = &routed.route {
            return (label, self.published_keys(endpoint, &responder));
        }
        if !context.secure {
            return (label, self.to_https(&request, &responder, context));
        }
        let host = check_authority(uri, request.version(), headers, &self.state.authority);
        let worker = Rc::clone(&self);
        let outcome = match host {
            Ok(()) => {
                self.call_handler(routed, request, &responder, context)
                    .await
            }
            Err(error) => Err(error),
        };
        let answer =
            outcome.unwrap_or_else(|failure| worker.refuse(&failure, label, &responder, context));
        (label, answer)
    }

    /// Calls the handler of a route.
    async fn call_handler(
        self: Rc<Self>,
        Routed { route, path }: Routed,
        mut request: Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        match route {
            Route::Endpoint(endpoint) => self.endpoint(endpoint, request, responder, context).await,
            Route::Signalling { transport, tenant } => match transport {
                Transport::Bosh => signalling::bosh::answer(&self, request, context, tenant).await,
                Transport::WebSocket => {
                    signalling::websocket::answer(&self, &mut request, context, tenant).await
                }
            },
            Route::Room(room) => {
                self.room_page(request, &path, responder, context, room)
                    .await
            }
            Route::Config { tenant } => self.config_js(request, &path, context, tenant).await,
            Route::Home if self.state.start == StartPage::Gateway || self.jitsi().is_err() => {
                self.start_page(&request, responder)
            }
            Route::Home | Route::Asset => self.public(request, &path, context).await,
            Route::Private => self.private(request, &path, context).await,
            Route::NoRoom(error) => Err(error.into()),
            Route::Closed(closed) => Err(RequestError::Closed(closed)),
        }
    }

    fn refuse(
        &self,
        failure: &RequestError,
        label: Label,
        responder: &Responder,
        context: RequestContext,
    ) -> Response<Body> {
        audit::failed(failure, label, &context, || self.permit_line(&context));
        self.count_failure(failure, label);
        let sites = (label == Label::Room).then(|| self.sites_shown(failure, responder));
        failure.answer(responder, &self.state.pages, sites.as_deref())
    }

    /// Sends a plain HTTP request to where it should have gone. A body or a socket would be lost
    /// on the way, so only pages are.
    fn to_https(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Response<Body> {
        let readable = matches!(*request.method(), Method::GET | Method::HEAD);
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let location =
            HeaderValue::try_from(format!("{}{target}", self.state.authenticator.origin));
        match location {
            // A key to the API is shown to nobody twice.
            Ok(location)
                if readable
                    && responder.audience != Audience::Api
                    && !request.headers().contains_key(header::UPGRADE) =>
            {
                let mut answer = Response::new(Body::EMPTY);
                *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
                answer.headers_mut().insert(header::LOCATION, location);
                answer
            }
            _ => self.refuse(
                &RequestError::Misdirected,
                Label::Refused,
                responder,
                context,
            ),
        }
    }
}

/// HSTS of two years, as Mozilla's guideline 6.0 has it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
