//! The pace of polls, which does not depend on the server: one that answers each poll at once with
//! nothing would otherwise be asked thousands of times a second.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The pace of the requests in which one reply is waited for.
#[derive(Debug)]
pub(super) struct PollPacing {
    next: Option<Instant>,
    interval: Duration,
}

// === impl PollPacing ===

impl PollPacing {
    /// Waits until the next request may be sent. The first may at once, and so may one whose
    /// predecessor the server held.
    pub(super) async fn turn(&mut self) {
        if let Some(next) = self.next {
            sleep_until(next).await;
            self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        }
        self.next = Some(Instant::now() + self.interval);
    }
}

impl Default for PollPacing {
    fn default() -> Self {
        Self {
            next: None,
            interval: FIRST_INTERVAL,
        }
    }
}

/// The time from the first request to the second; it doubles from then on. A reply that comes late
/// because the server is busy is there after it.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);

/// Servers that hold no poll are asked as often as XEP-0124 § 12 has it for clients that poll.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// The number of requests within a while, to a server that holds each for so long.
    async fn requests_within(limit: Duration, held: Duration) -> u32 {
        let began = Instant::now();
        let mut pacing = PollPacing::default();
        let mut requests = 0;
        loop {
            pacing.turn().await;
            if began.elapsed() >= limit {
                return requests;
            }
            requests += 1;
            sleep(held).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_few_and_held_ones_follow_each_other() {
        let limit = Duration::from_secs(7);
        assert_eq!(requests_within(limit, Duration::ZERO).await, 11);
        assert_eq!(requests_within(limit, Duration::from_secs(2)).await, 4);
    }
}
