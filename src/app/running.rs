//! A gateway that runs: new configurations, and the way it stops.

use std::{
    io,
    net::SocketAddr,
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

use super::parts::{announcement, probed, rules};
use cluster::{placement::Placement, replica::Announcement};
use config::{self, Config, Written};
use doctor::login_probe::LoginProbeSettings;
use model::clock::Clock;
use observe::{metrics::ControlMetrics, traces::Traces};
use proxy::{
    gateway::{self, Gateway},
    server::{self, Door, Listener, Workers},
};

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    pub(super) gateway: Arc<Gateway>,
    pub(super) placement: Option<Arc<Placement>>,
    pub(super) workers: Arc<Workers>,
    pub(super) tasks: TaskTracker,
    pub(super) clock: Clock,
    pub(super) started_with: Written,
    pub(super) metrics: ControlMetrics,
    pub(super) traces: Option<Traces>,
    pub(super) drain_delay: Duration,
    pub(super) grace: Duration,
    pub(super) drain_window: Duration,
    /// `/readyz` fails.
    pub(super) draining: CancellationToken,
    /// What this replica says of itself.
    pub(super) announcement: watch::Sender<Announcement>,
    /// What the probe works with, where there is a Jitsi to probe.
    pub(super) probed: Option<watch::Sender<LoginProbeSettings>>,
    /// Nothing more is accepted.
    pub(super) closed: CancellationToken,
    /// The control plane ends.
    pub(super) stopped: CancellationToken,
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

    pub(super) fn accept(&self, listener: Listener, door: Door) {
        let name = if door.tls { "https" } else { "http" };
        let (workers, closed) = (Arc::clone(&self.workers), self.closed.clone());
        self.keep(name, server::accept(listener, door, workers, closed));
    }

    pub(super) fn keep(
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

/// Waits until something is so, but not for ever.
async fn until(at_most: Duration, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() && began.elapsed() < at_most {
        sleep(LOOK_EVERY).await;
    }
}

/// For the last close frames to get through; a client that does not read is not waited for longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often to look whether everything has ended; only while stopping.
const LOOK_EVERY: Duration = Duration::from_millis(20);
