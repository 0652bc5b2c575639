//! Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT stop, a second one stops now.
//! The configuration is also looked at now and then, and a service manager is told what happens.

mod manager;
mod watch;

use anyhow::Context;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::watch::Watch;
use crate::app::{self, Running, Surroundings};
use config::{Config, Problems};
#[cfg(feature = "demo")]
use devkit::demo::{DemoParts, Ports};
#[cfg(feature = "demo")]
use model::{clock::Clock, random::Random};
#[cfg(feature = "demo")]
use observe::logs;
use proxy::server::Inherited;

/// How a running process gets its configuration and log files again.
pub struct Reload {
    /// Reads the configuration; called on SIGHUP and every `reload_every`.
    pub read: Box<dyn Fn() -> Result<Config, Problems> + Send>,
    /// Opens the audit file again; called on SIGHUP only, after logrotate(8) renamed it.
    pub reopen_logs: Box<dyn Fn() + Send>,
}

/// Serves with a configuration until the process is told to stop.
pub fn run(config: &Config, reload: &Reload) -> anyhow::Result<()> {
    control_runtime()?.block_on(async {
        let signals = Signals::listen().context("cannot listen to signals")?;
        let surroundings = Surroundings {
            sockets: Inherited::from_manager()?,
            ..Surroundings::default()
        };
        let running = app::start(config, surroundings)?;
        let watch = Watch::new(reload, config);
        until_stopped(running, signals, Some(watch)).await;
        Ok(())
    })
}

#[cfg(feature = "demo")]
/// Serves the demonstration until the process is told to stop.
pub fn demo() -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    control_runtime()?.block_on(async {
        let signals = Signals::listen().context("cannot listen to signals")?;
        let parts = DemoParts::prepare(Ports::Usual, Clock::system(), Random::system()).await?;
        logs::init(&parts.config.log)?;
        let running = app::start(&parts.config, Surroundings::default())?;
        parts.announce(&mut std::io::stdout())?;
        let neighbours = tokio::spawn(parts.neighbours.run(stop.clone()));
        until_stopped(running, signals, None).await;
        stop.cancel();
        neighbours.await.context("a stand-in ended in a panic")
    })
}

fn control_runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control plane's runtime")
}

/// The signals that mean something to us.
#[derive(Debug)]
pub struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Reload,
    Stop,
}

/// Keeps a gateway running until a signal stops it, and stops it in order.
async fn until_stopped(running: Running, mut signals: Signals, mut watch: Option<Watch<'_>>) {
    manager::ready();
    let beat = manager::heartbeat(&running);
    loop {
        let looking = async {
            match &mut watch {
                Some(watch) => watch.next().await,
                None => std::future::pending().await,
            }
        };
        let found = tokio::select! {
            told = signals.next() => match (told, &mut watch) {
                (Told::Stop, _) => break,
                (Told::Reload, Some(watch)) => Some(watch.hang_up()),
                (Told::Reload, None) => None,
            },
            found = looking => Some(found),
        };
        if let Some(found) = found {
            manager::reloading();
            take_over(&running, found);
            manager::ready();
        }
    }
    manager::stopping();
    drop(beat);
    let hurry = CancellationToken::new();
    let stopping = running.stop(hurry.clone());
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => {}
        () = signals.told_to_stop() => {
            warn!("told to stop again; what is open breaks off");
            hurry.cancel();
            stopping.await;
        }
    }
}

// === impl Signals ===

impl Signals {
    /// Begins to listen; from now on these signals do not end the process by themselves.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
        }
    }

    async fn told_to_stop(&mut self) {
        while self.next().await == Told::Reload {}
    }
}

/// Uses a new configuration if it is right, else goes on with the old one.
fn take_over(running: &Running, found: Result<Config, Problems>) {
    let config = match found {
        Ok(config) => config,
        Err(problems) => {
            for line in problems.to_string().lines() {
                warn!(
                    problem = line,
                    "the new configuration cannot be used; the old one stays"
                );
            }
            running.reload_failed();
            return;
        }
    };
    match running.reload(&config) {
        Ok(restart) => {
            info!("rules, signing keys, integrations and shards were read again");
            if !restart.is_empty() {
                let sections = restart.join(", ");
                warn!(
                    sections,
                    "these have changed as well, and are used after a restart"
                );
            }
        }
        Err(error) => warn!(%error, "the new keys cannot be used; the old ones stay"),
    }
}

/// Sign-ins, probes and metrics: one thread would do, two keep probes quick during a slow sign-in.
const CONTROL_THREADS: usize = 2;
