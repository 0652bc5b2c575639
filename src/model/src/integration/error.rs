//! Why an integration's token is refused.

use crate::{jws::TokenError, room::RoomError};

/// Why a token admits its user to no room. The page shows the message; it contains no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// Longer than an address may be.
    #[error("the token is too long")]
    TooLong,
    /// A fault of its form, its header or its standard claims.
    #[error(transparent)]
    Token(TokenError),
    /// `typ` is not `JWT`.
    #[error("the token is of another kind")]
    Kind,
    /// `iss` is missing or names no configured integration.
    #[error("the token is of a system that is not known here")]
    UnknownIssuer,
    /// The signature is not by the integration's key; usually by Prosody's secret or an old key.
    #[error("the token is signed with another key")]
    OtherKey,
    /// `exp` is later than `max_lifetime` allows.
    #[error("the token lives longer than is allowed")]
    LongLived,
    /// `room` is missing or not a string.
    #[error("the token names no room")]
    NoRoom,
    /// `room` is `*` or a pattern.
    #[error("the token is for more than one room")]
    Pattern,
    /// `room` is not a valid room name.
    #[error("the token's room is not usable: {0}")]
    Room(RoomError),
    /// `room` is not the room of the page.
    #[error("the token is for another room")]
    OtherRoom,
    /// `sub` does not name the tenant of the page.
    #[error("the token is for another tenant")]
    OtherTenant,
    /// The room is not one of the integration's.
    #[error("the system that issued the token has no right to this room")]
    ForeignRoom,
    /// `context.user.id` is not a short plain text or a number.
    #[error("the token's user id is not usable")]
    UserId,
}

// === impl EmbedError ===

impl EmbedError {
    /// The name in logs and metrics.
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
