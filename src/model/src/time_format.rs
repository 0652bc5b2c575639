//! Text forms of durations (`12h`) and times (RFC 3339).
//!
//! Times are in seconds since 1970-01-01 UTC. Only this module uses the crate `humantime`, and only
//! it, cookies and certificates use `time`.

use std::time::{Duration, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Parses a duration as `90s`, `12h`, `7days` or `1m 30s`; a unit is required.
pub fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// Formats a duration in the form that [`parse_duration`] reads: `1m 30s`.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Parses a time in RFC 3339 form with any offset; times before 1970 become 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(time.unix_timestamp()).unwrap_or_default())
}

/// Parses a time in UTC whose `T` may be a space and whose `Z` may be missing; `None` before 1970.
pub fn parse_rfc3339_lenient(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since_1970 = time.duration_since(UNIX_EPOCH).ok()?;
    Some(since_1970.as_secs())
}

/// Formats a time as `2026-11-21T09:30:00Z`; times after the year 9999 become its last second.
pub fn format_rfc3339(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + representable(seconds)).to_string()
}

/// Formats a time as `2026-11-21T09:30:00.000Z`; times after the year 9999 become its last second.
pub fn format_rfc3339_millis(seconds: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + representable(seconds)).to_string()
}

fn representable(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(LAST_SECOND))
}

/// The last second of the year 9999: RFC 3339 § 1 has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_mins(2)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("7days"), Some(Duration::from_hours(168)));
        assert_eq!(parse_duration("90"), None);
        assert_eq!(format_duration(Duration::from_secs(90)), "1m 30s");
    }

    #[test]
    fn times_are_parsed_with_offsets_and_formatted_in_utc() {
        let time = 1_795_253_400;
        assert_eq!(format_rfc3339(time), "2026-11-21T09:30:00Z");
        assert_eq!(format_rfc3339_millis(time), "2026-11-21T09:30:00.000Z");
        assert_eq!(parse_rfc3339("2026-11-21T10:30:00+01:00"), Some(time));
        assert_eq!(parse_rfc3339("1969-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_rfc3339("2026-11-21T09:30:00"), None);
        assert_eq!(parse_rfc3339_lenient("2026-11-21T09:30:00"), Some(time));
        assert_eq!(format_rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
