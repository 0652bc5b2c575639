//! Clock differences, by the `Date` of responses.

use std::time::Duration;

use http::{HeaderMap, header};
use model::clock::{Clock, Timestamp};

use super::{Finding, FindingKind};

/// A server whose clock matters: it issues or verifies tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockSource {
    Prosody,
    Provider,
}

/// Offsets of other clocks.
#[derive(Clone, Debug)]
pub(super) struct ClockOffsets {
    clock: Clock,
    /// Seconds by which the source's clock is ahead of the local one.
    ahead: Vec<(ClockSource, i64)>,
}

// === impl ClockOffsets ===

impl ClockOffsets {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ahead: Vec::new(),
        }
    }

    /// Adds the offset of a response with a `Date`.
    pub(super) fn add(&mut self, source: ClockSource, headers: &HeaderMap) {
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        if let Some(remote) = date.and_then(parse) {
            let seconds = |time: Timestamp| i64::try_from(time.as_unix()).unwrap_or(i64::MAX);
            let ahead = seconds(remote).saturating_sub(seconds(self.clock.now()));
            self.ahead.push((source, ahead));
        }
    }

    /// Evaluates the offsets, given the lifetime of the gateway's tokens and the leeway for the
    /// provider's tokens. `None` if no response had a `Date`.
    pub(super) fn evaluate(&self, lifetime: Duration, leeway: Duration) -> Option<Vec<Finding>> {
        if self.ahead.is_empty() {
            return None;
        }
        let findings = self.ahead.iter().filter_map(|(source, ahead)| {
            let off = Duration::from_secs(ahead.unsigned_abs());
            let limit = match (source, *ahead < 0) {
                (ClockSource::Prosody, true) => BACKDATED,
                (ClockSource::Prosody, false) => lifetime,
                (ClockSource::Provider, _) => leeway,
            };
            (off > TOLERATED).then(|| finding(*source, *ahead, off >= limit))
        });
        Some(findings.collect())
    }
}

/// `breaks`: tokens are refused already.
fn finding(source: ClockSource, ahead: i64, breaks: bool) -> Finding {
    let (kind, name) = match source {
        ClockSource::Prosody => (FindingKind::ProsodyClock, "Prosody"),
        ClockSource::Provider => (FindingKind::ProviderClock, "the OpenID provider"),
    };
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let got = format!(
        "a Date that is {} s {direction} this clock",
        ahead.unsigned_abs()
    );
    let meaning = match (source, breaks) {
        (ClockSource::Prosody, true) => {
            "every token is refused: to Prosody it has expired or is not valid yet, and \
             Prosody tolerates no difference"
        }
        (ClockSource::Provider, true) => {
            "sign-in fails: the provider's tokens have expired or are not valid yet"
        }
        (_, false) => "tokens are still accepted, but not if the clocks drift further",
    };
    let finding = if breaks {
        Finding::error(kind)
    } else {
        Finding::warning(kind)
    };
    finding
        .with_exchange(format!("a request to {name}"), got)
        .with_remedy(
            meaning,
            "find out which of the two is wrong (date -u on both), and let both hosts follow NTP",
        )
}

/// Parses an HTTP date (RFC 9110 § 5.6.7), as `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete forms
/// are not supported.
fn parse(date: &str) -> Option<Timestamp> {
    let mut words = date.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Date` has whole seconds, and responses take some time.
const TOLERATED: Duration = Duration::from_secs(5);

/// The gateway's tokens have an `nbf` this long in the past.
const BACKDATED: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn evaluate(source: ClockSource, date: &'static str) -> Vec<(String, &'static str)> {
        let now = Timestamp::parse("2026-11-21T08:00:00Z").unwrap();
        let (clock, _) = Clock::manual(now);
        let mut offsets = ClockOffsets::new(clock);
        let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(date))]);
        offsets.add(source, &headers);
        let minute = Duration::from_mins(1);
        let findings = offsets.evaluate(minute * 2, minute).unwrap();
        findings
            .into_iter()
            .map(|finding| (finding.id(), finding.severity.as_str()))
            .collect()
    }

    #[test]
    fn differences_beyond_the_tolerance_are_findings() {
        let prosody = |date| evaluate(ClockSource::Prosody, date);
        let error = || vec![("C3.prosody".to_owned(), "error")];
        let warning = || vec![("C3.prosody".to_owned(), "warning")];
        assert!(prosody("Sat, 21 Nov 2026 08:00:04 GMT").is_empty());
        assert_eq!(prosody("Sat, 21 Nov 2026 08:00:30 GMT"), warning());
        assert_eq!(prosody("Sat, 21 Nov 2026 08:05:00 GMT"), error());
        assert_eq!(prosody("Sat, 21 Nov 2026 07:59:30 GMT"), warning());
        assert_eq!(prosody("Sat, 21 Nov 2026 07:55:00 GMT"), error());
        let provider = evaluate(ClockSource::Provider, "Sat, 21 Nov 2026 07:55:00 GMT");
        assert_eq!(provider, [("C3.provider".to_owned(), "error")]);
    }

    #[test]
    fn responses_without_a_valid_date_are_ignored() {
        let mut offsets = ClockOffsets::new(Clock::system());
        offsets.add(ClockSource::Prosody, &HeaderMap::new());
        for odd in ["", "now", "Sat, 21 Nox 2026 08:00:00 GMT", "Sat, 21"] {
            let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(odd))]);
            offsets.add(ClockSource::Prosody, &headers);
        }
        assert!(offsets.evaluate(BACKDATED, BACKDATED).is_none());
    }
}
