//! The times of a shutdown: `grace`, `drain_window` and `drain_delay`.

use std::time::Duration;

use crate::{
    diagnostics::Section,
    values::{DurationText, HOUR, MINUTE, seconds},
};

/// The times of a shutdown, as text or parsed.
pub(super) struct Shutdown<Text, OptionalText> {
    pub(super) grace: Text,
    pub(super) drain_window: OptionalText,
    pub(super) drain_delay: Text,
}

// === impl Shutdown ===

impl Shutdown<DurationText, Option<DurationText>> {
    /// `single_replica`: there is no other replica that closed WebSockets could reconnect to.
    pub(super) fn resolve(
        self,
        single_replica: bool,
        section: &mut Section<'_>,
    ) -> Option<Shutdown<Duration, Duration>> {
        let grace = self.grace.within(seconds(0)..=HOUR, section, "grace");
        let drain_window = match self.drain_window {
            Some(text) => text.within(seconds(0)..=HOUR, section, "drain_window"),
            None if single_replica => Some(Duration::ZERO),
            None => Some(grace.map_or(DRAIN_WINDOW, |grace| grace.min(DRAIN_WINDOW))),
        };
        if let (Some(window), Some(grace)) = (drain_window, grace)
            && window > grace
        {
            let what = format!("{window:?} is longer than grace, which is {grace:?}");
            section.reject("drain_window", what, "write at most the value of grace");
        }
        let drain_delay = self
            .drain_delay
            .within(seconds(0)..=10 * MINUTE, section, "drain_delay");
        Some(Shutdown {
            grace: grace?,
            drain_window: drain_window?,
            drain_delay: drain_delay?,
        })
    }
}

/// Slow enough for a few hundred clients behind one address to stay below Prosody's login limit, and
/// shorter than in-flight BOSH requests (60 s).
const DRAIN_WINDOW: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostics::Diagnostics, location::Location};

    fn drain_window(grace: &str, drain_window: Option<&str>, single_replica: bool) -> Option<u64> {
        let mut diagnostics = Diagnostics::new(false);
        diagnostics.set_locations([(String::new(), Location::File("f".into()))].into());
        let shutdown = Shutdown {
            grace: grace.into(),
            drain_window: drain_window.map(Into::into),
            drain_delay: "0s".into(),
        };
        let resolved = shutdown.resolve(single_replica, &mut diagnostics.section("listen"))?;
        let window = resolved.drain_window.as_secs();
        diagnostics.into_problems().is_none().then_some(window)
    }

    #[test]
    fn websockets_are_closed_gradually_only_if_there_are_other_replicas() {
        assert_eq!(drain_window("75s", None, true), Some(0));
        assert_eq!(drain_window("75s", None, false), Some(45));
        assert_eq!(drain_window("20s", None, false), Some(20));
        assert_eq!(drain_window("75s", Some("10s"), true), Some(10));
        assert_eq!(drain_window("75s", Some("0s"), false), Some(0));
    }

    #[test]
    fn the_drain_window_is_within_grace() {
        assert_eq!(drain_window("20s", Some("30s"), false), None);
    }
}
