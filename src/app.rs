//! Assembly: from a checked configuration to a running gateway, and back to nothing.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinError,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admin::Admin,
    clock::{Clock, Timestamp},
    config::{self, Backend, Config, Jitsi, Written, fingerprint},
    doctor::{self, ProbeSettings, Prober},
    gateway::{self, Control, Gateway, Rules},
    headers::TrustedProxies,
    metrics::{CertificateMetrics, ControlMetrics, Metrics, WorkerMetrics},
    oidc::{self, RelyingParty},
    pages::{self, Pages},
    placement::Placement,
    policy::{Enter, Policy},
    presence::Presence,
    random::Random,
    replica::{self, Announcement},
    reservation::{Reservations, RoomTerms},
    revocation::Revocations,
    room::RoomKey,
    server::{
        self, Certificate, CertificateError, Door, InheritError, Inherited, ListenError, Listener,
        News, WorkerError, Workers,
    },
    shard::ShardName,
    store,
    traces::{self, Traces},
    upstream,
};

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    gateway: Arc<Gateway>,
    placement: Option<Arc<Placement>>,
    workers: Arc<Workers>,
    tasks: TaskTracker,
    clock: Clock,
    started_with: Written,
    metrics: ControlMetrics,
    traces: Option<Traces>,
    drain_delay: Duration,
    grace: Duration,
    drain_window: Duration,
    /// `/readyz` fails.
    draining: CancellationToken,
    /// What this replica says of itself.
    announcement: watch::Sender<Announcement>,
    /// What the probe works with, where there is a Jitsi to probe.
    probed: Option<watch::Sender<ProbeSettings>>,
    /// Nothing more is accepted.
    closed: CancellationToken,
    /// The control plane ends.
    stopped: CancellationToken,
}

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Probes and metrics.
    pub admin: SocketAddr,
    /// Prosody's questions about rooms.
    pub reservation: Option<SocketAddr>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What a service manager handed over cannot be used.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The relying party cannot be set up.
    #[error(transparent)]
    Oidc(#[from] oidc::SetupError),
    /// The request path cannot be set up.
    #[error(transparent)]
    Gateway(#[from] gateway::SetupError),
    /// What replicas share cannot be set up.
    #[error(transparent)]
    Store(#[from] store::SetupError),
    /// Traces cannot be set up.
    #[error(transparent)]
    Traces(#[from] traces::SetupError),
    /// A worker did not start.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// What a running gateway takes from outside, so that tests can hold it.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Sockets that a service manager handed over.
    pub sockets: Inherited,
}

/// Starts a gateway. The current runtime becomes its control plane; requests are served on threads
/// of their own.
///
/// # Panics
///
/// Outside of a runtime.
pub fn start(config: &Config, surroundings: Surroundings) -> Result<Running, StartError> {
    let Surroundings {
        clock,
        random,
        mut sockets,
    } = surroundings;
    let Config { server, log, .. } = config;
    let mut bind = |name, address: Option<SocketAddr>| {
        address
            .map(|address| sockets.listen(name, address))
            .transpose()
    };
    let (http, https) = (bind("http", server.http)?, bind("https", server.https)?);
    let reservation = config.reservation.as_ref();
    let reservation_listener = bind("reservation", reservation.map(|asks| asks.listen))?;
    let admin_listener = sockets.listen("admin", server.admin)?;
    sockets.none_left()?;
    let certificate = server
        .tls
        .clone()
        .map(Certificate::load)
        .transpose()?
        .map(Arc::new);
    let tls = certificate
        .as_ref()
        .map(Certificate::server_config)
        .transpose()?
        .map(Arc::new);

    let mut control_metrics = ControlMetrics::default();
    let started = clock.now().as_unix();
    control_metrics.config.started(started);
    control_metrics.config_hash.set(&config.fingerprint());
    control_metrics
        .insecure_switches
        .set(i64::try_from(config.weakened.len()).unwrap_or(i64::MAX));
    let relying_party = config
        .oidc
        .clone()
        .map(|provider| RelyingParty::new(provider, clock.clone(), random.clone()))
        .transpose()?
        .map(Arc::new);
    control_metrics.provider = relying_party.as_ref().map(|party| party.metrics().clone());
    control_metrics.certificate = certificate.as_ref().map(|_| CertificateMetrics::default());
    let revocations = Arc::new(Revocations::new(
        config.session.absolute.max(config.guests.lifetime),
        clock.clone(),
    ));
    let store = store::open(&config.store, control_metrics.store.clone(), random.clone())?;
    let presence = Arc::new(Presence::new(&random));
    let backend = match &config.backend {
        Backend::Jitsi(Jitsi {
            upstream, shards, ..
        }) => {
            let shared = (clock.clone(), random.clone(), Arc::clone(&store));
            let metrics = control_metrics.shards.clone();
            let placement = Placement::new(shards.clone(), &upstream.xmpp_domain, shared, metrics);
            gateway::Backend::Jitsi {
                upstream: upstream.clone(),
                placement: Arc::new(placement),
            }
        }
        Backend::Jaas(settings) => gateway::Backend::Jaas(settings.clone()),
    };
    let placement = match &backend {
        gateway::Backend::Jitsi { placement, .. } => Some(Arc::clone(placement)),
        gateway::Backend::Jaas(_) => None,
    };
    let news = News {
        revoked: revocations.watch(),
        presence: presence.changes(),
        moves: placement.as_ref().map(|placement| placement.moves()),
    };
    let control = Control {
        runtime: Handle::current(),
        relying_party: relying_party.clone(),
        revocations: Arc::clone(&revocations),
        presence: Arc::clone(&presence),
        store: Arc::clone(&store),
        metrics: control_metrics.clone(),
    };
    let (replica_name, probe_random) = (random.text::<9>(), random.clone());
    let rules = rules(config, clock.clone())?;
    let traces = config.traces.as_ref();
    let traces = traces.map(|settings| Traces::start(settings, Handle::current()));
    let traces = traces.transpose()?;
    let settings = gateway::Settings {
        origin: config.public_url.origin().to_owned(),
        authority: config.public_url.authority().to_string(),
        trusted_proxies: TrustedProxies::new(server.trusted_proxies.clone()),
        session: config.session,
        keyring: config.keyring.clone(),
        backend,
        pages: pages(config),
        start: config.pages.start,
        guests: config.guests.clone(),
        recorders: TrustedProxies::new(server.recorders.clone()),
        embedding_sites: config.embedding_sites.clone(),
        access_log: log.access,
        traces: traces.clone(),
    };
    let gateway = Arc::new(Gateway::new(
        settings,
        rules,
        control,
        clock.clone(),
        random,
    )?);

    let shards: Vec<_> = (0..server.workers.max(1))
        .map(|_| Arc::new(WorkerMetrics::default()))
        .collect();
    let metrics = Metrics::new(shards.clone(), &control_metrics, started);
    let workers = Arc::new(Workers::start(&gateway, tls.as_ref(), &news, shards)?);

    let running = Running {
        addresses: Addresses {
            http: http.as_ref().map(|listener| listener.address),
            https: https.as_ref().map(|listener| listener.address),
            admin: admin_listener.address,
            reservation: reservation_listener
                .as_ref()
                .map(|listener| listener.address),
        },
        gateway,
        placement: placement.clone(),
        workers,
        tasks: TaskTracker::new(),
        clock,
        started_with: config.written.clone(),
        metrics: control_metrics.clone(),
        traces,
        drain_delay: server.drain_delay,
        grace: server.grace,
        drain_window: server.drain_window,
        draining: CancellationToken::new(),
        announcement: watch::Sender::new(announcement(config, replica_name)),
        probed: probed(config).map(watch::Sender::new),
        closed: CancellationToken::new(),
        stopped: CancellationToken::new(),
    };
    let admin = Arc::new(Admin {
        metrics,
        control: control_metrics.clone(),
        presence: Arc::clone(&presence),
        relying_party: relying_party.clone(),
        revocations: Arc::clone(&revocations),
        store: Arc::clone(&store),
        probe: control_metrics.probe.clone(),
        weakened: config.weakened.clone(),
        placement: placement.clone(),
        draining: running.draining.clone(),
    });
    if let Some(relying_party) = relying_party {
        running
            .tasks
            .spawn(relying_party.run(running.stopped.clone()));
    }
    if let Some(placement) = placement {
        running.tasks.spawn(placement.run(running.stopped.clone()));
    }
    if let (Some(every), Some(probed)) = (config.probe, &running.probed) {
        let prober = Prober {
            every,
            settings: probed.subscribe(),
            metrics: control_metrics.probe.clone(),
            clock: running.clock.clone(),
            random: probe_random,
        };
        running.tasks.spawn(prober.run(running.stopped.clone()));
    }
    let announced = running.announcement.subscribe();
    let shared = [
        Arc::clone(&store).run(running.stopped.clone()),
        Box::pin(replica::announce(
            Arc::clone(&store),
            announced,
            running.stopped.clone(),
        )),
        Box::pin(revocations.run(Arc::clone(&store), running.stopped.clone())),
        Box::pin(presence.run(store, running.stopped.clone())),
    ];
    for task in shared {
        running.tasks.spawn(task);
    }
    if let (Some(certificate), Some(metrics)) = (certificate, control_metrics.certificate) {
        running.tasks.spawn(certificate.follow(
            metrics,
            running.clock.clone(),
            running.stopped.clone(),
        ));
    }
    running.keep(
        "admin",
        admin.serve(admin_listener, running.stopped.clone()),
    );
    if let (Some(listener), Some(settings)) = (reservation_listener, &config.reservation) {
        let gateway = Arc::clone(&running.gateway);
        let (clock, now) = (running.clock.clone(), running.clock.clone());
        let terms = move |room: &RoomKey| terms(&gateway.policy(), room, now.now());
        let reservations = Arc::new(Reservations::new(settings.secret.clone(), clock, terms));
        let serving = reservations.serve(listener, running.stopped.clone());
        running.keep("reservation", serving);
    }
    for (listener, tls) in [(http, false), (https, true)] {
        if let Some(listener) = listener {
            let balancers = server
                .proxy_protocol
                .then(|| TrustedProxies::new(server.trusted_proxies.clone()));
            running.accept(listener, Door { tls, balancers });
        }
    }
    info!(
        http = running.addresses.http.map(tracing::field::display),
        https = running.addresses.https.map(tracing::field::display),
        admin = %running.addresses.admin,
        public_url = config.public_url.origin(),
        "the gateway listens"
    );
    for switch in &config.weakened {
        warn!(switch, "a switch that weakens the gateway is on");
    }
    Ok(running)
}

// === impl Running ===

impl Running {
    /// Takes over rules, signing keys, integrations and shards of a new configuration, and gives the
    /// names of sections that have changed since the start and are used only after a restart.
    pub fn reload<'c>(&'c self, config: &'c Config) -> Result<Vec<&'c str>, gateway::SetupError> {
        let rules = rules(config, self.clock.clone());
        self.gateway
            .replace_rules(rules.inspect_err(|_| self.reload_failed())?);
        self.workers.judge();
        self.metrics.config.succeeded(self.clock.now().as_unix());
        self.metrics.config_hash.set(&config.fingerprint());
        if let (Some(placement), Some(jitsi)) = (&self.placement, config.jitsi()) {
            placement.replace(jitsi.shards.clone());
        }
        if let (Some(probed), Some(settings)) = (&self.probed, probed(config)) {
            probed.send_replace(settings);
        }
        self.announcement.send_modify(|own| {
            *own = Announcement {
                turn: own.turn + 1,
                ..announcement(config, std::mem::take(&mut own.replica))
            };
        });
        let mut changed = config.written.differences(&self.started_with);
        changed.retain(|section| !config::RELOADED.contains(section));
        Ok(changed)
    }

    /// The threads that serve, to see whether they live.
    pub fn workers(&self) -> Weak<Workers> {
        Arc::downgrade(&self.workers)
    }

    /// A new configuration cannot be used; the old one stays, and metrics and `/readyz` say so.
    pub fn reload_failed(&self) {
        self.metrics.config.failed();
    }

    /// Stops in order, so that no meeting ends that another replica can carry on:
    ///
    /// 1. `/readyz` fails, and balancers have `drain_delay` to notice; all goes on meanwhile.
    /// 2. Nothing more is accepted. Requests under way are answered, BOSH's long polls in their time,
    ///    and connections told to go elsewhere. WebSockets are closed with 1001, one after another
    ///    over `drain_window`.
    /// 3. When all have gone, or after `grace`, what is left is closed.
    ///
    /// `hurry` ends all waiting.
    pub async fn stop(self, hurry: CancellationToken) {
        self.draining.cancel();
        info!("stopping; /readyz says so");
        let _ = hurry.run_until_cancelled(sleep(self.drain_delay)).await;
        self.closed.cancel();
        self.workers.drain();
        self.workers.end_sockets(self.drain_window);
        info!(
            connections = self.workers.open_connections(),
            sockets = self.workers.open_sockets(),
            drain_window = ?self.drain_window,
            grace = ?self.grace,
            "nothing more is accepted; waiting for those who are there"
        );
        let _ = hurry
            .run_until_cancelled(until(self.grace, || {
                self.workers.open_connections() == 0 && self.workers.open_sockets() == 0
            }))
            .await;
        self.workers.end_sockets(Duration::ZERO);
        until(FAREWELL, || self.workers.open_sockets() == 0).await;
        info!(
            connections = self.workers.open_connections(),
            sockets = self.workers.open_sockets(),
            "closing what is left"
        );
        self.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(workers) = Arc::into_inner(self.workers) {
            let _: Result<(), JoinError> =
                tokio::task::spawn_blocking(move || workers.stop()).await;
        }
        if let Some(traces) = self.traces {
            let _: Result<(), JoinError> = tokio::task::spawn_blocking(move || traces.stop()).await;
        }
        info!("stopped");
    }

    fn accept(&self, listener: Listener, door: Door) {
        let name = if door.tls { "https" } else { "http" };
        let (workers, closed) = (Arc::clone(&self.workers), self.closed.clone());
        self.keep(name, server::accept(listener, door, workers, closed));
    }

    fn keep(
        &self,
        name: &'static str,
        listening: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = listening.await {
                warn!(%error, listener = name, "a listener ended");
            }
        });
    }
}

/// The pages, which show no way to sign in where there is none.
fn pages(config: &Config) -> Pages {
    let pages::Settings {
        brand, languages, ..
    } = config.pages.clone();
    let pages = Pages::new(brand, languages);
    if config.oidc.is_some() {
        pages
    } else {
        pages.without_sign_in()
    }
}

/// Waits until something is so, but not for ever.
async fn until(at_most: Duration, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() && began.elapsed() < at_most {
        sleep(LOOK_EVERY).await;
    }
}

/// What a reload replaces.
fn rules(config: &Config, clock: Clock) -> Result<Rules, gateway::SetupError> {
    let policy = Arc::new(config.policy.clone());
    let token = config.jitsi().map(|jitsi| &jitsi.token);
    Rules::new(policy, token, config.integrations.clone(), clock)
}

/// What the probe works with.
fn probed(config: &Config) -> Option<ProbeSettings> {
    let jitsi = config.jitsi()?;
    let backend = |(shard, upstream): (Option<&ShardName>, upstream::Settings)| doctor::Backend {
        name: shard.map_or(THE_ONE, ShardName::as_str).to_owned(),
        xmpp: upstream.xmpp,
        domain: upstream.xmpp_domain,
    };
    Some(ProbeSettings {
        backends: jitsi.sets().into_iter().map(backend).collect(),
        token: jitsi.token.clone(),
    })
}

/// What a replica of this name says of itself.
fn announcement(config: &Config, replica: String) -> Announcement {
    let jitsi = config.jitsi();
    Announcement {
        form: replica::FORM,
        replica,
        turn: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: config.fingerprint(),
        cookie_keys: config.keyring.ids(),
        signing_keys: jitsi.map_or_else(Vec::new, |jitsi| jitsi.token.signing.kids()),
        ring: fingerprint(&jitsi.map(|jitsi| (&jitsi.upstream, &jitsi.shards))),
    }
}

/// What the rules say of a room, whoever is in it.
fn terms(policy: &Policy, room: &RoomKey, now: Timestamp) -> RoomTerms {
    let Some((_, rule)) = policy.rule_of(room) else {
        return RoomTerms::default();
    };
    let early = rule.window.opens.is_some_and(|opens| now < opens);
    let late = rule.window.closes.is_some_and(|closes| now >= closes);
    RoomTerms {
        allowed: rule.enter != Enter::Closed && !early && !late,
        duration: rule.window.closes.map(|closes| closes.since(now)),
        max_people: rule.max_people,
        lobby: rule.lobby,
    }
}

/// The name of a Jitsi that has none, because there is no other.
const THE_ONE: &str = "jitsi";

/// For the last close frames to get through; a client that does not read is not waited for longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often to look whether everything has ended; only while stopping.
const LOOK_EVERY: Duration = Duration::from_millis(20);
