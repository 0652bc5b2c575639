//! Signed tokens (JWS, RFC 7515) of other issuers: ID tokens, logout tokens, tokens of integrations.
//!
//! [`Jws::parse`] reads the header and nothing else; [`KeySet::open`] verifies the signature and only
//! then returns claims.

mod error;
mod keys;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::{
    error::TokenError,
    keys::{KeySet, KeySetError},
};
use crate::clock::Timestamp;

/// A token's claims by name (RFC 7519 § 4).
pub type ClaimsSet = Map<String, Value>;

/// A token in compact form (RFC 7515 § 3.1) whose signature is not verified yet.
#[derive(Debug)]
pub struct Jws<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

// === impl Jws ===

impl<'t> Jws<'t> {
    /// Parses the header of a token with an asymmetric signature.
    ///
    /// Keys and key URLs in the header (`jwk`, `jku`, `x5c`, `x5u`) are ignored: keys come from the
    /// issuer's key set alone.
    ///
    /// # Errors
    ///
    /// [`TokenError`], for its form or for an algorithm that is not `allowed`.
    pub fn parse(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        let jws = Self::read(token, allowed)?;
        if jws.algorithm.family() == AlgorithmFamily::Hmac {
            return Err(TokenError::Algorithm);
        }
        Ok(jws)
    }

    /// Parses the header of a token with an HMAC.
    ///
    /// This function is separate from [`Jws::parse`] so that a public key is never used as an HMAC
    /// secret (RFC 8725 § 2.1).
    ///
    /// # Errors
    ///
    /// As for [`Jws::parse`].
    pub(crate) fn parse_shared(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        let jws = Self::read(token, allowed)?;
        if jws.algorithm.family() != AlgorithmFamily::Hmac {
            return Err(TokenError::Algorithm);
        }
        Ok(jws)
    }

    fn read(token: &'t str, allowed: &[Algorithm]) -> Result<Self, TokenError> {
        // Checked before anything is split or decoded, so a megabyte of dots costs nothing.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        match token.bytes().filter(|&byte| byte == b'.').count() {
            2 => {}
            4 => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::Malformed),
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if header.len() > MAX_HEADER_BYTES {
            return Err(TokenError::TooLong);
        }
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let algorithm = header.alg.parse().map_err(|_| TokenError::Algorithm)?;
        if !allowed.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        Ok(Self {
            algorithm,
            kid: header.kid,
            typ: header.typ,
            message,
            payload,
            signature,
        })
    }

    /// The algorithm; one of the allowed ones.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The signing key's id.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The media type in the header.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Verifies the signature and returns the claims.
    ///
    /// # Errors
    ///
    /// [`TokenError::Signature`], and [`TokenError::Malformed`] for claims of another shape.
    pub(crate) fn verified_by<C: DeserializeOwned>(
        &self,
        key: &DecodingKey,
    ) -> Result<C, TokenError> {
        let valid = crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm);
        if !valid.unwrap_or(false) {
            return Err(TokenError::Signature);
        }
        json(self.payload)
    }
}

/// The unverified `iss` of a token. It selects the key to verify the token with, nothing else.
pub(crate) fn claimed_issuer(token: &str) -> Result<Option<String>, TokenError> {
    #[derive(Deserialize)]
    struct Issued {
        iss: Option<String>,
    }
    // The verification reports faults outside the payload.
    let payload = token.split('.').nth(1).ok_or(TokenError::Malformed)?;
    json(payload).map(|Issued { iss }| iss)
}

/// A claim whose value is a non-empty string.
pub fn text<'c>(claims: &'c ClaimsSet, name: &str) -> Option<&'c str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A claim whose value is a `NumericDate` (RFC 7519 § 2), rounded down to seconds.
pub fn time(claims: &ClaimsSet, name: &str) -> Option<Timestamp> {
    numeric_date(claims.get(name)?)
}

/// Converts a `NumericDate`, which may have a fraction; `None` for a negative number or another
/// type.
pub(crate) fn numeric_date(value: &Value) -> Option<Timestamp> {
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

/// Some directories put hundreds of groups into a token.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// A certificate chain in the header (`x5c`) has some 6 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str, rest: &str) -> Result<Algorithm, TokenError> {
        let token = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header));
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
    fn malformed_headers_are_refused() {
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
    fn shape_and_size_are_checked_before_anything_is_decoded() {
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
