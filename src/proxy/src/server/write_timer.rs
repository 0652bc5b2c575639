//! Ends writes to a client that does not read.
//!
//! The kernel of such a client acknowledges. If it closes its window whole, the kernel here gives it up after
//! `TCP_USER_TIMEOUT`, which Linux counts for probes of a window, too (`tcp_probe_timer`). A client that reads a
//! byte now and then is seen by this timer only.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use super::patience::PatienceTimer;

/// Times the writes of one connection.
#[derive(Debug)]
pub(super) struct WriteTimer {
    timer: PatienceTimer,
    backpressure: Arc<Backpressure>,
}

/// Whether writes of a connection wait for its client, for those who time its streams.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    waits: AtomicBool,
    waited: AtomicBool,
}

// === impl WriteTimer ===

impl WriteTimer {
    pub(super) fn new() -> Self {
        Self {
            timer: PatienceTimer::default(),
            backpressure: Arc::default(),
        }
    }

    pub(super) fn backpressure(&self) -> Arc<Backpressure> {
        Arc::clone(&self.backpressure)
    }

    /// Whether a write waits.
    pub(super) const fn waits(&self) -> bool {
        self.timer.waits()
    }

    /// Passes the outcome of a write on; an error, if it has waited for too long.
    pub(super) fn watch(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                if self.timer.moved(bytes) {
                    self.backpressure.waits.store(false, Ordering::Relaxed);
                }
                outcome
            }
            Poll::Ready(Err(_)) => outcome,
            Poll::Pending => {
                if !self.timer.waits() {
                    self.backpressure.waits.store(true, Ordering::Relaxed);
                    self.backpressure.waited.store(true, Ordering::Relaxed);
                }
                let error =
                    |()| io::Error::new(io::ErrorKind::TimedOut, "the client does not read");
                self.timer.poll_used_up(cx).map(error).map(Err)
            }
        }
    }
}

// === impl Backpressure ===

impl Backpressure {
    /// Whether a write waits now.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether a write waited since the last call, or waits now.
    pub(super) fn take(&self) -> bool {
        self.waited.swap(false, Ordering::Relaxed) || self.waits()
    }
}
