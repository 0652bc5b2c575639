//! How long the gateway waits for a client that does not take what is sent to it.
//!
//! A wait uses patience up, and what the client takes earns it again, at [`LEAST_RATE`]. So a client
//! that takes nothing is given up after [`PATIENCE`], and one that takes a byte now and then not much
//! later.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// What is left of the patience with a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(Duration);

/// Patience with one direction of a connection. The timer exists only once there was a wait.
#[derive(Debug)]
pub struct PatienceTimer {
    patience: Patience,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Patience ===

impl Patience {
    pub(super) const FULL: Self = Self(PATIENCE);

    /// The time that the client may still take.
    pub(super) const fn left(self) -> Duration {
        self.0
    }

    /// Notes a time in which the client took nothing.
    pub(super) const fn waited(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// Notes bytes that the client took.
    pub(super) fn took(&mut self, bytes: usize) {
        if self.0 < PATIENCE {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let earned = Duration::from_millis(bytes.saturating_mul(1000) / LEAST_RATE);
            self.0 = self.0.saturating_add(earned).min(PATIENCE);
        }
    }
}

// === impl PatienceTimer ===

impl PatienceTimer {
    /// Notes bytes that moved; whether that ends a wait.
    pub(crate) fn moved(&mut self, bytes: usize) -> bool {
        let since = self.waiting_since.take();
        if let Some(since) = since {
            self.patience.waited(since.elapsed());
        }
        self.patience.took(bytes);
        since.is_some()
    }

    /// Whether a wait is under way.
    pub(crate) const fn waits(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Waits; ready once the patience is used up.
    pub(crate) fn poll_used_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + self.patience.left();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl Default for PatienceTimer {
    fn default() -> Self {
        Self {
            patience: Patience::FULL,
            waiting_since: None,
            timer: None,
        }
    }
}

/// As long as nginx waits between two writes. A phone that changes networks is back sooner.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes per second: a tenth of the rate of GPRS, which is too slow for a meeting.
const LEAST_RATE: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_earns_what_it_uses_up_and_a_slower_one_does_not() {
        let ends_after = |bytes_per_minute: usize| {
            let mut patience = Patience::FULL;
            (1..1000).find(|_| {
                patience.waited(Duration::from_secs(30));
                let ended = patience.left().is_zero();
                patience.took(bytes_per_minute / 2);
                ended
            })
        };
        assert_eq!(ends_after(512 * 60), None);
        assert_eq!(ends_after(512 * 30), Some(3));
        assert_eq!(ends_after(60), Some(3));
        assert_eq!(ends_after(usize::MAX), None);
    }
}
