//! Reasons for a refusal or an error, as far as users can act on them.

use http::StatusCode;
use model::{clock::Timestamp, policy::Refusal};

/// Why a name of a meeting or a guest is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// No name was entered.
    Empty,
    /// The name exceeds its length limit.
    TooLong,
    /// The name is a path of the gateway or of Jitsi.
    Reserved,
    /// The name contains a forbidden character.
    Characters,
    /// The room rules make the creator no host of a room of that name.
    NotAllowed,
    /// The name has parts that rooms cannot have; the form shows the name without them.
    Adapted,
    /// The text is the address of another site.
    OtherSite,
    /// The text is an address of this site that is no room's.
    NoMeeting,
}

/// Why a user may not enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The room rules do not admit this user.
    Policy(Refusal),
    /// The room opens later.
    NotYet {
        /// When.
        opens: Timestamp,
    },
    /// The room has closed.
    Over,
    /// The room has reached its maximum number of people.
    Full,
    /// Guests may not enter.
    NoGuests,
    /// The host has not started the meeting.
    HostStarts,
}

/// Why an invitation link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// Truncated, changed, or of another deployment.
    Unreadable,
    /// Expired.
    Expired,
    /// The maximum number of users is reached.
    UsedUp,
    /// Revoked by the host.
    Revoked,
    /// For another room.
    OtherRoom,
}

/// Why a token in an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbedProblem {
    /// It was valid once.
    Over,
    /// Its validity begins later.
    TooEarly,
    /// It is valid for longer than is allowed.
    LongLived,
    /// Its issuer or its key is not known.
    Untrusted,
    /// For another room.
    OtherRoom,
    /// For more than one room.
    SeveralRooms,
    /// Its issuer may not admit people to this room.
    ForeignRoom,
    /// Damaged, or parts are missing.
    Unreadable,
}

/// Why a request is refused that reached no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestProblem<'c> {
    /// No room can have the name in the address.
    Name(NameProblem),
    /// The address is malformed.
    Address,
    /// The request is for another host.
    OtherHost {
        /// The host of the request.
        named: &'c str,
        /// The host of the public URL.
        own: &'c str,
    },
    /// A proxy forwarded the request without stating that the client used TLS.
    Insecure,
    /// The method is not one of the address.
    Method,
    /// A form is malformed, incomplete or too large.
    Form,
    /// A page of another site sent the request.
    OtherSite,
    /// Only for people with a session.
    SignIn {
        /// Path on this site to sign in.
        sign_in: Option<&'c str>,
    },
    /// Only for people in a room, which is not this one.
    NotInRoom,
    /// Only for hosts of the meeting.
    NotHost {
        /// Path on this site of the room's page.
        room: &'c str,
    },
    /// The client has too many connections.
    TooMany {
        /// Path on this site to try again.
        again: &'c str,
    },
    /// Anything else that no page and no link of the gateway causes.
    Other,
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    /// The browser has no pending sign-in with this `state`.
    Unknown,
    /// The sign-in took too long.
    Expired,
    /// The user or the provider declined.
    Declined,
    /// The provider's response is invalid.
    Provider,
    /// The account has too many groups for a session cookie.
    TooLarge,
}

/// A component that is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The OpenID provider.
    Provider,
    /// Jitsi's web server or Prosody.
    Jitsi,
    /// The gateway itself.
    Gateway,
}

// === impl RefusalCause ===

impl From<Refusal> for RefusalCause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotYet { opens, .. } => Self::NotYet { opens },
            Refusal::Over { .. } => Self::Over,
            Refusal::Full { .. } => Self::Full,
            Refusal::InvitationOnly { .. } => Self::NoGuests,
            Refusal::NoRule | Refusal::Closed { .. } | Refusal::NotAllowed { .. } => {
                Self::Policy(refusal)
            }
        }
    }
}

// === impl LinkProblem ===

impl LinkProblem {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Expired | Self::UsedUp | Self::Revoked => StatusCode::GONE,
            Self::OtherRoom => StatusCode::FORBIDDEN,
        }
    }
}

// === impl SignInProblem ===

impl SignInProblem {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Unknown | Self::Expired => StatusCode::BAD_REQUEST,
            Self::Declined | Self::TooLarge => StatusCode::FORBIDDEN,
            Self::Provider => StatusCode::BAD_GATEWAY,
        }
    }
}
