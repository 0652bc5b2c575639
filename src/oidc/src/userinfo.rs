//! The userinfo endpoint (OpenID Connect Core 1.0 § 5.3): claims that did not fit the ID token.

use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    SignInFailure,
    http::{Fetcher, Wanted},
};
use model::jws::{ClaimsSet, text};

/// Asks who the access token is about, which has to be the person of the ID token.
pub(super) async fn ask(
    fetcher: &Fetcher,
    url: &Url,
    access_token: &SecretString,
    subject: &str,
) -> Result<ClaimsSet, SignInFailure> {
    let bearer = format!("Bearer {}", access_token.expose_secret());
    let mut bearer = HeaderValue::try_from(bearer).map_err(|_| SignInFailure::TokenUnreadable)?;
    bearer.set_sensitive(true);
    let answer = fetcher
        .json(Wanted::Userinfo, url, Some(bearer))
        .await
        .map_err(SignInFailure::UserinfoEndpoint)?;
    if answer.status() != StatusCode::OK {
        return Err(SignInFailure::UserinfoStatus(answer.status()));
    }
    let claims: ClaimsSet =
        serde_json::from_slice(answer.body()).map_err(|_| SignInFailure::UserinfoUnreadable)?;
    // § 5.3.2: or the access token was swapped for somebody else's.
    if text(&claims, "sub") != Some(subject) {
        return Err(SignInFailure::UserinfoSubject);
    }
    Ok(claims)
}
