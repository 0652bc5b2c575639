//! How long the gateway waits for more of a response body.
//!
//! The head has a timeout of its own, and a connection to a node that is gone breaks
//! ([`connect`](super::connect)). An upstream that lives and sends no more holds its client, and a place among
//! the connections in use. Only the time counts in which the body was asked for more, not that of a client that
//! takes nothing.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The time since the last bytes of a body. The timer exists only once there was a wait.
#[derive(Debug, Default)]
pub(super) struct BodySilence {
    is_permitted: bool,
    waits: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl BodySilence ===

impl BodySilence {
    /// Silence without an end.
    pub(super) fn permitted() -> Self {
        Self {
            is_permitted: true,
            ..Self::default()
        }
    }

    /// Notes bytes, or the end.
    pub(super) const fn end(&mut self) {
        self.waits = false;
    }

    /// Waits; ready after [`LONGEST_SILENCE`].
    pub(super) fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_permitted {
            return Poll::Pending;
        }
        let deadline = || Instant::now() + LONGEST_SILENCE;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline())));
        if !self.waits {
            self.waits = true;
            timer.as_mut().reset(deadline());
        }
        timer.as_mut().poll(cx)
    }
}

/// As long as nginx waits between two reads (`proxy_read_timeout`). Prosody and Jicofo write a response at once, and
/// a web server reads files.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_mins(1);
