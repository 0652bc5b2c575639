//! The plugins' refusals: their messages, and the failures that clients receive.

/// Why a login fails; displays as the plugin's message.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProsodyRefusal {
    /// Neither the query nor the request head has a token.
    #[error("token required")]
    TokenRequired,
    /// Not three parts, or longer than a request head.
    #[error("Invalid token")]
    InvalidToken,
    /// The header is not base64url of a JSON object; with public keys, which need it first.
    #[error("bad token format")]
    BadTokenFormat,
    /// The header names no key; with public keys.
    #[error("'kid' claim is missing")]
    KidMissing,
    /// The header names no algorithm; with public keys.
    #[error("'alg' claim is missing")]
    AlgorithmMissing,
    /// The algorithm is none of RS256, RS384, RS512; with public keys.
    #[error("'kid' claim only support with RS family")]
    KidWithoutRsa,
    /// The key that the header names is not available. A Prosody with nothing but `cache_keys_url`
    /// does not answer at all here.
    #[error("could not obtain public key")]
    KeyUnavailable,
    /// The header is not base64url of a JSON object.
    #[error("Invalid header")]
    InvalidHeader,
    /// The claims are not base64url of a JSON object.
    #[error("Invalid body")]
    InvalidBody,
    /// `typ` is not exactly `JWT`.
    #[error("Invalid typ")]
    InvalidType,
    /// `alg` is not the accepted algorithm.
    #[error("Invalid or incorrect alg")]
    InvalidAlgorithm,
    /// Another key signed the token, or it was changed.
    #[error("Invalid signature")]
    InvalidSignature,
    /// `exp` is not a number.
    #[error("exp must be number")]
    ExpiryNotNumber,
    /// `nbf` is not a number.
    #[error("nbf must be number")]
    NotBeforeNotNumber,
    /// `exp` is not in the future.
    #[error(
        "Not acceptable by exp ({seconds_ago:?} sec since expired{})",
        valid_for.map(|seconds| format!(", valid for:{seconds:?} sec")).unwrap_or_default()
    )]
    Expired {
        /// The time since it expired.
        seconds_ago: f64,
        /// The time from `iat` to `exp`, if there is an `iat`.
        valid_for: Option<f64>,
    },
    /// `nbf` is in the future.
    #[error("Not acceptable by nbf")]
    NotYet,
    /// `iss` is missing.
    #[error("'iss' claim is missing")]
    IssuerMissing,
    /// `iss` is not among `asap_accepted_issuers`.
    #[error("invalid 'iss' claim")]
    InvalidIssuer,
    /// `aud` is missing.
    #[error("'aud' claim is missing")]
    AudienceMissing,
    /// `aud` is not a string among `asap_accepted_audiences`; an array never is.
    #[error("invalid 'aud' claim")]
    InvalidAudience,
    /// `room` is missing.
    #[error("room claim is missing")]
    RoomMissing,
    /// `sub` is missing.
    #[error("sub claim is missing")]
    SubjectMissing,
    /// The plugin fails on the token and never answers, for example if `context` is `null`. This
    /// message is not the plugin's.
    #[error("the plugin fails on `context` and gives no answer")]
    NoAnswer,
}

/// Why a connection cannot join a room; displays as the plugin's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomRefusal {
    /// The `room` claim is for another room.
    #[error("Room does not match the room from token")]
    RoomMismatch,
    /// The `room` or the `sub` claim is for another room; with domain verification.
    #[error("Room and token mismatched")]
    RoomAndTokenMismatch,
}

/// The defined condition of a SASL failure (RFC 6120 § 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslCondition {
    /// `<not-allowed/>`, not of the RFC; Jitsi's client shows the text of no other condition.
    NotAllowed,
    /// `<not-authorized/>`.
    NotAuthorized,
}

// === impl ProsodyRefusal ===

impl ProsodyRefusal {
    /// The condition of the SASL failure; `None` if Prosody does not answer.
    pub const fn condition(&self) -> Option<SaslCondition> {
        match self {
            Self::NoAnswer => None,
            Self::RoomMissing | Self::SubjectMissing => Some(SaslCondition::NotAuthorized),
            _ => Some(SaslCondition::NotAllowed),
        }
    }
}

// === impl RoomRefusal ===

impl RoomRefusal {
    /// The element in Jitsi's namespace by which clients distinguish refusals, if there is one.
    pub const fn marker(self) -> Option<&'static str> {
        match self {
            Self::RoomMismatch => Some("room-mismatch"),
            Self::RoomAndTokenMismatch => None,
        }
    }
}

// === impl SaslCondition ===

impl SaslCondition {
    /// The element's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
        }
    }
}
