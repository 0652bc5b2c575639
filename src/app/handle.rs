//! The handle of a running gateway: reload and shutdown.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinError,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{listeners::ListenAddresses, settings};
use cluster::{
    placement::{Placement, PlacementSettings},
    replica::Announcement,
};
use config::{Config, RELOADABLE_SECTIONS, SectionDigests};
use doctor::login_probe::LoginProbeSettings;
use model::clock::Clock;
use observe::{metrics::ControlMetrics, traces::Traces};
use proxy::{
    AssetCache, ProxySetupError, SharedState,
    server::{
        BoundListener, ListenerOptions, ListenerStop, ServerCertificates, WorkerPool,
        accept_connections,
    },
};

/// A running gateway.
#[derive(Debug)]
pub struct GatewayHandle {
    /// The local addresses of the listeners.
    pub addresses: ListenAddresses,
    pub(super) gateway: Arc<SharedState>,
    pub(super) placement: Option<Arc<Placement>>,
    pub(super) asset_cache: Option<Arc<AssetCache>>,
    /// `None` without `[tls]`.
    pub(super) certificates: Option<Arc<ServerCertificates>>,
    /// The shards of the configuration in use; none with `[jaas]`.
    pub(super) shards: watch::Sender<Option<PlacementSettings>>,
    pub(super) workers: Arc<WorkerPool>,
    pub(super) tasks: TaskTracker,
    /// The accept loops of the public listeners.
    pub(super) acceptors: TaskTracker,
    pub(super) clock: Clock,
    /// The configuration at the start, to which reloads are compared.
    pub(super) initial_digests: SectionDigests,
    pub(super) metrics: ControlMetrics,
    pub(super) traces: Option<Traces>,
    pub(super) drain_delay: Duration,
    pub(super) grace: Duration,
    pub(super) drain_window: Duration,
    /// Cancelled when the shutdown begins: `/readyz` fails.
    pub(super) draining: CancellationToken,
    pub(super) announcement: watch::Sender<Announcement>,
    /// `None` with `[jaas]`.
    pub(super) probe_settings: Option<watch::Sender<LoginProbeSettings>>,
    /// Cancelled when the public listeners begin to accept; until then connections wait in their backlog.
    pub(super) opened: CancellationToken,
    /// Cancelled when no more connections are accepted.
    pub(super) closed: CancellationToken,
    /// Cancelled when the tasks of the control plane end.
    pub(super) stopped: CancellationToken,
}

// === impl GatewayHandle ===

impl GatewayHandle {
    /// Replaces rules, signing keys, integrations and shards. Returns the names of the sections that
    /// differ from those at the start and require a restart.
    pub fn reload<'c>(&'c self, config: &'c Config) -> Result<Vec<&'c str>, ProxySetupError> {
        let rules = settings::rules(config, self.clock.clone());
        self.gateway
            .replace_rules(rules.inspect_err(|_| self.reload_failed())?);
        self.workers.reload();
        self.metrics.config.succeeded(self.clock.now().as_unix());
        self.metrics.config_hash.set(&config.fingerprint());
        if let (Some(placement), Some(jitsi)) = (&self.placement, config.jitsi()) {
            placement.replace(jitsi.shards.clone());
            self.purge_if_moved(&jitsi.shards);
        }
        if let (Some(sender), Some(settings)) = (&self.probe_settings, settings::probe(config)) {
            sender.send_replace(settings);
        }
        self.announcement.send_modify(|current| {
            let replica = std::mem::take(&mut current.replica);
            *current = Announcement {
                revision: current.revision + 1,
                ..settings::announcement(config, replica)
            };
        });
        let mut changed = config.section_digests.differences(&self.initial_digests);
        changed.retain(|section| !RELOADABLE_SECTIONS.contains(section));
        Ok(changed)
    }

