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
mod socket;
mod tunnel;
mod visitor;
mod web;

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::runtime::Handle;

use self::{
    between::Streams,
    events::Listeners,
    facts::{Authority, Facts, RequestId, check_authority},
    failure::{Asking, Failure, Reader},
    live::Live,
};
pub use self::{body::Body, facts::Connection};
use crate::{
    bosh::SessionIds,
    clock::Clock,
    headers::TrustedProxies,
    integration::{self, Integrations},
    invitation::Links,
    jaas::{self, Jaas},
    jws::KeySetError,
    metrics::{ControlMetrics, WorkerMetrics},
    oidc::RelyingParty,
    owner::OwnerTags,
    page::Completion,
    pages::{Pages, StartPage},
    policy::Policy,
    presence::Presence,
    random::Random,
    revocation::Revocations,
    route::{Own, Route, Transport},
    seal::{Keyring, Purpose, Sealer},
    session::{self, Passes, SessionCodec, SignInCookies},
    store::Store,
    token::{self, ClientTokens, Minter, PublishedKeys, SignerError},
    upstream::{self, Pool},
};

/// What the request path needs to know.
#[derive(Debug)]
pub struct Settings {
    /// `https://host[:port]`, no slash at the end.
    pub origin: String,
    /// `host[:port]`.
    pub authority: String,
    /// Peers whose word on the client is believed.
    pub trusted_proxies: TrustedProxies,
    /// How long sessions live.
    pub session: session::Settings,
    /// Seals cookies.
    pub keyring: Keyring,
    /// What carries the meetings.
    pub backend: Backend,
    /// The gateway's own pages.
    pub pages: Pages,
    /// What is at `/`.
    pub start: StartPage,
    /// How guests come and stay.
    pub guests: Guests,
    /// Where recorders are, which come without signing in and have credentials of their own.
    pub recorders: TrustedProxies,
    /// Origins of sites that may show rooms in frames, besides those of integrations.
    pub embedding_sites: Vec<String>,
    /// Whether each request gets a line in the log.
    pub access_log: bool,
}

/// What carries the meetings.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A Jitsi behind the gateway.
    Jitsi(upstream::Settings),
    /// 8x8, beside it.
    Jaas(jaas::Settings),
}

/// How guests come and stay.
#[derive(Clone, Debug)]
pub struct Guests {
    /// How long a guest, or anybody else with a pass to one room, is known.
    pub lifetime: Duration,
    /// How long a guest link can be used.
    pub link_lifetime: Duration,
    /// How long a host link can be used.
    pub host_link_lifetime: Duration,
    /// Prosody's domain for guests, where they come without a token.
    pub xmpp_domain: Option<String>,
}

/// What all workers share: read-only but for the rules, which a reload swaps whole.
pub struct Gateway {
    origin: String,
    authority: Authority,
    trusted_proxies: TrustedProxies,
    rules: ArcSwap<Rules>,
    sessions: SessionCodec,
    sign_ins: SignInCookies,
    hints: Sealer,
    bosh_ids: SessionIds,
    passes: Passes,
    owners: OwnerTags,
    links: Links,
    client_tokens: ClientTokens,
    guests: Guests,
    recorders: TrustedProxies,
    embedding_sites: Vec<String>,
    start: StartPage,
    jaas: Option<Jaas>,
    completion: Completion,
    pages: Pages,
    relying_party: Arc<RelyingParty>,
    revocations: Arc<Revocations>,
    presence: Arc<Presence>,
    store: Arc<dyn Store>,
    jitsi: Option<Behind>,
    api_answers: Sealer,
    control: Handle,
    control_metrics: ControlMetrics,
    clock: Clock,
    random: Random,
    access_log: bool,
}

/// A Jitsi behind the gateway.
#[derive(Debug)]
struct Behind {
    upstream: upstream::Settings,
    xmpp_domain: HeaderValue,
}

/// A worker's way to a Jitsi behind the gateway.
#[derive(Debug)]
struct Ways {
    web: Pool,
    xmpp: Pool,
}

