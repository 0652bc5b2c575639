//! The request path: what happens to a request between its head and its answer.
//!
//! [`Worker::handle`] is the order of DESIGN § 3 in code: facts, host, route, room, visitor,
//! admission, token, upstream, answer. A worker lives on one thread; what it shares with the others
//! is read and not locked.

mod api;
mod apps;
mod audit;
mod between;
mod body;
mod bosh;
mod call;
mod counting;
mod events;
mod facts;
mod failure;
mod form;
mod framing;
mod join;
mod live;
mod meetings;
mod own;
mod presented;
mod room;
mod shared;
mod sign_in;
mod sign_out;
mod socket;
mod start;
mod tunnel;
mod visitor;
mod ways;
mod web;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

pub(crate) use self::audit::operator_revoked;
use self::{
    between::Streams,
    events::Listeners,
    facts::{Facts, RequestId, check_authority},
    failure::{Asking, Failure, Reader},
    live::Live,
    shared::Behind,
    ways::Ways,
};
pub use self::{
    body::Body,
    facts::Connection,
    live::Spread,
    shared::{Backend, Control, Gateway, Guests, Rules, Settings, SetupError},
};
use model::route::{Label, Own, Route, Transport};
use observe::metrics::WorkerMetrics;
use pages::StartPage;

/// One thread's share of the gateway.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    /// To the shards that were needed so far.
    ways: RefCell<Vec<Rc<Ways>>>,
    live: Live,
    streams: Streams,
    listeners: Listeners,
    metrics: Arc<WorkerMetrics>,
    name: u32,
    requests: Cell<u64>,
    /// The gateway stops.
    parting: Cell<bool>,
}

// === impl Worker ===

