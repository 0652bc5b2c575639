//! The ID token: proof that the provider's answer is about this sign-in and this person.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{self, SHA256, SHA384, SHA512},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use super::{SignInFailure, registered::Expected};
use model::jws::{ClaimsSet, text};

/// Checks the claims of an ID token whose signature was found good, by the steps of OpenID Connect
/// Core 1.0 § 3.1.3.7. Steps 1 and 6 to 8 (encryption, signature, algorithm) came before; 12 and 13
/// (`acr`, `auth_time`) are about things that we do not ask for. Gives the person's `sub`.
pub(super) fn check<'c>(
    claims: &'c ClaimsSet,
    algorithm: Algorithm,
    expected: Expected<'_>,
    nonce: &str,
    access_token: &str,
) -> Result<&'c str, SignInFailure> {
    // 2. The issuer is ours.
    expected.issuer(claims)?;
    // 3. to 5. The token is for us, and was issued to us.
    expected.audience(claims)?;
    // 9. It has not expired,
    expected.still_valid(claims)?;
    // 10. and was not issued in the future.
    expected.issued(claims)?;
    // 11. It answers the request that this browser was sent away with.
    let answered = text(claims, "nonce").ok_or(SignInFailure::Nonce)?;
    verify_slices_are_equal(answered.as_bytes(), nonce.as_bytes())
        .map_err(|_| SignInFailure::Nonce)?;
    // § 3.1.3.8: the access token, if the ID token speaks of it, is the one that came along.
    if claims.contains_key("at_hash") {
        let hash = text(claims, "at_hash").unwrap_or_default();
        if hash != half_hash(algorithm, access_token) {
            return Err(SignInFailure::AccessTokenHash);
        }
    }
    // § 2: the person has an id of sensible length.
    let subject = text(claims, "sub").ok_or(SignInFailure::NoSubject)?;
    if subject.len() > MAX_SUBJECT_BYTES {
        return Err(SignInFailure::SubjectTooLong);
    }
    Ok(subject)
}

/// The left half of the hash that goes with the signature algorithm (§ 3.1.3.6). Ed25519 goes with
/// SHA-512, which it uses inside.
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

/// OpenID Connect Core 1.0 § 2: a `sub` has at most 255 characters.
pub(super) const MAX_SUBJECT_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_token_hash_is_that_of_the_specification() {
        // OpenID Connect Core 1.0 § A.3, an example signed with RS256.
        let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(
            half_hash(Algorithm::RS256, access_token),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }
}
