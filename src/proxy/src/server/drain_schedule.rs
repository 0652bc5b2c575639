//! The pace at which WebSockets are closed before a shutdown.

use std::time::Duration;

/// Closes the WebSockets of all workers one after another, evenly over a window, so that the clients
/// do not all reconnect at the same moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrainSchedule {
    /// Time from the first close to the last.
    pub window: Duration,
    /// The part of its first pause after which this worker begins, from 0 to 1. Each worker has
    /// another one, so that they close sockets in turns.
    pub head_start: f64,
}

// === impl DrainSchedule ===

impl DrainSchedule {
    /// Closes all sockets immediately.
    pub const AT_ONCE: Self = Self {
        window: Duration::ZERO,
        head_start: 0.0,
    };
}
