//! Assembly: from a checked configuration to a running gateway, and back to nothing.

mod parts;
mod running;

use std::{net::SocketAddr, sync::Arc};

use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::parts::{announcement, backend, pages, probed, rules, terms};
pub use self::running::{Addresses, Running};
use cluster::{presence::Presence, replica, revocation::Revocations, store};
use config::Config;
use doctor::Prober;
use model::{clock::Clock, headers::TrustedProxies, random::Random, room::RoomKey};
use observe::{
    metrics::{CertificateMetrics, ControlMetrics, Metrics, WorkerMetrics},
    traces::{self, Traces},
};
use oidc::{self, RelyingParty};
use proxy::{
    admin::Admin,
    gateway::{self, Control, Gateway},
    reservation::Reservations,
    server::{
        Certificate, CertificateError, Door, InheritError, Inherited, ListenError, News,
        WorkerError, Workers,
    },
};

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
    Traces(#[from] traces::TracesSetupError),
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
    let shared = (clock.clone(), random.clone(), Arc::clone(&store));
    let backend = backend(config, shared, &control_metrics);
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
