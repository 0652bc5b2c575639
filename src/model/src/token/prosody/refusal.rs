//! The plugins' refusals: their texts, and what a client sees of them.

/// Why a connection may not log in; displays as the plugin's own text.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProsodyRefusal {
    /// Neither the query nor the head has a token.
    #[error("token required")]
    TokenRequired,
    /// Not three parts, or longer than any head may be.
    #[error("Invalid token")]
    InvalidToken,
    /// The head is not base64url of a JSON object (with public keys, where it is read first).
    #[error("bad token format")]
    BadTokenFormat,
    /// With public keys: the head names no key.
    #[error("'kid' claim is missing")]
    KidMissing,
    /// With public keys: the head names no algorithm.
    #[error("'alg' claim is missing")]
    AlgorithmMissing,
    /// With public keys: the algorithm is none of RS256, RS384, RS512.
    #[error("'kid' claim only support with RS family")]
    KidWithoutRsa,
    /// The key that the head names is not to be had. A Prosody with `cache_keys_url` only gives no
    /// answer at all here.
    #[error("could not obtain public key")]
    KeyUnavailable,
    /// The head is not base64url of a JSON object.
    #[error("Invalid header")]
    InvalidHeader,
    /// The claims are not base64url of a JSON object.
    #[error("Invalid body")]
    InvalidBody,
    /// `typ` is not exactly `JWT`.
    #[error("Invalid typ")]
    InvalidType,
    /// `alg` is not the one algorithm that is accepted.
    #[error("Invalid or incorrect alg")]
    InvalidAlgorithm,
    /// Signed with another key, or changed.
    #[error("Invalid signature")]
    InvalidSignature,
    /// `exp` is a text, say.
    #[error("exp must be number")]
    ExpiryNotNumber,
    /// `nbf` is a text, say.
    #[error("nbf must be number")]
    NotBeforeNotNumber,
    /// `exp` is not in the future.
    #[error(
        "Not acceptable by exp ({seconds_ago:?} sec since expired{})",
        valid_for.map(|seconds| format!(", valid for:{seconds:?} sec")).unwrap_or_default()
    )]
    Expired {
        /// How long ago it expired.
        seconds_ago: f64,
        /// How long it was valid, if it says when it was issued.
        valid_for: Option<f64>,
    },
    /// `nbf` is in the future.
    #[error("Not acceptable by nbf")]
    NotYet,
    /// No `iss`.
    #[error("'iss' claim is missing")]
    IssuerMissing,
    /// `iss` is not among `asap_accepted_issuers`.
    #[error("invalid 'iss' claim")]
    InvalidIssuer,
    /// No `aud`.
    #[error("'aud' claim is missing")]
    AudienceMissing,
    /// `aud` is not a text among `asap_accepted_audiences`; an array never is.
    #[error("invalid 'aud' claim")]
    InvalidAudience,
    /// No `room`.
    #[error("room claim is missing")]
    RoomMissing,
    /// No `sub`.
    #[error("sub claim is missing")]
    SubjectMissing,
    /// The plugin fails on the token and never answers: `context` is `null`, say. The text is ours.
    #[error("the plugin fails on `context` and gives no answer")]
    NoAnswer,
}

/// Why a connection may not join a room; displays as the plugin's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomRefusal {
    /// The `room` claim is for another room.
    #[error("Room does not match the room from token")]
    RoomMismatch,
    /// With domain verification: the `room` or the `sub` claim is for another room.
    #[error("Room and token mismatched")]
    RoomAndTokenMismatch,
}

/// The defined condition of a SASL failure (RFC 6120 § 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslCondition {
    /// `<not-allowed/>`, Prosody's own; Jitsi's client shows the text of no other.
    NotAllowed,
    /// `<not-authorized/>`.
    NotAuthorized,
}

// === impl ProsodyRefusal ===

impl ProsodyRefusal {
    /// The failure that the client gets; `None` when it gets no answer at all.
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
    /// The element in Jitsi's namespace by which clients tell refusals apart, if there is one.
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
