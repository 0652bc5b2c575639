//! Presets: defaults for the tokens of known systems.

use std::time::Duration;

use super::RoleClaim;

/// A system whose Jitsi module is known. Each documentation page in `docs/integrations` names the
/// release that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// The O-Meet module of Odoo.
    OdooOMeet,
    /// The Jitsi app of Nextcloud.
    Nextcloud,
    /// The activity module `mod_jitsi` of Moodle.
    Moodle,
    /// The Jitsi plugin of Mattermost.
    Mattermost,
    /// The Jitsi app of Rocket.Chat.
    RocketChat,
    /// Zulip.
    Zulip,
    /// `WorkAdventure`.
    WorkAdventure,
}

/// The defaults of an integration with a preset.
#[derive(Clone, Copy, Debug)]
pub struct PresetProfile {
    /// The lifetime of a new token.
    pub lifetime: Duration,
    /// The shape of the names of its rooms.
    pub rooms: RoomNames,
    /// Where its tokens name moderators; empty if they do not.
    pub moderator_claims: &'static [RoleClaim],
    /// Its `aud`.
    pub audience: PresetAudience,
    /// Whether `context.user.id` is one person's for good.
    pub stable_user_ids: bool,
}

/// The names of a system's rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomNames {
    /// Names of one shape.
    Pattern(&'static str),
    /// Any name: people of the system choose it.
    Free,
}

/// The `aud` of a system's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetAudience {
    /// The app id.
    AppId,
    /// A fixed value.
    Fixed(&'static str),
    /// Not checked.
    Any,
}

// === impl Preset ===

impl Preset {
    /// All presets.
    pub const ALL: [Self; 7] = [
        Self::OdooOMeet,
        Self::Nextcloud,
        Self::Moodle,
        Self::Mattermost,
        Self::RocketChat,
        Self::Zulip,
        Self::WorkAdventure,
    ];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OdooOMeet => "odoo-o-meet",
            Self::Nextcloud => "nextcloud",
            Self::Moodle => "moodle",
            Self::Mattermost => "mattermost",
            Self::RocketChat => "rocketchat",
            Self::Zulip => "zulip",
            Self::WorkAdventure => "workadventure",
        }
    }

    /// The defaults of its integration.
    pub const fn profile(self) -> PresetProfile {
        let usual = PresetProfile {
            lifetime: Duration::from_hours(1),
            rooms: RoomNames::Free,
            moderator_claims: RoleClaim::OF_USER,
            audience: PresetAudience::Fixed("jitsi"),
            stable_user_ids: true,
        };
        match self {
            Self::OdooOMeet => PresetProfile {
                lifetime: Duration::from_hours(2),
                rooms: RoomNames::Pattern("meet-*"),
                audience: PresetAudience::AppId,
                ..usual
            },
            Self::Nextcloud => PresetProfile {
                lifetime: Duration::from_hours(12),
                // A UUID of version 4.
                rooms: RoomNames::Pattern("????????-????-4???-????-????????????"),
                moderator_claims: &[],
                audience: PresetAudience::AppId,
                ..usual
            },
            Self::Moodle => PresetProfile {
                lifetime: Duration::from_hours(24),
                moderator_claims: RoleClaim::ALL,
                ..usual
            },
            Self::Mattermost => PresetProfile {
                // "Meeting Link Expiry Time", which an administrator can change.
                lifetime: Duration::from_mins(30),
                moderator_claims: &[],
                audience: PresetAudience::AppId,
                ..usual
            },
            Self::RocketChat => PresetProfile {
                rooms: RoomNames::Pattern("rocketchat*"),
                moderator_claims: &[RoleClaim::Moderator],
                audience: PresetAudience::Fixed("RocketChat"),
                ..usual
            },
            Self::Zulip => PresetProfile {
                audience: PresetAudience::Any,
                ..usual
            },
            Self::WorkAdventure => PresetProfile {
                lifetime: Duration::from_hours(24),
                moderator_claims: &[RoleClaim::UserModerator, RoleClaim::Moderator],
                // The number of a person on a map, which the next one there gets.
                stable_user_ids: false,
                ..usual
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Glob;

    #[test]
    fn patterns_match_the_rooms_that_each_system_creates() {
        for (preset, fits, other) in [
            (Preset::OdooOMeet, "meet-6de9324805", "meeting"),
            (
                Preset::Nextcloud,
                "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b",
                "1b4e28ba-2fa1-1d3b-a3f5-ef19b5a7633b",
            ),
            (
                Preset::RocketChat,
                "rocketchat65f1c0ffee65f1c0ffee65f1",
                "chat",
            ),
        ] {
            let RoomNames::Pattern(pattern) = preset.profile().rooms else {
                panic!("{preset:?} has no pattern");
            };
            let pattern = Glob::folded(pattern);
            assert!(
                pattern.matches(fits) && !pattern.matches(other),
                "{preset:?}"
            );
        }
    }
}
