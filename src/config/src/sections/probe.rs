//! `[probe]`: how often the gateway tries whether people can log in at Prosody.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    problem::Section,
    values::{DurationText, seconds},
};

/// How often the gateway tries whether people can log in at Prosody. It logs in with a token and
/// without, opens no room, and tells what came of it in `/metrics` and `/readyz`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProbe {
    /// Whether it is tried at all.
    enabled: bool,
    /// How often, from 5 seconds to an hour.
    every: DurationText,
}

// === impl RawProbe ===

impl RawProbe {
    /// How often to try; `Some(None)` for never.
    #[expect(clippy::option_option, reason = "the outer one is for a problem")]
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<Option<Duration>> {
        let every = self
            .every
            .within(seconds(5)..=seconds(3600), section, "every")?;
        Some(self.enabled.then_some(every))
    }
}

impl Default for RawProbe {
    fn default() -> Self {
        Self {
            enabled: true,
            // As often as most monitoring looks.
            every: "60s".into(),
        }
    }
}
