//! Signed tokens of others, before anything in them is believed.
//!
//! ID tokens, logout tokens and the tokens of integrations take the same way: [`Jws::parse`] or
//! [`Jws::parse_shared`] reads the head and nothing else, [`KeySet::open`] or [`Jws::verified_by`]
//! checks the signature and only then hands out claims.

mod keys;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::keys::{KeySet, KeySetError};
use crate::clock::Timestamp;

/// What a token says, by the names of the claims.
pub type ClaimsSet = Map<String, Value>;

/// A token in compact form (RFC 7515 § 3.1), its signature not yet checked.
#[derive(Debug)]
pub struct Jws<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token has to be.
    #[error("the token is too long")]
    TooLong,
    /// Five parts: encrypted, which we never ask for.
    #[error("the token is encrypted")]
    Encrypted,
    /// Not three parts of base64url and JSON.
    #[error("the token is malformed")]
    Malformed,
    /// The head demands an extension; we know none (RFC 7515 § 4.1.11).
    #[error("the token's head demands an extension")]
    Critical,
    /// `none`, a symmetric algorithm, or one that the configuration does not allow.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No key of the issuer has the token's `kid` and fits its algorithm.
    #[error("the issuer has no such key")]
    UnknownKey,
    /// Several keys would fit, and the token does not say which.
    #[error("several keys of the issuer fit the token")]
    AmbiguousKey,
    /// The signature is not the issuer's.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is missing or another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` is missing or does not name us.
    #[error("the token is for another client")]
    Audience,
    /// `azp` is another client, or missing where several audiences make it necessary.
    #[error("the token was issued to another party")]
    AuthorizedParty,
    /// `exp` is missing or not a number.
    #[error("the token does not say when it expires")]
    NoExpiry,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is missing or not a number.
    #[error("the token does not say when it was issued")]
    NoIssueTime,
    /// `iat` lies ahead.
    #[error("the token was issued in the future")]
    IssuedInFuture,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

// === impl Jws ===

impl<'t> Jws<'t> {
    /// Reads the head of a token that is signed with a private key. Keys or their addresses in it
    /// (`jwk`, `jku`, `x5c`, `x5u`) are not looked at: keys come from the issuer's key set alone.
    pub fn parse(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        let jws = Self::read(token, allowed)?;
        if jws.algorithm.family() == AlgorithmFamily::Hmac {
            return Err(TokenError::Algorithm);
        }
        Ok(jws)
    }

    /// Reads the head of a token that is signed with a shared secret. That these are two functions
    /// keeps a public key from being taken for a secret.
    pub fn parse_shared(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        let jws = Self::read(token, allowed)?;
        if jws.algorithm.family() != AlgorithmFamily::Hmac {
            return Err(TokenError::Algorithm);
        }
        Ok(jws)
    }

    fn read(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        // Before anything is split or decoded: a megabyte of dots costs nothing.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        match token.bytes().filter(|&byte| byte == b'.').count() {
            2 => {}
            4 => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::Malformed),
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (head, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if head.len() > MAX_HEAD_BYTES {
            return Err(TokenError::TooLong);
        }
        let head: Head = json(head)?;
        if head.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let algorithm = head.alg.parse().map_err(|_| TokenError::Algorithm)?;
        if !allowed.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        Ok(Self {
            algorithm,
            kid: head.kid,
            typ: head.typ,
            message,
            payload,
            signature,
        })
    }

    /// The algorithm, which is an allowed one.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The id of the key that signed.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The type the token declares.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The claims, if the key's owner signed them.
    pub fn verified_by<C: DeserializeOwned>(&self, key: &DecodingKey) -> Result<C, TokenError> {
        let good = crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm);
        if !good.unwrap_or(false) {
            return Err(TokenError::Signature);
        }
        json(self.payload)
    }
}

// === impl TokenError ===

impl TokenError {
    /// The word for logs and metrics.
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

/// The issuer that a token says it is of. Not yet proved: good for choosing a key, for nothing else.
pub fn claimed_issuer(token: &str) -> Result<Option<String>, TokenError> {
    #[derive(Deserialize)]
    struct Issued {
        iss: Option<String>,
    }
    // What is amiss beside the payload is found when the token is opened.
    let payload = token.split('.').nth(1).ok_or(TokenError::Malformed)?;
    json(payload).map(|Issued { iss }| iss)
}

/// A claim that is a text with something in it.
pub fn text<'c>(claims: &'c ClaimsSet, name: &str) -> Option<&'c str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A `NumericDate` (RFC 7519 § 2), which may have a fraction; nothing else is a time.
pub fn time(claims: &ClaimsSet, name: &str) -> Option<Timestamp> {
    numeric_date(claims.get(name)?)
}

/// A `NumericDate` by its value.
pub fn numeric_date(value: &Value) -> Option<Timestamp> {
    let number = value.as_number()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and the range was checked"
    )]
    let whole = |seconds: f64| (seconds >= 0.0).then_some(seconds as u64);
    number
        .as_u64()
        .or_else(|| number.as_f64().and_then(whole))
        .map(Timestamp::from_unix)
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let plain = BASE64_URL_SAFE_NO_PAD.decode(part);
    let plain = plain.map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&plain).map_err(|_| TokenError::Malformed)
}

/// Some directories put hundreds of groups into a token; nobody needs more than this.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// A certificate chain in the head (`x5c`) has some 6 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str, rest: &str) -> Result<Algorithm, TokenError> {
        let token = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(head));
        let allowed = [Algorithm::RS256, Algorithm::HS256];
        Jws::parse(&token, &allowed).map(|jws| jws.algorithm())
    }

    #[test]
    fn only_allowed_asymmetric_algorithms_pass() {
        assert_eq!(parse(r#"{"alg":"RS256"}"#, "e30.AA"), Ok(Algorithm::RS256));
        for alg in [
            "none", "nOnE", "", "RS384", "HS256", "rs256", "dir", "RS256 ",
        ] {
            let head = format!(r#"{{"alg":"{alg}"}}"#);
            assert_eq!(parse(&head, "e30.AA"), Err(TokenError::Algorithm), "{alg}");
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let heads = [
            "",
            "{}",
            "[]",
            "null",
            r#"{"alg":null}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","kid":{"a":1}}"#,
            r#"{"alg":"RS256"}x"#,
        ];
        for head in heads {
            assert_eq!(parse(head, "e30.AA"), Err(TokenError::Malformed), "{head}");
        }
        assert_eq!(
            parse(r#"{"alg":"RS256","crit":["exp"],"exp":1}"#, "e30.AA"),
            Err(TokenError::Critical)
        );
        assert_eq!(
            parse(r#"{"alg":"RS256","crit":[]}"#, "e30.AA"),
            Err(TokenError::Critical)
        );
    }

    #[test]
    fn shape_and_size_are_looked_at_first() {
        let parse = |token: &str| Jws::parse(token, &[Algorithm::RS256]).err();
        assert_eq!(parse(&".".repeat(1 << 20)), Some(TokenError::TooLong));
        assert_eq!(parse(&".".repeat(1000)), Some(TokenError::Malformed));
        assert_eq!(parse("a.b.c.d.e"), Some(TokenError::Encrypted));
        for token in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "====.e30.AA"] {
            assert_eq!(parse(token), Some(TokenError::Malformed), "{token}");
        }
        let kid = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(20_000));
        let token = format!("{}.e30.AA", BASE64_URL_SAFE_NO_PAD.encode(kid));
        assert_eq!(parse(&token), Some(TokenError::TooLong));
    }
}