impl Worker {
    /// A worker on the current thread.
    pub fn new(gateway: Arc<Gateway>, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            ways: RefCell::default(),
            live: Live::default(),
            streams: Streams::new(Arc::clone(&metrics)),
            listeners: Listeners::default(),
            name: u32::from_be_bytes(gateway.random.bytes()),
            requests: Cell::new(0),
            parting: Cell::new(false),
            metrics,
            gateway,
        }
    }

    /// Answers a request. Every way out of it is counted and logged.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<Body> {
        let started = Instant::now();
        let mut facts = Facts::of(
            &request,
            connection,
            &self.gateway.trusted_proxies,
            self.next_id(),
        );
        let span = self.traced(&request, connection, &mut facts);
        let line = self
            .gateway
            .access_log
            .then(|| audit::AccessLine::of(&request, &facts));
        let worker = Rc::clone(&self);
        // The HTTP library takes `Transfer-Encoding` over a `Content-Length` beside it without a
        // word; what follows such a body is not taken as another request (RFC 9112 § 6.1).
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let head_only = request.method() == Method::HEAD;
        let version = request.version();
        let (label, mut answer) = self.answer(request, facts).await;
        if facts.secure {
            answer
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if head_only {
            answer = body::without_body(answer);
        }
        // HTTP/2 has `GOAWAY` for it, and a tunnel has left HTTP.
        let parting = worker.parting.get()
            && version < Version::HTTP_2
            && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
        if chunked || parting {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = started.elapsed();
        worker.metrics.count_response(label, answer.status(), took);
        if let Some((span, method)) = span {
            span.end(&method, label, answer.status(), facts.id.to_string());
        }
        if let Some(line) = line {
            line.write(label, answer.status(), took);
        }
        answer
    }

    /// Ends what is open for revoked sessions.
    pub fn end_revoked(&self) {
        self.live.end_revoked(&self.gateway.revocations);
    }

    /// Ends the WebSockets of whom new rules refuse; BOSH asks them at each request.
    pub fn judge(&self) {
        self.live
            .end_refused(|session, room| !self.may_stay(session, room));
    }

    /// Asks clients of HTTP/1.1 to come back on other connections, which another replica will take.
    pub fn part(&self) {
        self.parting.set(true);
    }

    /// Ends the WebSockets because the gateway stops.
    pub async fn end_sockets(&self, spread: Spread) {
        self.live.end_sockets(spread, &self.gateway.random).await;
    }

    async fn answer(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        facts: Facts,
    ) -> (Label, Response<Body>) {
        let (uri, headers) = (request.uri(), request.headers());
        let route = match Route::classify(uri.path()) {
            Ok(route) => route,
            Err(error) => {
                let asking = Asking::of_page(facts.id, uri, headers);
                return (
                    Label::Refused,
                    self.refuse(&error.into(), Label::Refused, &asking, facts),
                );
            }
        };
        let label = route.label();
        let asking = match &route {
            Route::Signalling {
                transport: Transport::Bosh,
                ..
            } => Asking::of(Reader::Bosh, facts.id, uri, headers),
            Route::Signalling { .. } => Asking::of(Reader::Socket, facts.id, uri, headers),
            _ => Asking::of_page(facts.id, uri, headers),
        };
        // Public keys are public: Prosody fetches them by whatever name and scheme it knows us.
        if let Route::Own(own @ (Own::Jwks | Own::Asap(_))) = &route {
            return (label, self.published_keys(own, &asking));
        }
        if !facts.secure {
            return (label, self.to_https(&request, &asking, facts));
        }
        let host = check_authority(uri, request.version(), headers, &self.gateway.authority);
        let worker = Rc::clone(&self);
        let outcome = match (host, route) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Route::Own(own)) => self.own(own, request, &asking, facts).await,
            (
                Ok(()),
                Route::Signalling {
                    transport: Transport::Bosh,
                    tenant,
                },
            ) => self.bosh(request, facts, tenant).await,
            (
                Ok(()),
                Route::Signalling {
                    transport: Transport::WebSocket,
                    tenant,
                },
            ) => self.web_socket(&mut request, facts, tenant).await,
            (Ok(()), Route::Room(room)) => self.room_page(request, &asking, facts, room).await,
            (Ok(()), Route::Config { tenant }) => self.config_js(request, facts, tenant).await,
            (Ok(()), Route::Home)
                if self.gateway.start == StartPage::Gateway || self.jitsi().is_err() =>
            {
                self.start_page(&request, &asking)
            }
            (Ok(()), Route::Home | Route::Asset) => self.public(request, facts).await,
            (Ok(()), Route::Private) => self.private(request, facts).await,
            (Ok(()), Route::NoRoom(error)) => Err(error.into()),
            (Ok(()), Route::Closed(closed)) => Err(Failure::Closed(closed)),
        };
        let answer =
            outcome.unwrap_or_else(|failure| worker.refuse(&failure, label, &asking, facts));
        (label, answer)
    }

    fn refuse(
        &self,
        failure: &Failure,
        label: Label,
        asking: &Asking,
        facts: Facts,
    ) -> Response<Body> {
        audit::failed(failure, label, &facts, || self.permit_line(&facts));
        self.count_failure(failure, label);
        let sites = (label == Label::Room).then(|| self.sites_shown(failure, asking));
        failure.answer(asking, &self.gateway.pages, sites.as_deref())
    }

    /// Sends a plain HTTP request to where it should have gone. A body or a socket would be lost
    /// on the way, so only pages are.
    fn to_https(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        facts: Facts,
    ) -> Response<Body> {
        let readable = matches!(*request.method(), Method::GET | Method::HEAD);
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let location = HeaderValue::try_from(format!("{}{target}", self.gateway.origin));
        match location {
            // A key to the API is shown to nobody twice.
            Ok(location)
                if readable
                    && asking.reader != Reader::Api
                    && !request.headers().contains_key(header::UPGRADE) =>
            {
                let mut answer = Response::new(Body::EMPTY);
                *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
                answer.headers_mut().insert(header::LOCATION, location);
                answer
            }
            _ => self.refuse(&Failure::Misdirected, Label::Refused, asking, facts),
        }
    }

    /// The Jitsi behind the gateway; where there is none, none of its addresses is.
    fn jitsi(&self) -> Result<&Behind, Failure> {
        self.gateway.jitsi.as_ref().ok_or(Failure::NotFound)
    }

    fn next_id(&self) -> RequestId {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        RequestId {
            worker: self.name,
            number,
        }
    }
}

/// HSTS of two years, as Mozilla's guideline 6.0 has it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