/// What a reload of the configuration replaces while people are in meetings.
#[derive(Debug)]
pub struct Rules {
    policy: Arc<Policy>,
    /// None where no Prosody is behind us.
    minter: Option<Minter>,
    integrations: Integrations,
    published: PublishedKeys,
}

/// The parts of the control plane that requests reach.
#[derive(Clone)]
pub struct Control {
    /// The runtime that talks to the provider.
    pub runtime: Handle,
    /// Signs people in.
    pub relying_party: Arc<RelyingParty>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// Who is in which room.
    pub presence: Arc<Presence>,
    /// What replicas share.
    pub store: Arc<dyn Store>,
    /// Counters away from the data path.
    pub metrics: ControlMetrics,
}

/// One thread's share of the gateway.
#[derive(Debug)]
pub struct Worker {
    gateway: Arc<Gateway>,
    jitsi: Option<Ways>,
    live: Live,
    streams: Streams,
    listeners: Listeners,
    metrics: Arc<WorkerMetrics>,
    name: u32,
    requests: Cell<u64>,
}

/// Why the request path cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The XMPP domain cannot stand in a `Host` header.
    #[error("the XMPP domain {0:?} is not a host name")]
    XmppDomain(String),
    /// A signing key cannot be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The public keys of an integration cannot be used.
    #[error("the public keys of an integration cannot be used")]
    Integration(#[from] KeySetError),
}

// === impl Rules ===

