//! The userinfo endpoint (OpenID Connect Core 1.0 § 5.3): claims that are missing in the ID token.

use http::{HeaderValue, StatusCode, header};
use model::jws::ClaimsSet;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::{
    AuthenticationError,
    http::{Endpoint, Fetcher},
};

/// A response of the userinfo endpoint.
#[derive(Debug)]
pub(crate) enum Userinfo {
    /// The claims as a JSON object.
    Claims(ClaimsSet),
    /// A signed token with the claims (§ 5.3.2), not verified yet.
    Signed(String),
}

/// Fetches the claims of the access token's subject.
pub(crate) async fn fetch(
    fetcher: &Fetcher,
    url: &Url,
    access_token: &SecretString,
) -> Result<Userinfo, AuthenticationError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose_secret()))
        .map_err(|_| AuthenticationError::TokenUnreadable)?;
    bearer.set_sensitive(true);
    let response = fetcher
        .json(Endpoint::Userinfo, url, Some(bearer))
        .await
        .map_err(AuthenticationError::UserinfoEndpoint)?;
    if response.status() != StatusCode::OK {
        return Err(AuthenticationError::UserinfoStatus(response.status()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_signed = content_type.is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(SIGNED))
    });
    if is_signed {
        let token = String::from_utf8(response.into_body());
        return token
            .map(|token| Userinfo::Signed(token.trim_ascii().to_owned()))
            .map_err(|_| AuthenticationError::UserinfoUnreadable);
    }
    serde_json::from_slice(response.body())
        .map(Userinfo::Claims)
        .map_err(|_| AuthenticationError::UserinfoUnreadable)
}

/// Checks that the claims are about the subject of the ID token; another `sub` means that the
/// access token was replaced by another user's (§ 5.3.2).
///
/// Some providers write the same identifier as a number here.
pub(crate) fn check_subject(claims: &ClaimsSet, subject: &str) -> Result<(), AuthenticationError> {
    let is_same = match claims.get("sub") {
        Some(Value::String(text)) => text == subject,
        Some(Value::Number(number)) => {
            number.as_u64().map(|id| id.to_string()).as_deref() == Some(subject)
        }
        _ => false,
    };
    is_same
        .then_some(())
        .ok_or(AuthenticationError::UserinfoSubject)
}

/// The media type of a signed or encrypted response.
const SIGNED: &[u8] = b"application/jwt";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_subject_is_the_id_tokens_however_it_is_written() {
        for (sub, same) in [
            (json!("35"), true),
            (json!(35), true),
            (json!("035"), false),
            (json!(36), false),
            (json!(35.5), false),
            (json!(-35), false),
            (json!(null), false),
            (json!(["35"]), false),
            (json!(true), false),
        ] {
            let claims = serde_json::from_value(json!({ "sub": sub })).unwrap();
            assert_eq!(check_subject(&claims, "35").is_ok(), same, "{sub}");
        }
        assert!(check_subject(&ClaimsSet::new(), "35").is_err());
    }
}
