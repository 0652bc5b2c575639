//! `[probe]`: periodic test logins at Prosody.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Reported;
use crate::{
    diagnostics::Section,
    values::{DurationText, HOUR, seconds},
};

/// Periodic test logins at Prosody, with a token and without. They open no room; the results are in
/// `/metrics` and `/readyz`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProbe {
    /// Whether the gateway probes at all.
    enabled: bool,
    /// The interval, from 5 seconds to one hour.
    every: DurationText,
}

// === impl RawProbe ===

impl RawProbe {
    /// The interval; `None` if the probe is disabled.
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Result<Option<Duration>, Reported> {
        let every = self
            .every
            .within(seconds(5)..=HOUR, section, "every")
            .ok_or(Reported)?;
        Ok(self.enabled.then_some(every))
    }
}

impl Default for RawProbe {
    fn default() -> Self {
        Self {
            enabled: true,
            // The usual scrape interval of monitoring.
            every: "60s".into(),
        }
    }
}
