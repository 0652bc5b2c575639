//! Assembles a running gateway from a checked configuration, and stops it.

mod control_plane;
mod handle;
mod listeners;
mod opening;
mod settings;

use std::sync::Arc;

use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{
    control_plane::{Certificates, ControlPlane},
    listeners::Listeners,
};
pub use self::{handle::GatewayHandle, listeners::ListenAddresses};
use acme::{AcmeStorage, AcmeStorageError};
use cluster::{journal::OpenJournalError, store};
use config::{Config, FORGETS_REVOCATIONS};
use model::{clock::Clock, headers::TrustedProxies, random::Random};
use observe::{
    metrics::{Metrics, WorkerMetrics},
    traces::{self, Traces},
};
use proxy::{
    ProxySetupError, SharedState, WorkerFactory,
    limits::{ConnectionCounts, DescriptorLimit},
    server::{
        InheritedSockets, ListenError, ServerCertificateError, ServerCertificates,
        SocketActivationError, WorkerPool, WorkerStartError,
    },
};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use or does not belong to the machine, or a Unix socket cannot be made.
    #[error("`{key}` {problem}")]
    Listen {
        /// The option.
        key: &'static str,
        /// The fault, with its remedy where one is known.
        problem: &'static str,
        /// The address, and the error of the system call behind it.
        source: ListenError,
    },
    /// A socket that the service manager passed cannot be used.
    #[error(transparent)]
    Inherit(#[from] SocketActivationError),
    /// The certificate cannot be loaded.
    #[error(transparent)]
    Certificate(#[from] ServerCertificateError),
    /// The storage of `[tls.acme]` cannot be written.
    #[error(transparent)]
    Acme(#[from] AcmeStorageError),
    /// The relying party cannot be set up.
    #[error(transparent)]
    Oidc(#[from] oidc::OidcSetupError),
    /// The request path cannot be set up.
    #[error(transparent)]
    Gateway(#[from] ProxySetupError),
    /// The journal of revocations cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenJournalError),
    /// The shared store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::RedisSetupError),
    /// The trace exporter cannot be set up.
    #[error(transparent)]
    Traces(#[from] traces::TracesSetupError),
    /// A worker thread cannot be started.
    #[error(transparent)]
    Worker(#[from] WorkerStartError),
}

/// The external inputs of a gateway, which tests replace.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// The clock of all lifetimes.
    pub clock: Clock,
    /// The source of ids, nonces and keys.
    pub random: Random,
    /// The sockets that a service manager passed.
    pub sockets: InheritedSockets,
}

/// Starts a gateway. The current runtime becomes its control plane; worker threads with runtimes of
/// their own serve requests.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn start(config: &Config, options: StartOptions) -> Result<GatewayHandle, StartError> {
    let StartOptions {
        clock,
        random,
        sockets,
    } = options;
    let listeners = Listeners::bind(config, sockets)?;
    let descriptors = DescriptorLimit::raise();
    let limits = config
        .server
        .limits
        .resolve(descriptors, config.server.workers.max(1));
    let certificates = match config.server.tls.clone() {
        Some(tls) => {
            let challenges = config.acme.as_ref().map(|_| Arc::default());
            Some(Certificates {
                served: Arc::new(ServerCertificates::load(tls, challenges.clone())?),
                challenges,
            })
        }
        None => None,
    };
    let storage = match &config.acme {
        Some(acme) => Some(AcmeStorage::open(&acme.storage)?),
        None => None,
    };
    let control = ControlPlane::new(config, certificates, &clock, &random)?;
    let traces = match &config.traces {
        Some(settings) => Some(Traces::start(settings, Handle::current())?),
        None => None,
    };
    let gateway = SharedState::new(
        settings::gateway(config, control.placement.as_ref(), limits, traces.clone()),
        settings::rules(config, clock.clone())?,
        control.for_requests(),
        clock.clone(),
        random.clone(),
    )?;
    let gateway = Arc::new(gateway);
    let worker_metrics: Vec<_> = (0..config.server.workers.max(1))
        .map(|_| Arc::new(WorkerMetrics::default()))
        .collect();
    let metrics = Metrics::new(
        worker_metrics.clone(),
        &control.metrics,
        clock.now().as_unix(),
    );
    let tls = match &control.certificates {
        Some(certificates) => Some(Arc::new(certificates.served.server_config()?)),
        None => None,
    };
    let proxies = TrustedProxies::new(config.server.trusted_proxies.clone());
    let counts = ConnectionCounts::new(limits, descriptors, proxies, clock.clone());
    let factory = WorkerFactory {
        state: Arc::clone(&gateway),
        notifications: control.notifications(),
    };
    let workers = WorkerPool::start(
        &factory,
        tls.as_ref(),
        worker_metrics,
        limits.connection_idle,
    )?;

    let handle = GatewayHandle {
        addresses: listeners.addresses(),
        gateway,
        placement: control.placement.clone(),
        asset_cache: control.asset_cache.clone(),
        certificates: control
            .certificates
            .as_ref()
            .map(|certificates| Arc::clone(&certificates.served)),
        shards: watch::Sender::new(config.jitsi().map(|jitsi| jitsi.shards.clone())),
        workers: Arc::new(workers),
        tasks: TaskTracker::new(),
        acceptors: TaskTracker::new(),
        clock,
        initial_digests: config.section_digests.clone(),
        metrics: control.metrics.clone(),
        traces,
        drain_delay: config.server.drain_delay,
        grace: config.server.grace,
        drain_window: config.server.drain_window,
        draining: CancellationToken::new(),
        announcement: watch::Sender::new(settings::announcement(config, random.text::<9>())),
        probe_settings: settings::probe(config).map(watch::Sender::new),
        opened: CancellationToken::new(),
        closed: CancellationToken::new(),
        stopped: CancellationToken::new(),
    };
    let admin = control.admin(metrics, config, &handle);
    control.spawn(config, random, storage, &handle);
    listeners.serve(config, &counts, admin, &handle);
    log_start(config, &handle.addresses);
    Ok(handle)
}

fn log_start(config: &Config, addresses: &ListenAddresses) {
    info!(
        http = addresses.http.as_ref().map(tracing::field::display),
        https = addresses.https.map(tracing::field::display),
        admin = %addresses.admin,
        public_url = config.public_url.origin(),
        "the gateway listens"
    );
    if config.forgets_revocations() {
        warn!("{FORGETS_REVOCATIONS}");
    }
    for notice in &config.notices {
        warn!("{notice}");
    }
    for switch in &config.insecure_switches {
        warn!(switch, "an insecure switch is on");
    }
}
