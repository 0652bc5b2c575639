//! `preset`: the defaults for a known system, and the keys that override them.

use schemars::JsonSchema;
use serde::Deserialize;

use model::integration::{Preset, RoleClaim};

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum RawPreset {
    OdooOMeet,
    Nextcloud,
    Moodle,
    Mattermost,
    Rocketchat,
    Zulip,
    Workadventure,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum RawRoleClaim {
    #[serde(rename = "context.user.moderator")]
    UserModerator,
    #[serde(rename = "context.user.affiliation")]
    UserAffiliation,
    #[serde(rename = "moderator")]
    Moderator,
}

// === impl RawPreset ===

impl From<RawPreset> for Preset {
    fn from(raw: RawPreset) -> Self {
        match raw {
            RawPreset::OdooOMeet => Self::OdooOMeet,
            RawPreset::Nextcloud => Self::Nextcloud,
            RawPreset::Moodle => Self::Moodle,
            RawPreset::Mattermost => Self::Mattermost,
            RawPreset::Rocketchat => Self::RocketChat,
            RawPreset::Zulip => Self::Zulip,
            RawPreset::Workadventure => Self::WorkAdventure,
        }
    }
}

// === impl RawRoleClaim ===

impl From<RawRoleClaim> for RoleClaim {
    fn from(raw: RawRoleClaim) -> Self {
        match raw {
            RawRoleClaim::UserModerator => Self::UserModerator,
            RawRoleClaim::UserAffiliation => Self::UserAffiliation,
            RawRoleClaim::Moderator => Self::Moderator,
        }
    }
}
