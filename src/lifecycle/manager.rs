//! What a service manager is told (`sd_notify(3)`); where there is none, nothing.

use std::io;

use sd_notify::NotifyState;
use tokio::{task::AbortHandle, time::interval};
use tracing::debug;

use crate::app::Running;

/// Beats until it is dropped.
pub(super) struct Heartbeat(Option<AbortHandle>);

// === impl Heartbeat ===

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// It serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; what follows is [`ready`].
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => untold(&error),
    }
}

/// It stops, which takes as long as it takes.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Shows that all threads are alive, twice as often as the manager wants it, if it does: a worker
/// that hangs keeps the beat from going out, and the manager restarts the gateway.
pub(super) fn heartbeat(running: &Running) -> Heartbeat {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return Heartbeat(None);
    };
    let workers = running.workers();
    let beating = async move {
        let mut turn = interval(limit / 2);
        loop {
            turn.tick().await;
            // The last owner of the workers stops them: this is none for longer than it asks.
            let Some(workers) = workers.upgrade() else {
                return;
            };
            if workers.are_alive().await {
                tell(&[NotifyState::Watchdog]);
            }
        }
    };
    Heartbeat(Some(tokio::spawn(beating).abort_handle()))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        untold(&error);
    }
}

fn untold(error: &io::Error) {
    debug!(%error, "the service manager could not be told");
}
