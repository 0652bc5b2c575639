//! Why a signed token is refused.

/// Why a token of another issuer is refused: its form, its signature or its standard claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token or its header exceeds the size limit.
    #[error("the token is too long")]
    TooLong,
    /// Five parts: a JWE (RFC 7516), which the gateway never asks for.
    #[error("the token is encrypted")]
    Encrypted,
    /// Not three parts of base64url and JSON.
    #[error("the token is malformed")]
    Malformed,
    /// The header has `crit`; the gateway supports no extension (RFC 7515 § 4.1.11).
    #[error("the token's header demands an extension")]
    Critical,
    /// `none`, a symmetric algorithm, or one that the configuration does not allow.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No key of the issuer has the token's `kid` and fits its algorithm.
    #[error("the issuer has no such key")]
    UnknownKey,
    /// Several keys fit, and the token does not name one.
    #[error("several keys of the issuer fit the token")]
    AmbiguousKey,
    /// The signature is not by the issuer's key.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is missing or another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` is missing or does not name the gateway.
    #[error("the token is for another client")]
    Audience,
    /// `azp` is another client, or missing although `aud` has several values.
    #[error("the token was issued to another party")]
    AuthorizedParty,
    /// `exp` is missing or not a number.
    #[error("the token has no expiry time")]
    NoExpiry,
    /// `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is missing or not a number.
    #[error("the token has no issue time")]
    NoIssueTime,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
}

// === impl TokenError ===

impl TokenError {
    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Encrypted => "token_encrypted",
            Self::Malformed => "token_malformed",
            Self::Critical => "token_critical",
            Self::Algorithm => "algorithm_refused",
            Self::UnknownKey => "key_unknown",
            Self::AmbiguousKey => "key_ambiguous",
            Self::Signature => "signature_wrong",
            Self::Issuer => "issuer_wrong",
            Self::Audience => "audience_wrong",
            Self::AuthorizedParty => "authorized_party_wrong",
            Self::NoExpiry => "expiry_missing",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NoIssueTime => "issue_time_missing",
            Self::IssuedInFuture => "issued_in_future",
        }
    }
}
