//! Claims of the ID token that bind it to this sign-in (OpenID Connect Core 1.0 § 3.1.3.7).

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{self, SHA256, SHA384, SHA512},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use model::{
    jws::{ClaimsSet, text},
    provider::MAX_ISSUED_ID_BYTES,
};
use serde_json::Value;

use crate::{AuthenticationError, claims_validation::ClaimsValidation};

/// The nonce that an ID token has to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExpectedNonce<'n> {
    /// After a sign-in: the one of the authorization request.
    Required(&'n str),
    /// After a refresh: the one of the sign-in, or none (OpenID Connect Core 1.0 § 12.2).
    IfPresent(&'n str),
}

/// Validates the claims of an ID token with a verified signature and returns its `sub`.
///
/// The numbers are the steps of OpenID Connect Core 1.0 § 3.1.3.7. [`Jws`](model::jws::Jws) covers
/// 1 and 6 to 8 (encryption, signature, algorithm); the policy decides on 12 and 13 (`acr`,
/// `auth_time`): a sign-in without them is good for rooms that do not require them.
pub(crate) fn validate<'c>(
    claims: &'c ClaimsSet,
    algorithm: Algorithm,
    validation: ClaimsValidation<'_>,
    nonce: ExpectedNonce<'_>,
    access_token: &str,
) -> Result<&'c str, AuthenticationError> {
    // 2. `iss` is the configured issuer.
    validation.check_issuer(claims)?;
    // 3. to 5. `aud` and `azp` name this client.
    validation.check_audience(claims)?;
    // 9. The token has not expired.
    validation.check_lifetime(claims)?;
    // 10. It was not issued in the future.
    validation.check_issue_time(claims)?;
    // 11. `nonce` is the one of this browser's authorization request.
    let is_present = claims.get("nonce").is_some_and(|value| !value.is_null());
    if let Some(nonce) = nonce.for_token(is_present) {
        let returned = text(claims, "nonce").ok_or(AuthenticationError::Nonce)?;
        verify_slices_are_equal(returned.as_bytes(), nonce.as_bytes())
            .map_err(|_| AuthenticationError::Nonce)?;
    }
    // § 3.1.3.8: `at_hash`, if present, matches the access token of the same response.
    if claims.contains_key("at_hash") {
        let hash = text(claims, "at_hash").unwrap_or_default();
        if hash != half_hash(algorithm, access_token) {
            return Err(AuthenticationError::AccessTokenHash);
        }
    }
    // § 2: `sub` is present and within its length limit.
    let subject = match claims.get("sub") {
        None | Some(Value::Null | Value::String(_)) => {
            text(claims, "sub").ok_or(AuthenticationError::NoSubject)?
        }
        Some(_) => return Err(AuthenticationError::SubjectNotText),
    };
    if subject.len() > MAX_ISSUED_ID_BYTES {
        return Err(AuthenticationError::SubjectTooLong);
    }
    Ok(subject)
}

// === impl ExpectedNonce ===

impl<'n> ExpectedNonce<'n> {
    fn for_token(self, is_present: bool) -> Option<&'n str> {
        match self {
            Self::Required(nonce) => Some(nonce),
            Self::IfPresent(nonce) => is_present.then_some(nonce),
        }
    }
}

/// Left half of the access token's hash, by the hash function of the signature algorithm
/// (§ 3.1.3.6). For `EdDSA`, which the specification leaves open, SHA-512 as Ed25519 itself uses.
fn half_hash(algorithm: Algorithm, access_token: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        _ => &SHA512,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    BASE64_URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_token_hash_matches_the_example_of_the_specification() {
        // OpenID Connect Core 1.0 § A.3, an example signed with RS256.
        let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(
            half_hash(Algorithm::RS256, access_token),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }
}
