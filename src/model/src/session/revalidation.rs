//! When the provider is asked again whether a session still stands.

use std::time::Duration;

use crate::clock::Timestamp;

/// The times at which sessions are revalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevalidationSchedule {
    /// A session in use is revalidated within this time.
    pub every: Duration,
}

/// Whether a session has to be revalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevalidationNeed {
    /// The provider confirmed it recently.
    None,
    /// The interval has passed: before the session opens another page.
    Overdue,
}

// === impl RevalidationSchedule ===

impl RevalidationSchedule {
    /// Whether a session may go on as it is.
    pub fn need(self, validated: Timestamp, now: Timestamp) -> RevalidationNeed {
        if now.since(validated) < self.every {
            RevalidationNeed::None
        } else {
            RevalidationNeed::Overdue
        }
    }

    /// When a session in use is revalidated: in the last third of the interval but one sixth, so that
    /// an answer that takes time still comes within it. `spread` is random; people who sign in
    /// together are not asked for together.
    pub fn next(self, validated: Timestamp, spread: u64) -> Timestamp {
        let (earliest, window) = (self.every * 2 / 3, self.every / 6);
        validated.after(earliest + part(window, spread))
    }

    /// When it is tried again after `failures` in a row: soon at first, then once a minute or once per
    /// interval, whichever is more often.
    pub fn retry(self, now: Timestamp, failures: u32, spread: u64) -> Timestamp {
        let longest = LONGEST_RETRY.min(self.every);
        let step = FIRST_RETRY * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let pause = step.min(longest);
        now.after(pause / 2 + part(pause / 2, spread) + SECOND)
    }

    /// Whether a session without open streams counts as in use.
    pub fn is_recent(self, last_request: Timestamp, now: Timestamp) -> bool {
        now.since(last_request) < self.every
    }
}

/// A random part of a duration, in whole seconds.
fn part(of: Duration, spread: u64) -> Duration {
    Duration::from_secs(spread % (of.as_secs() + 1))
}

const SECOND: Duration = Duration::from_secs(1);

/// A lost packet costs seconds only.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// A provider that is back is noticed within a minute; until then it is spared.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: RevalidationSchedule = RevalidationSchedule {
        every: Duration::from_mins(10),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    #[test]
    fn a_session_in_use_is_asked_for_before_the_interval_ends() {
        let times: Vec<u64> = (0..1000)
            .map(|spread| SCHEDULE.next(at(0), spread * 7919).as_unix() - at(0).as_unix())
            .collect();
        assert_eq!(times.iter().min(), Some(&400));
        assert_eq!(times.iter().max(), Some(&500));
        // Evenly enough that the provider sees no burst.
        let first_half = times.iter().filter(|time| **time <= 450).count();
        assert!((400..=600).contains(&first_half), "{first_half}");
    }

    #[test]
    fn a_session_is_overdue_when_the_interval_has_passed() {
        for (after, expected) in [
            (0, RevalidationNeed::None),
            (599, RevalidationNeed::None),
            (600, RevalidationNeed::Overdue),
            (86_400, RevalidationNeed::Overdue),
        ] {
            assert_eq!(SCHEDULE.need(at(0), at(after)), expected, "{after}");
        }
        // A clock that went back revalidates nothing.
        assert_eq!(SCHEDULE.need(at(10), at(0)), RevalidationNeed::None);
    }

    #[test]
    fn failures_are_retried_ever_more_slowly_and_at_least_once_a_minute() {
        let pause = |schedule: RevalidationSchedule, failures, spread| {
            schedule.retry(at(0), failures, spread).as_unix() - at(0).as_unix()
        };
        for (failures, shortest, longest) in [
            (1, 2, 3),
            (2, 3, 5),
            (3, 5, 9),
            (5, 17, 33),
            (6, 31, 61),
            (u32::MAX, 31, 61),
        ] {
            assert_eq!(pause(SCHEDULE, failures, 0), shortest, "{failures}");
            let pauses = (0..100).map(|spread| pause(SCHEDULE, failures, spread));
            assert_eq!(pauses.max(), Some(longest), "{failures}");
        }
        let short = RevalidationSchedule {
            every: Duration::from_secs(10),
        };
        assert!(pause(short, 30, 5) <= 11);
    }

    #[test]
    fn a_session_is_in_use_for_one_interval_after_its_last_request() {
        assert!(SCHEDULE.is_recent(at(0), at(599)));
        assert!(!SCHEDULE.is_recent(at(0), at(600)));
    }
}