impl Rules {
    /// Rules and keys of a configuration.
    pub fn new(
        policy: Arc<Policy>,
        token: Option<&token::Settings>,
        integrations: Vec<integration::Settings>,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            policy,
            minter: token.map(|token| Minter::new(token, clock)).transpose()?,
            integrations: Integrations::new(integrations)?,
            published: token
                .map(|token| PublishedKeys::new(&token.signing))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

// === impl Behind ===

impl Behind {
    fn new(upstream: upstream::Settings) -> Result<Self, SetupError> {
        let xmpp_domain = HeaderValue::from_str(&upstream.xmpp_domain)
            .map_err(|_| SetupError::XmppDomain(upstream.xmpp_domain.clone()))?;
        Ok(Self {
            upstream,
            xmpp_domain,
        })
    }
}

// === impl Gateway ===

impl Gateway {
    /// Puts the request path together.
    pub fn new(
        settings: Settings,
        rules: Rules,
        control: Control,
        clock: Clock,
        random: Random,
    ) -> Result<Self, SetupError> {
        let Settings {
            origin,
            keyring,
            backend,
            ..
        } = settings;
        let (jitsi, jaas) = match backend {
            Backend::Jitsi(upstream) => (Some(Behind::new(upstream)?), None),
            Backend::Jaas(settings) => (None, Some(Jaas::new(&settings, clock.clone())?)),
        };
        Ok(Self {
            authority: Authority::new(settings.authority),
            trusted_proxies: settings.trusted_proxies,
            rules: ArcSwap::from_pointee(rules),
            sessions: SessionCodec::new(&keyring, &origin, settings.session, clock.clone()),
            sign_ins: SignInCookies::new(&keyring, &origin, clock.clone()),
            hints: keyring.sealer(Purpose::LogoutHint, &origin),
            bosh_ids: SessionIds::new(keyring.tagger(Purpose::BoshSession)),
            passes: Passes::new(&keyring, &origin, clock.clone()),
            owners: OwnerTags::new(keyring.tagger(Purpose::Owner)),
            links: Links::new(&keyring, &origin),
            client_tokens: ClientTokens::new(&keyring, &origin, clock.clone(), random.clone()),
            recorders: settings.recorders,
            embedding_sites: settings.embedding_sites,
            start: settings.start,
            jaas,
            completion: Completion::new(&origin, &overrides(&settings.guests)),
            guests: settings.guests,
            pages: settings.pages,
            relying_party: control.relying_party,
            revocations: control.revocations,
            presence: control.presence,
            store: control.store,
            jitsi,
            api_answers: keyring.sealer(Purpose::ApiAnswer, &origin),
            control: control.runtime,
            control_metrics: control.metrics,
            clock,
            random,
            access_log: settings.access_log,
            origin,
        })
    }

    /// The rules as they are now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.load().policy)
    }

    /// Swaps rules and keys; requests under way finish with the old ones.
    pub fn replace_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

// === impl Worker ===

impl Worker {
    /// A worker on the current thread.
    pub fn new(gateway: Arc<Gateway>, metrics: Arc<WorkerMetrics>) -> Self {
        let jitsi = gateway.jitsi.as_ref().map(|jitsi| {
            let settings = &jitsi.upstream;
            let pool = |to: &http::uri::Authority| {
                Pool::new(to.clone(), settings.connect_timeout, settings.idle)
            };
            Ways {
                web: pool(&settings.web),
                xmpp: pool(&settings.xmpp),
            }
        });
        Self {
            jitsi,
            live: Live::default(),
            streams: Streams::default(),
            listeners: Listeners::default(),
            name: u32::from_be_bytes(gateway.random.bytes()),
            requests: Cell::new(0),
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
        let facts = Facts::of(
            &request,
            connection,
            &self.gateway.trusted_proxies,
            self.next_id(),
        );
        let line = self
            .gateway
            .access_log
            .then(|| audit::AccessLine::of(&request, &facts, started));
        let worker = Rc::clone(&self);
        // The HTTP library takes `Transfer-Encoding` over a `Content-Length` beside it without a
        // word; what follows such a body is not taken as another request (RFC 9112 § 6.1).
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let head_only = request.method() == Method::HEAD;
        let (label, mut answer) = self.answer(request, facts).await;
        if facts.secure {
            answer
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if head_only {
            answer = body::without_body(answer);
        }
        if chunked {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        worker.metrics.answered(label, answer.status());
        if let Some(line) = line {
            line.write(label, answer.status());
        }
        answer
    }

    /// Ends what is open for revoked sessions.
    pub fn end_revoked(&self) {
        self.live.end_revoked(&self.gateway.revocations);
    }

    /// Ends the WebSockets because the gateway stops.
    pub fn end_sockets(&self) {
        self.live.end_sockets();
    }

    async fn answer(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        facts: Facts,
    ) -> (&'static str, Response<Body>) {
        let (uri, headers) = (request.uri(), request.headers());
        let route = match Route::classify(uri.path()) {
            Ok(route) => route,
            Err(error) => {
                let asking = Asking::of_page(facts.id, uri, headers);
                return (
                    "refused",
                    self.refuse(&error.into(), "refused", &asking, facts),
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
            (Ok(()), Route::Config) => self.config_js(request, facts).await,
            (Ok(()), Route::Home)
                if self.gateway.start == StartPage::Gateway || self.jitsi.is_none() =>
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
        label: &'static str,
        asking: &Asking,
        facts: Facts,
    ) -> Response<Body> {
        audit::failed(failure, label, &facts);
        let sites = (label == "room").then(|| self.sites_shown(failure, asking));
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
            _ => self.refuse(&Failure::Misdirected, "refused", asking, facts),
        }
    }

    /// The Jitsi behind the gateway; where there is none, none of its addresses is.
    fn jitsi(&self) -> Result<(&Behind, &Ways), Failure> {
        let ways = self.jitsi.as_ref();
        self.gateway
            .jitsi
            .as_ref()
            .zip(ways)
            .ok_or(Failure::NotFound)
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

/// What guests' configuration asks of Jitsi's: its page has to know where those go who have no token.
fn overrides(guests: &Guests) -> serde_json::Map<String, serde_json::Value> {
    let domain = guests.xmpp_domain.as_deref();
    let hosts = domain.map(|domain| serde_json::json!({ "anonymousdomain": domain }));
    hosts
        .map(|hosts| ("hosts".to_owned(), hosts))
        .into_iter()
        .collect()
}

/// HSTS of two years, as Mozilla's guideline 6.0 has it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
