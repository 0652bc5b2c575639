//! Streams that end before their answer: reset by the client, or by the HTTP library because of what
//! the client sent ("rapid reset", CVE-2023-44487, and "made you reset", CVE-2025-8671).
//!
//! The HTTP library bounds the streams that are reset before it hands them on. The others cost a
//! request each, and most a connection to an upstream.

use std::cell::Cell;

use tokio::{sync::Notify, time::Instant};

/// The streams of one connection that may still end before their answer.
#[derive(Debug)]
pub(super) struct ResetBudget {
    left: Cell<f64>,
    since: Cell<Instant>,
    exceeded: Notify,
}

// === impl ResetBudget ===

impl ResetBudget {
    pub(super) fn new() -> Self {
        Self {
            left: Cell::new(BUDGET),
            since: Cell::new(Instant::now()),
            exceeded: Notify::new(),
        }
    }

    /// Spends one.
    pub(super) fn spend(&self) {
        let now = Instant::now();
        let minutes = now.duration_since(self.since.replace(now)).as_secs_f64() / 60.0;
        let left = (self.left.get() + minutes * BUDGET).min(BUDGET) - 1.0;
        self.left.set(left);
        if left < 0.0 {
            self.exceeded.notify_one();
        }
    }

    /// Completes once more were spent than there were.
    pub(super) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }
}

/// At once, and again each minute. A page that is left while it loads resets some forty streams.
pub(super) const BUDGET: f64 = 200.0;
