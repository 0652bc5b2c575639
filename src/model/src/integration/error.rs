//! Why the token of an integration is not taken.

use crate::{jws::TokenError, room::RoomError};

/// Why a token does not open a room. Each says so in words for the page, with no secret in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// Longer than an address should be.
    #[error("the token is too long")]
    TooLong,
    /// No three parts of base64url and JSON, or a head that is not allowed.
    #[error(transparent)]
    Token(TokenError),
    /// The `typ` says that it is something else.
    #[error("the token is of another kind")]
    Kind,
    /// `iss` is missing or nobody that is configured.
    #[error("the token is of a system that is not known here")]
    UnknownIssuer,
    /// The signature is not of the integration's key: Prosody's own secret, or an old one.
    #[error("the token is signed with another key")]
    OtherKey,
    /// `exp` lies further ahead than this integration may go.
    #[error("the token lives longer than is allowed")]
    LongLived,
    /// No `room`.
    #[error("the token names no room")]
    NoRoom,
    /// `*`, or a pattern.
    #[error("the token is for more than one room")]
    Pattern,
    /// A `room` that is none.
    #[error("the token's room is not usable: {0}")]
    Room(RoomError),
    /// A room other than that of the page.
    #[error("the token is for another room")]
    OtherRoom,
    /// The room has a tenant, and `sub` does not name it.
    #[error("the token is for another tenant")]
    OtherTenant,
    /// A room that is not among the integration's.
    #[error("the system that issued the token has no right to this room")]
    ForeignRoom,
    /// An id of the person that cannot be kept apart from others.
    #[error("the token's user id is not usable")]
    UserId,
}

// === impl EmbedError ===

impl EmbedError {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Token(error) => error.as_str(),
            Self::Kind => "kind_wrong",
            Self::UnknownIssuer => "issuer_unknown",
            Self::OtherKey => "key_other",
            Self::LongLived => "lifetime_too_long",
            Self::NoRoom => "room_missing",
            Self::Pattern => "room_pattern",
            Self::Room(_) => "room_unusable",
            Self::OtherRoom => "room_other",
            Self::OtherTenant => "tenant_other",
            Self::ForeignRoom => "room_foreign",
            Self::UserId => "user_id_unusable",
        }
    }
}

impl From<TokenError> for EmbedError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Signature | TokenError::UnknownKey => Self::OtherKey,
            TokenError::TooLong => Self::TooLong,
            other => Self::Token(other),
        }
    }
}
