//! The texts of reasons, and what each lets the user do.

use model::policy::Refusal;

use crate::{Component, EmbedProblem, LinkProblem, RefusalCause, SignInProblem, Texts};

// === impl RefusalCause ===

impl RefusalCause {
    pub(super) fn text(self, texts: &Texts) -> &str {
        let refused = &texts.refused;
        match self {
            Self::Policy(Refusal::NoRule) => &refused.no_rule,
            Self::Policy(Refusal::Closed { .. }) => &refused.closed,
            Self::Policy(
                Refusal::NotAllowed { .. }
                | Refusal::InvitationOnly { .. }
                | Refusal::NotYet { .. }
                | Refusal::Over { .. }
                | Refusal::Full { .. },
            ) => &refused.not_allowed,
            Self::NotYet { .. } => &refused.not_yet,
            Self::Over => &refused.over,
            Self::Full => &refused.full,
            Self::NoGuests => &refused.no_guests,
            Self::HostStarts => &refused.host_starts,
        }
    }

    /// Whether the page advises to contact the operator, who could change the room rules.
    pub(super) fn has_advice(self) -> bool {
        match self {
            Self::Policy(_) | Self::Over | Self::NoGuests => true,
            Self::NotYet { .. } | Self::Full | Self::HostStarts => false,
        }
    }

    /// Whether a later attempt may succeed without a change of the room rules.
    pub(super) fn is_temporary(self) -> bool {
        match self {
            Self::NotYet { .. } | Self::Full | Self::HostStarts => true,
            Self::Policy(_) | Self::Over | Self::NoGuests => false,
        }
    }
}

// === impl LinkProblem ===

impl LinkProblem {
    pub(super) fn text(self, texts: &Texts) -> &str {
        let invitation = &texts.invitation;
        match self {
            Self::Unreadable => &invitation.unreadable,
            Self::Expired => &invitation.expired,
            Self::UsedUp => &invitation.used_up,
            Self::Revoked => &invitation.revoked,
            Self::OtherRoom => &invitation.other_room,
        }
    }
}

// === impl EmbedProblem ===

impl EmbedProblem {
    pub(super) fn text(self, texts: &Texts) -> &str {
        let embed = &texts.embed;
        match self {
            Self::Over => &embed.over,
            Self::TooEarly => &embed.too_early,
            Self::LongLived => &embed.long_lived,
            Self::Untrusted => &embed.untrusted,
            Self::OtherRoom => &embed.other_room,
            Self::SeveralRooms => &embed.several_rooms,
            Self::ForeignRoom => &embed.foreign_room,
            Self::Unreadable => &embed.text,
        }
    }
}

// === impl SignInProblem ===

impl SignInProblem {
    pub(super) fn text(self, texts: &Texts) -> &str {
        let failed = &texts.failed;
        match self {
            Self::Unknown => &failed.unknown,
            Self::Expired => &failed.expired,
            Self::Declined => &failed.declined,
            Self::Provider => &failed.provider,
            Self::TooLarge => &failed.too_large,
        }
    }
}

// === impl Component ===

impl Component {
    pub(super) fn text(self, texts: &Texts) -> &str {
        let unavailable = &texts.unavailable;
        match self {
            Self::Provider => &unavailable.provider,
            Self::Jitsi => &unavailable.jitsi,
            Self::Gateway => &unavailable.gateway,
        }
    }
}