    /// Empties the cache if the shards are others: at the same address there may be another Jitsi.
    fn purge_if_moved(&self, shards: &PlacementSettings) {
        let changed = self.shards.send_if_modified(|known| {
            let is_other = known.as_ref() != Some(shards);
            *known = Some(shards.clone());
            is_other
        });
        if let (true, Some(cache)) = (changed, &self.asset_cache) {
            let files = cache.purge();
            info!(files, "the shards changed; the cache was emptied");
        }
    }

    /// Checks the files of the certificates now, rather than at the next interval.
    pub fn check_certificates(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.check_now();
        }
    }

    /// The worker threads, for liveness checks.
    pub fn workers(&self) -> Weak<WorkerPool> {
        Arc::downgrade(&self.workers)
    }

    /// Records a failed reload for metrics and `/readyz`.
    pub fn reload_failed(&self) {
        self.metrics.config.failed();
    }

    /// Shuts down gracefully, so that other replicas can continue the meetings:
    ///
    /// 1. `/readyz` fails. For `drain_delay` requests are served as before, until load balancers
    ///    notice.
    /// 2. No more connections are accepted. In-flight requests are answered, including BOSH long
    ///    polls, and idle connections are closed. WebSockets are closed with 1001, spread over
    ///    `drain_window`.
    /// 3. When all are closed, or after `grace`, the remaining connections are closed.
    ///
    /// Cancelling `hurry` ends all waiting.
    pub async fn stop(self, hurry: CancellationToken) {
        self.draining.cancel();
        info!("shutdown begins; /readyz fails");
        let _ = hurry.run_until_cancelled(sleep(self.drain_delay)).await;
        self.drain(&hurry).await;
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

    /// Closes the listeners, and within `grace` the connections.
    async fn drain(&self, hurry: &CancellationToken) {
        self.closed.cancel();
        // The accept loops empty the backlog first, and those connections count as open, too.
        self.acceptors.close();
        self.acceptors.wait().await;
        self.workers.drain();
        self.workers.end_sockets(self.drain_window);
        info!(
            connections = self.workers.open_connections(),
            sockets = self.workers.open_sockets(),
            drain_window = ?self.drain_window,
            grace = ?self.grace,
            "no more connections are accepted; waiting for the open ones"
        );
        let all_closed =
            || self.workers.open_connections() == 0 && self.workers.open_sockets() == 0;
        let _ = hurry
            .run_until_cancelled(wait_until(all_closed, self.grace))
            .await;
        self.workers.end_sockets(Duration::ZERO);
        wait_until(|| self.workers.open_sockets() == 0, CLOSE_FRAME_TIMEOUT).await;
        info!(
            connections = self.workers.open_connections(),
            sockets = self.workers.open_sockets(),
            "closing the remaining connections"
        );
    }

    /// Spawns the accept loop of a public listener.
    pub(super) fn spawn_acceptor(&self, listener: BoundListener, options: ListenerOptions) {
        let name = if options.tls { "https" } else { "http" };
        let stop = ListenerStop {
            begins: self.draining.clone(),
            closes: self.closed.clone(),
        };
        let (workers, closed) = (Arc::clone(&self.workers), self.closed.clone());
        let opened = self.opened.clone();
        let accepting = async move {
            let _ = closed.run_until_cancelled(opened.cancelled()).await;
            accept_connections(listener, options, workers, stop).await
        };
        self.acceptors.spawn(log_failure(name, accepting));
    }

    /// Spawns the task of a listener of the control plane and logs its failure.
    pub(super) fn spawn_listener(
        &self,
        name: &'static str,
        serving: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(log_failure(name, serving));
    }
}

async fn log_failure(listener: &'static str, serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        warn!(%error, listener, "a listener failed");
    }
}

/// Polls the condition until it holds or the timeout has passed.
async fn wait_until(condition: impl Fn() -> bool, timeout: Duration) {
    let began = Instant::now();
    while !condition() && began.elapsed() < timeout {
        sleep(POLL_INTERVAL).await;
    }
}

/// Clients that read receive their close frames within this time; others are not waited for.
const CLOSE_FRAME_TIMEOUT: Duration = Duration::from_secs(2);

/// The shutdown takes seconds, so 20 ms go unnoticed.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
