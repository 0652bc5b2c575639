//! Times as pages show them. Scripts turn them into the reader's own; without one they are in UTC.

use model::{clock::Timestamp, time_format};

/// A time, for machines and for people.
pub(super) struct Moment {
    /// As the `datetime` of a `time` element.
    pub(super) machine: String,
    /// For people: `2026-11-21 10:00 UTC`.
    pub(super) human: String,
    /// As the value of a `datetime-local` field, without a zone.
    pub(super) field: String,
}

// === impl Moment ===

impl Moment {
    pub(super) fn of(time: Timestamp) -> Self {
        let machine = time_format::format_rfc3339(time.as_unix());
        // `2026-11-21T10:00:00Z`: the text is ASCII and never shorter.
        let (date, time) = machine.split_once('T').unwrap_or_default();
        let minutes = time.get(..5).unwrap_or_default();
        Self {
            human: format!("{date} {minutes} UTC"),
            field: format!("{date}T{minutes}"),
            machine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_minutes_for_people() {
        let moment = Moment::of(Timestamp::from_unix(1_795_255_259));
        assert_eq!(moment.machine, "2026-11-21T10:00:59Z");
        assert_eq!(moment.human, "2026-11-21 10:00 UTC");
        assert_eq!(moment.field, "2026-11-21T10:00");
        let last = Moment::of(Timestamp::from_unix(u64::MAX));
        assert_eq!(last.human, "9999-12-31 23:59 UTC");
    }
}
