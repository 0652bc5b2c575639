//! The userinfo endpoint (OpenID Connect Core 1.0 § 5.3): claims that are missing in the ID token.

use http::{HeaderValue, StatusCode};
use model::jws::{ClaimsSet, text};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    AuthenticationError,
    http::{Endpoint, Fetcher},
};

/// Fetches the claims of the access token's subject, which must be the ID token's.
pub(crate) async fn fetch(
    fetcher: &Fetcher,
    url: &Url,
    access_token: &SecretString,
    subject: &str,
) -> Result<ClaimsSet, AuthenticationError> {
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
    let claims: ClaimsSet = serde_json::from_slice(response.body())
        .map_err(|_| AuthenticationError::UserinfoUnreadable)?;
    // § 5.3.2: another `sub` means that the access token was replaced by another user's.
    if text(&claims, "sub") != Some(subject) {
        return Err(AuthenticationError::UserinfoSubject);
    }
    Ok(claims)
}
