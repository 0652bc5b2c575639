//! The claims by which tokens name moderators.

/// A claim that can make its user a moderator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleClaim {
    /// `context.user.moderator`, read by Prosody's `mod_token_affiliation`.
    UserModerator,
    /// `context.user.affiliation`, read by the same module.
    UserAffiliation,
    /// `moderator` at the top of the token, read by Prosody's `mod_token_moderation`.
    Moderator,
}

// === impl RoleClaim ===

impl RoleClaim {
    /// The claims of Jitsi's current module.
    pub const OF_USER: &[Self] = &[Self::UserModerator, Self::UserAffiliation];

    /// All claims.
    pub const ALL: &[Self] = &[Self::UserModerator, Self::UserAffiliation, Self::Moderator];

    /// The path of the claim, as configuration and audit log name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserModerator => "context.user.moderator",
            Self::UserAffiliation => "context.user.affiliation",
            Self::Moderator => "moderator",
        }
    }
}
