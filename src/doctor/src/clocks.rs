//! What time it is elsewhere, by the `Date` of answers.

use std::time::Duration;

use http::{HeaderMap, header};

use super::{Check, Finding};
use model::clock::{Clock, Timestamp};

/// Whose clock matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    Prosody,
    Provider,
}

/// How far the neighbours' clocks are ahead of ours, in seconds.
#[derive(Clone, Debug)]
pub(super) struct Dates {
    clock: Clock,
    ahead: Vec<(Neighbour, i64)>,
}

// === impl Dates ===

impl Dates {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ahead: Vec::new(),
        }
    }

    /// Notes the answer's date, if it has one.
    pub(super) fn note(&mut self, whose: Neighbour, headers: &HeaderMap) {
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(parse) {
            let seconds = |time: Timestamp| i64::try_from(time.as_unix()).unwrap_or(i64::MAX);
            let ahead = seconds(theirs).saturating_sub(seconds(self.clock.now()));
            self.ahead.push((whose, ahead));
        }
    }

    /// What is wrong with them. A token lives for `lifetime`, and the provider's may be off by
    /// `leeway`. `None` if no neighbour told the time.
    pub(super) fn judged(&self, lifetime: Duration, leeway: Duration) -> Option<Vec<Finding>> {
        if self.ahead.is_empty() {
            return None;
        }
        let findings = self.ahead.iter().filter_map(|(whose, ahead)| {
            let off = Duration::from_secs(ahead.unsigned_abs());
            let most = match (whose, *ahead < 0) {
                (Neighbour::Prosody, true) => BACKDATED,
                (Neighbour::Prosody, false) => lifetime,
                (Neighbour::Provider, _) => leeway,
            };
            (off > TOLERATED).then(|| finding(*whose, *ahead, off, off >= most))
        });
        Some(findings.collect())
    }
}

fn finding(whose: Neighbour, ahead: i64, off: Duration, breaks: bool) -> Finding {
    let (what, name) = match whose {
        Neighbour::Prosody => ("prosody", "Prosody"),
        Neighbour::Provider => ("provider", "the OpenID provider"),
    };
    let where_to = if ahead < 0 { "behind" } else { "ahead of" };
    let got = format!("a Date that is {} s {where_to} our clock", off.as_secs());
    let meaning = match (whose, breaks) {
        (Neighbour::Prosody, true) => {
            "every token is refused: Prosody finds it expired or not good yet, and allows for no \
             difference"
        }
        (Neighbour::Provider, true) => {
            "nobody can sign in: the provider's tokens are expired or not good yet"
        }
        (_, false) => "tokens still pass, but not for long if the clocks drift on",
    };
    let finding = if breaks {
        Finding::error(Check::C3, what)
    } else {
        Finding::warning(Check::C3, what)
    };
    finding.saw(format!("a request to {name}"), got).so(
        meaning,
        "find out which of the two is wrong (date -u on both), and let both hosts follow NTP",
    )
}

/// Reads an HTTP date (RFC 9110 § 5.6.7), as `Sun, 06 Nov 1994 08:49:37 GMT`; nobody sends the
/// obsolete forms any more.
fn parse(date: &str) -> Option<Timestamp> {
    let mut words = date.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Dates are whole seconds, and answers take a while.
const TOLERATED: Duration = Duration::from_secs(5);

/// By how much tokens' `nbf` lies in the past.
const BACKDATED: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judged(whose: Neighbour, date: &'static str) -> Vec<(String, &'static str)> {
        let now = Timestamp::parse("2026-11-21T08:00:00Z").unwrap();
        let (clock, _) = Clock::manual(now);
        let mut dates = Dates::new(clock);
        let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(date))]);
        dates.note(whose, &headers);
        let minute = Duration::from_mins(1);
        let findings = dates.judged(minute * 2, minute).unwrap();
        findings
            .into_iter()
            .map(|own| (own.id, own.severity.as_str()))
            .collect()
    }

    #[test]
    fn clocks_that_are_off_are_found() {
        let prosody = |date| judged(Neighbour::Prosody, date);
        let error = || vec![("C3.prosody".to_owned(), "error")];
        let warning = || vec![("C3.prosody".to_owned(), "warning")];
        assert!(prosody("Sat, 21 Nov 2026 08:00:04 GMT").is_empty());
        assert_eq!(prosody("Sat, 21 Nov 2026 08:00:30 GMT"), warning());
        assert_eq!(prosody("Sat, 21 Nov 2026 08:05:00 GMT"), error());
        assert_eq!(prosody("Sat, 21 Nov 2026 07:59:30 GMT"), warning());
        assert_eq!(prosody("Sat, 21 Nov 2026 07:55:00 GMT"), error());
        let provider = judged(Neighbour::Provider, "Sat, 21 Nov 2026 07:55:00 GMT");
        assert_eq!(provider, [("C3.provider".to_owned(), "error")]);
    }

    #[test]
    fn who_tells_no_time_is_not_judged() {
        let mut dates = Dates::new(Clock::system());
        dates.note(Neighbour::Prosody, &HeaderMap::new());
        for odd in ["", "now", "Sat, 21 Nox 2026 08:00:00 GMT", "Sat, 21"] {
            let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(odd))]);
            dates.note(Neighbour::Prosody, &headers);
        }
        assert!(dates.judged(BACKDATED, BACKDATED).is_none());
    }
}
