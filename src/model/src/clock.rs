//! The system time as a parameter: lifetimes are tested without waiting.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::time_format;

/// A source of the current time; cheap to clone and to share between threads.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

/// Whole seconds since 1970-01-01 UTC, the precision of a JWT's `NumericDate` (RFC 7519 § 2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// A time in milliseconds, for the order of two events of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime {
    second: Timestamp,
    millis: u16,
}

/// Advances a [`Clock`] created by [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct ClockControl(Arc<AtomicU64>);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds since 1970.
    Manual(Arc<AtomicU64>),
}

// === impl Clock ===

impl Clock {
    /// Reads the system clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Creates a clock that stands still until its control advances it, for tests.
    pub fn manual(start: Timestamp) -> (Self, ClockControl) {
        let millis = Arc::new(AtomicU64::new(start.0.saturating_mul(MILLIS_PER_SECOND)));
        (
            Self(Source::Manual(Arc::clone(&millis))),
            ClockControl(millis),
        )
    }

    /// The current time; a system clock before 1970 reads as 1970.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.since_1970().as_secs())
    }

    /// The current time in milliseconds.
    pub fn event_time(&self) -> EventTime {
        let now = self.since_1970();
        let second = Timestamp(now.as_secs());
        let millis = u16::try_from(now.subsec_millis()).unwrap_or(LAST_MILLI);
        EventTime { second, millis }
    }

    /// The time that is left until `end`, for a timer: not rounded up to whole seconds, by which the
    /// timer would be late.
    pub fn until(&self, end: Timestamp) -> Duration {
        Duration::from_secs(end.0).saturating_sub(self.since_1970())
    }

    fn since_1970(&self) -> Duration {
        match &self.0 {
            Source::System => since_1970(),
            Source::Manual(millis) => Duration::from_millis(millis.load(Ordering::Relaxed)),
        }
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// Creates a timestamp from seconds since 1970.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Parses RFC 3339 in UTC, `2027-01-11T08:00:00Z`. Seconds and `Z` are optional, as in the value
    /// of an HTML `datetime-local` field.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_suffix('Z').unwrap_or(text);
        let whole = if text.len() == "2027-01-11T08:00".len() {
            format!("{text}:00")
        } else {
            text.to_owned()
        };
        time_format::parse_rfc3339_lenient(&whole).map(Self)
    }

    /// Seconds since 1970.
    pub const fn as_unix(self) -> u64 {
        self.0
    }

    /// The time `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// The time `duration` earlier; saturates at 1970.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// The duration from `earlier` to this time; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

// === impl EventTime ===

impl EventTime {
    /// Creates a time from a second and the milliseconds in it.
    pub fn new(second: Timestamp, millis: u16) -> Self {
        let millis = millis.min(LAST_MILLI);
        Self { second, millis }
    }

    /// The first millisecond of a second: no event of the second is earlier.
    pub const fn start_of(second: Timestamp) -> Self {
        let millis = 0;
        Self { second, millis }
    }

    /// The last millisecond of a second: no event of the second is later.
    pub const fn end_of(second: Timestamp) -> Self {
        let millis = LAST_MILLI;
        Self { second, millis }
    }

    /// The second.
    pub const fn second(self) -> Timestamp {
        self.second
    }

    /// The milliseconds in the second.
    pub const fn millis(self) -> u16 {
        self.millis
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only read of the system clock"
)]
fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// RFC 3339, for people and programs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_format::format_rfc3339(self.0))
    }
}

// === impl ClockControl ===

impl ClockControl {
    /// Moves the clock forward, by whole milliseconds.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::Relaxed);
    }

    /// Sets the clock, also back, as a machine's clock that is corrected.
    pub fn set(&self, time: Timestamp) {
        let millis = time.0.saturating_mul(MILLIS_PER_SECOND);
        self.0.store(millis, Ordering::Relaxed);
    }
}

const MILLIS_PER_SECOND: u64 = 1000;

const LAST_MILLI: u16 = 999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_parse_with_and_without_seconds_and_zone() {
        let eight = Timestamp::from_unix(1_799_654_400);
        for text in [
            "2027-01-11T08:00:00Z",
            "2027-01-11T08:00Z",
            "2027-01-11T08:00",
            " 2027-01-11 08:00:00 ",
        ] {
            assert_eq!(Timestamp::parse(text), Some(eight), "{text}");
        }
        for text in [
            "",
            "2027-01-11",
            "8:00",
            "2027-13-11T08:00",
            "2027-01-11T08:00+01:00",
            "Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_that_is_left_is_not_rounded_up() {
        let clock = Clock::system();
        let end = clock.now().after(Duration::from_mins(1));
        let whole = (0..1000).all(|_| clock.until(end).subsec_nanos() == 0);
        assert!(!whole && clock.until(end) <= Duration::from_mins(1));
        assert_eq!(clock.until(Timestamp::from_unix(1)), Duration::ZERO);
        let (clock, _) = Clock::manual(Timestamp::from_unix(100));
        let left = clock.until(Timestamp::from_unix(107));
        assert_eq!(left, Duration::from_secs(7));
    }

    #[test]
    fn a_manual_clock_moves_only_by_its_control() {
        let (clock, control) = Clock::manual(Timestamp::from_unix(100));
        assert_eq!(clock.now().as_unix(), 100);
        control.advance(Duration::from_secs(7));
        assert_eq!(
            clock.now().since(Timestamp::from_unix(100)),
            Duration::from_secs(7)
        );
        assert_eq!(Timestamp::from_unix(5).since(clock.now()), Duration::ZERO);
    }

    #[test]
    fn events_of_one_second_have_an_order() {
        let (clock, control) = Clock::manual(Timestamp::from_unix(100));
        let first = clock.event_time();
        control.advance(Duration::from_millis(7));
        let second = clock.event_time();
        assert_eq!((second.second(), second.millis()), (clock.now(), 7));
        let bounds = (
            EventTime::start_of(clock.now()),
            EventTime::end_of(clock.now()),
        );
        assert!(bounds.0 == first && first < second && second < bounds.1);
        assert!(bounds.1 < EventTime::start_of(Timestamp::from_unix(101)));
        assert_eq!(EventTime::new(clock.now(), u16::MAX), bounds.1);
    }
}
