//! The rate limit of an API key.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// A limit of requests per minute, with bursts of as many: the generic cell rate algorithm (GCRA,
/// ITU-T I.371).
///
/// Its whole state is one number, the theoretical arrival time of the next request. Each request
/// moves it ahead by one interval; it may be at most a minute ahead of the current time.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// The theoretical arrival time in microseconds since 1970.
    arrival: AtomicU64,
    interval: u64,
}

// === impl RateLimit ===

impl RateLimit {
    /// Allows `requests` a minute, at least one.
    pub(super) fn per_minute(requests: u32) -> Self {
        Self {
            arrival: AtomicU64::new(0),
            interval: MINUTE / u64::from(requests.max(1)),
        }
    }

    /// Takes one request; the error is the time until the next is allowed.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_unix().saturating_mul(SECOND);
        let taken = self
            .arrival
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
                let next = arrival.max(now).saturating_add(self.interval);
                (next <= now.saturating_add(MINUTE)).then_some(next)
            });
        taken.map(drop).map_err(|arrival| {
            let wait = arrival.saturating_add(self.interval).saturating_sub(now);
            Duration::from_micros(wait.saturating_sub(MINUTE))
        })
    }
}

/// One second in microseconds.
const SECOND: u64 = 1_000_000;

/// One minute in microseconds.
const MINUTE: u64 = 60 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_minute_passes_and_then_one_request_per_interval() {
        let limit = RateLimit::per_minute(60);
        let now = Timestamp::from_unix(1_800_000_000);
        assert!((0..60).all(|_| limit.take(now).is_ok()));
        assert_eq!(limit.take(now), Err(Duration::from_secs(1)));
        let later = now.after(Duration::from_secs(2));
        assert!(limit.take(later).is_ok() && limit.take(later).is_ok());
        assert_eq!(limit.take(later), Err(Duration::from_secs(1)));
    }
}
