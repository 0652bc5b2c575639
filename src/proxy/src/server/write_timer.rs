//! Ends writes to a client that does not read.
//!
//! The kernel acknowledges for such a client, so that neither keepalive nor `TCP_USER_TIMEOUT` sees
//! it. The timer exists only once a write had to wait; most connections never have one.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::patience::Patience;

/// Times the writes of one connection.
#[derive(Debug)]
pub(super) struct WriteTimer {
    patience: Patience,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
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
            patience: Patience::FULL,
            waiting_since: None,
            timer: None,
            backpressure: Arc::default(),
        }
    }

    pub(super) fn backpressure(&self) -> Arc<Backpressure> {
        Arc::clone(&self.backpressure)
    }

    /// Passes the outcome of a write on; an error, if it has waited for too long.
    pub(super) fn watch(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                if let Some(since) = self.waiting_since.take() {
                    self.backpressure.waits.store(false, Ordering::Relaxed);
                    self.patience.waited(since.elapsed());
                }
                self.patience.took(bytes);
                outcome
            }
            Poll::Ready(Err(_)) => outcome,
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let since = *self.waiting_since.get_or_insert_with(|| {
            self.backpressure.waits.store(true, Ordering::Relaxed);
            self.backpressure.waited.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let deadline = since + self.patience.left();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not read",
            ))
        })
    }
}

// === impl Backpressure ===

impl Backpressure {
    /// Whether a write waited since the last call, or waits now.
    pub(super) fn take(&self) -> bool {
        self.waited.swap(false, Ordering::Relaxed) || self.waits.load(Ordering::Relaxed)
    }
}
