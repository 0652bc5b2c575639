//! The life of the process: SIGHUP reloads the configuration and the certificates, SIGTERM and SIGINT shut down
//! gracefully, a second one at once.
//!
//! The configuration is also polled for changes, and a service manager is notified of each phase.

mod config_watcher;
#[cfg(feature = "demo")]
mod jitsi_examination;
mod systemd;

use std::future;
#[cfg(feature = "demo")]
use std::{env, io::Write as _};

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{self, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::config_watcher::ConfigWatcher;
use crate::app::{self, GatewayHandle, StartOptions};
use config::{Config, ConfigProblems};
#[cfg(feature = "demo")]
use devkit::demo::{Demo, DemoPorts, ExternalJitsi};
#[cfg(feature = "demo")]
use model::{clock::Clock, random::Random};
#[cfg(feature = "demo")]
use observe::logs;
use proxy::server::InheritedSockets;

/// The functions that load the configuration and reopen the log files of a running process.
pub struct Reload {
    /// Loads the configuration from the same file and environment; called on SIGHUP and every
    /// `reload_every`.
    pub read: Box<dyn Fn() -> Result<Config, ConfigProblems> + Send>,
    /// Opens the audit file again; called on SIGHUP only, after logrotate(8) renamed it.
    pub reopen_logs: Box<dyn Fn() + Send>,
}

/// The signals that the process handles. While it exists, they do not terminate the process.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

/// The meaning of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Reload,
    Stop,
}

/// Serves until a signal stops the process.
pub fn run(config: &Config, reload: &Reload) -> anyhow::Result<()> {
    control_runtime()?.block_on(async {
        let signals = Signals::listen().context("cannot install signal handlers")?;
        let options = StartOptions {
            sockets: InheritedSockets::from_environment()?,
            ..StartOptions::default()
        };
        let gateway = app::start(config, options)?;
        let watcher = ConfigWatcher::new(reload, config);
        serve_until_stopped(gateway, signals, Some(watcher)).await;
        Ok(())
    })
}

/// Serves the demonstration until a signal stops the process.
#[cfg(feature = "demo")]
pub fn demo(jitsi: Option<ExternalJitsi>) -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find this program's file")?;
    let stop = CancellationToken::new();
    control_runtime()?.block_on(async {
        let signals = Signals::listen().context("cannot install signal handlers")?;
        let (clock, random) = (Clock::system(), Random::system());
        let is_external = jitsi.is_some();
        let parts = Demo::prepare(DemoPorts::Usual, jitsi, clock.clone(), random.clone()).await?;
        logs::init_with_audit_layer(&parts.config.log, parts.story(std::io::stderr))?;
        let gateway = app::start(&parts.config, StartOptions::default())?;
        parts.announce(&program, &mut std::io::stdout())?;
        let neighbours = tokio::spawn(parts.services.run(stop.clone()));
        if is_external {
            // The doctor's waits are bounded; a signal meanwhile is handled afterwards.
            let examination = jitsi_examination::examine(&parts.config, &clock, &random);
            if let Some(text) = Box::pin(examination).await {
                let mut out = std::io::stdout();
                out.write_all(text.as_bytes())?;
                out.flush()?;
            }
        }
        serve_until_stopped(gateway, signals, None).await;
        stop.cancel();
        neighbours.await.context("a stand-in panicked")
    })
}

fn control_runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the runtime of the control plane")
}

/// Handles reloads until a signal stops the gateway, then shuts it down.
async fn serve_until_stopped(
    gateway: GatewayHandle,
    mut signals: Signals,
    mut watcher: Option<ConfigWatcher<'_>>,
) {
    systemd::notify_ready();
    let heartbeat = systemd::start_heartbeat(&gateway);
    loop {
        let changed = async {
            match &mut watcher {
                Some(watcher) => watcher.changed().await,
                None => future::pending().await,
            }
        };
        let loaded = tokio::select! {
            signal = signals.recv() => match signal {
                Signal::Stop => break,
                Signal::Reload => {
                    gateway.check_certificates();
                    watcher.as_mut().map(ConfigWatcher::hang_up)
                }
            },
            loaded = changed => Some(loaded),
        };
        if let Some(loaded) = loaded {
            systemd::notify_reloading();
            apply_reload(&gateway, loaded);
            systemd::notify_ready();
        }
    }
    systemd::notify_stopping();
    drop(heartbeat);
    stop(gateway, signals).await;
}

/// Shuts down gracefully, or at once if another signal arrives meanwhile.
async fn stop(gateway: GatewayHandle, mut signals: Signals) {
    let hurry = CancellationToken::new();
    let stopping = gateway.stop(hurry.clone());
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => {}
        () = signals.stop_requested() => {
            warn!("second stop signal; open connections are closed at once");
            hurry.cancel();
            stopping.await;
        }
    }
}

/// Applies a valid configuration; if it is invalid, the previous one stays in use.
fn apply_reload(gateway: &GatewayHandle, loaded: Result<Config, ConfigProblems>) {
    let config = match loaded {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems.iter() {
                warn!(
                    %problem,
                    "the new configuration is invalid; the previous one stays in use"
                );
            }
            gateway.reload_failed();
            return;
        }
    };
    match gateway.reload(&config) {
        Ok(restart) => {
            info!("rules, signing keys, integrations and shards were reloaded");
            if !restart.is_empty() {
                let sections = restart.join(", ");
                warn!(sections, "changed sections require a restart");
            }
        }
        Err(error) => warn!(%error, "the new keys cannot be used; the previous ones stay in use"),
    }
}

// === impl Signals ===

impl Signals {
    /// Installs the signal handlers.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }

    async fn stop_requested(&mut self) {
        while self.recv().await == Signal::Reload {}
    }
}

/// One thread would suffice; with two, health probes are answered during a slow sign-in.
const CONTROL_THREADS: usize = 2;
