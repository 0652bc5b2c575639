//! Requests to a directory of groups, with an access token.

use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use super::GroupLookupError;
use crate::http::{Endpoint, Fetcher};

/// A directory's base URL, and the access token for it.
pub(super) struct DirectoryApi<'a> {
    pub(super) base: &'a Url,
    bearer: HeaderValue,
    fetcher: &'a Fetcher,
}

// === impl DirectoryApi ===

impl<'a> DirectoryApi<'a> {
    pub(super) fn new(
        base: &'a Url,
        access_token: &SecretString,
        fetcher: &'a Fetcher,
    ) -> Result<Self, GroupLookupError> {
        // The `Authorization` field of an access token (RFC 6750 § 2.1).
        let bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose_secret()));
        let mut bearer = bearer.map_err(|_| GroupLookupError::Malformed)?;
        bearer.set_sensitive(true);
        Ok(Self {
            base,
            bearer,
            fetcher,
        })
    }

    /// The JSON object of a response of status 200.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, GroupLookupError> {
        let response = self
            .fetcher
            .json(Endpoint::Groups, url, Some(self.bearer.clone()))
            .await
            .map_err(GroupLookupError::Fetch)?;
        if response.status() != StatusCode::OK {
            return Err(GroupLookupError::Status(response.status()));
        }
        serde_json::from_slice(response.body()).map_err(|_| GroupLookupError::Malformed)
    }
}
