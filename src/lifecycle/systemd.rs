//! Notifications for a service manager (`sd_notify(3)`); without one they do nothing.

use std::io;

use sd_notify::NotifyState;
use tokio::{task::AbortHandle, time::interval};
use tracing::debug;

use crate::app::GatewayHandle;

/// The watchdog task; dropping it ends the task.
pub(super) struct Heartbeat(Option<AbortHandle>);

// === impl Heartbeat ===

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Reports that the gateway serves requests, or that a reload has ended.
pub(super) fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that a reload begins; [`notify_ready`] ends it.
pub(super) fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => log_failure(&error),
    }
}

/// Reports that the shutdown begins.
pub(super) fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Starts the watchdog if the service manager requests one (`WatchdogSec=`).
///
/// It pings twice per interval while all workers are alive. If a worker hangs, the pings stop and
/// the service manager restarts the gateway.
pub(super) fn start_heartbeat(gateway: &GatewayHandle) -> Heartbeat {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return Heartbeat(None);
    };
    let workers = gateway.workers();
    let heartbeat = async move {
        let mut ticks = interval(limit / 2);
        loop {
            ticks.tick().await;
            // Holds the workers only during the check: their last owner has to stop them.
            let Some(workers) = workers.upgrade() else {
                return;
            };
            if workers.are_alive().await {
                notify(&[NotifyState::Watchdog]);
            }
        }
    };
    Heartbeat(Some(tokio::spawn(heartbeat).abort_handle()))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log_failure(&error);
    }
}

fn log_failure(error: &io::Error) {
    debug!(%error, "cannot notify the service manager");
}
