//! Times in HTML: in UTC; the pages' scripts convert them to the reader's time zone.

use model::{clock::Timestamp, time_format};

/// A time in the forms that HTML needs.
pub(super) struct HtmlTime {
    /// `datetime` attribute of `<time>`: `2026-11-21T10:00:00Z`.
    pub(super) datetime: String,
    /// Displayed text: `2026-11-21 10:00 UTC`.
    pub(super) text: String,
    /// Value of a `datetime-local` input, which has no time zone: `2026-11-21T10:00`.
    pub(super) input: String,
}

// === impl HtmlTime ===

impl HtmlTime {
    pub(super) fn new(time: Timestamp) -> Self {
        let datetime = time_format::format_rfc3339(time.as_unix());
        let (date, time) = datetime.split_once('T').unwrap_or_default();
        let minutes = time.get(..5).unwrap_or_default();
        Self {
            text: format!("{date} {minutes} UTC"),
            input: format!("{date}T{minutes}"),
            datetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_times_are_whole_minutes() {
        let time = HtmlTime::new(Timestamp::from_unix(1_795_255_259));
        assert_eq!(time.datetime, "2026-11-21T10:00:59Z");
        assert_eq!(time.text, "2026-11-21 10:00 UTC");
        assert_eq!(time.input, "2026-11-21T10:00");
        let last = HtmlTime::new(Timestamp::from_unix(u64::MAX));
        assert_eq!(last.text, "9999-12-31 23:59 UTC");
    }
}
