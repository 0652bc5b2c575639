//! How and when a person authenticated with the provider: `acr`, `amr` and `auth_time` of the ID token
//! (OpenID Connect Core 1.0 § 2).

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What the provider says about the last authentication. The short field names keep the session cookie
/// small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationContext {
    /// `acr`: the authentication context class.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    /// `amr`: the methods (RFC 8176).
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    /// `auth_time`: when the person authenticated, by the provider's clock.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<Timestamp>,
}

// === impl AuthenticationContext ===

impl AuthenticationContext {
    /// Keeps the texts that a session cookie can hold.
    pub fn new(
        acr: Option<&str>,
        amr: impl IntoIterator<Item = impl AsRef<str>>,
        auth_time: Option<Timestamp>,
    ) -> Self {
        let fits = |text: &str, most: usize| (1..=most).contains(&text.len());
        let amr = amr.into_iter().map(|method| method.as_ref().to_owned());
        Self {
            acr: acr
                .filter(|acr| fits(acr, MAX_ACR_BYTES))
                .map(ToOwned::to_owned),
            amr: amr
                .filter(|method| fits(method, MAX_METHOD_BYTES))
                .take(MAX_METHODS)
                .collect(),
            auth_time,
        }
    }

    /// Whether the provider said nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The authentication context class.
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// The authentication methods.
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// The time of the authentication.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }
}

/// Longer than the URIs in use, such as `urn:oasis:names:tc:SAML:2.0:ac:classes:…`.
pub const MAX_ACR_BYTES: usize = 200;

/// The names of RFC 8176 have five letters at most, those of providers a few more.
pub const MAX_METHOD_BYTES: usize = 32;

/// More than one sign-in uses.
const MAX_METHODS: usize = 8;
