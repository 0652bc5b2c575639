//! A Google service account: a key that buys access tokens (RFC 7523 § 2.1, "Using OAuth 2.0 for Server to Server
//! Applications" of Google's documentation).

use std::{fmt, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use model::clock::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use super::GroupLookupError;
use crate::http::{Endpoint, Fetcher, to_uri};

/// An account that may read the groups of a Workspace.
pub struct ServiceAccount {
    email: String,
    token_endpoint: Url,
    /// The administrator in whose name the account reads; `None` if it has a role of its own.
    administrator: Option<String>,
    header: Header,
    key: EncodingKey,
}

/// The text is not the key file of a service account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAccountError {
    /// Not JSON, or without a member that is needed.
    #[error(
        "not the JSON key of a service account (type, client_email, private_key and token_uri)"
    )]
    Form,
    /// `private_key` cannot sign.
    #[error("a JSON key whose private_key is not an RSA key in PEM form")]
    Key,
}

/// An access token of the account.
pub(super) struct AccessToken {
    pub(super) token: SecretString,
    pub(super) lifetime: Duration,
}

/// The members of the key file that are used.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: SecretString,
    token_uri: Url,
}

/// RFC 7523 § 3, with the scope as Google has it.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    aud: &'a str,
    scope: &'a str,
    iat: Timestamp,
    exp: Timestamp,
}

/// RFC 6749 § 5.1.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: SecretString,
    #[serde(default)]
    expires_in: u64,
}

/// RFC 6749 § 5.2.
#[derive(Deserialize)]
struct TokenError {
    error: String,
}

// === impl ServiceAccount ===

impl ServiceAccount {
    /// Reads the key file, as Google gives it. `administrator` is the person in whose name the account reads, with
    /// domain-wide delegation.
    ///
    /// # Errors
    ///
    /// [`ServiceAccountError`].
    pub fn from_json(
        text: &SecretString,
        administrator: Option<String>,
    ) -> Result<Self, ServiceAccountError> {
        let file: KeyFile =
            serde_json::from_str(text.expose_secret()).map_err(|_| ServiceAccountError::Form)?;
        if file.kind != KIND {
            return Err(ServiceAccountError::Form);
        }
        let header = Header {
            kid: file.private_key_id,
            ..Header::new(Algorithm::RS256)
        };
        let key = EncodingKey::from_rsa_pem(file.private_key.expose_secret().as_bytes());
        let key = key.map_err(|_| ServiceAccountError::Key)?;
        // The library reads the length of a key only when it signs.
        jsonwebtoken::encode(&header, &(), &key).map_err(|_| ServiceAccountError::Key)?;
        Ok(Self {
            email: file.client_email,
            token_endpoint: file.token_uri,
            administrator,
            header,
            key,
        })
    }

    /// `token_uri`: where the key buys access tokens.
    pub fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Buys an access token.
    pub(super) async fn access_token(
        &self,
        now: Timestamp,
        fetcher: &Fetcher,
    ) -> Result<AccessToken, GroupLookupError> {
        let request = self.token_request(now);
        let response = fetcher
            .fetch(Endpoint::Groups, request)
            .await
            .map_err(GroupLookupError::Fetch)?;
        if response.status() != StatusCode::OK {
            let error = serde_json::from_slice::<TokenError>(response.body());
            return Err(match error {
                Ok(body) => GroupLookupError::TokenRefused(
                    body.error
                        .chars()
                        .filter(char::is_ascii_graphic)
                        .take(MAX_ERROR_CHARS)
                        .collect(),
                ),
                Err(_) => GroupLookupError::Status(response.status()),
            });
        }
        let bought: TokenResponse =
            serde_json::from_slice(response.body()).map_err(|_| GroupLookupError::Malformed)?;
        Ok(AccessToken {
            token: bought.access_token,
            lifetime: Duration::from_secs(bought.expires_in).min(MAX_LIFETIME),
        })
    }

    fn token_request(&self, now: Timestamp) -> Request<Vec<u8>> {
        let claims = Claims {
            iss: &self.email,
            sub: self.administrator.as_deref(),
            aud: self.token_endpoint.as_str(),
            scope: SCOPE,
            iat: now,
            exp: now.after(ASSERTION_LIFETIME),
        };
        // Infallible: the key has signed before, and the claims are texts and numbers.
        let assertion = jsonwebtoken::encode(&self.header, &claims, &self.key)
            .expect("a key that has signed signs again");
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("assertion", &assertion)
            .finish();
        let mut request = Request::new(body.into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to_uri(&self.token_endpoint);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        request
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .field("administrator", &self.administrator)
            .finish_non_exhaustive()
    }
}

/// `type` of the key file.
const KIND: &str = "service_account";

/// RFC 7523 § 2.1.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";

/// Google permits an hour; an assertion is sent at once, and this is for clocks that differ.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(5);

/// Google's access tokens live for an hour.
const MAX_LIFETIME: Duration = Duration::from_hours(1);

/// The error goes to the log; those of RFC 6749 have 22 characters at most.
const MAX_ERROR_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key_file(pem: &str) -> Value {
        json!({
            "type": "service_account",
            "private_key_id": "key-1",
            "private_key": pem,
            "client_email": "meet@project.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        })
    }

    #[test]
    fn only_a_complete_key_file_of_a_service_account_is_accepted() {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let whole = key_file(&pem.serialize_pem());
        let read = |file: &Value| ServiceAccount::from_json(&file.to_string().into(), None);
        let account = read(&whole).unwrap();
        assert_eq!(account.header.kid.as_deref(), Some("key-1"));
        assert!(!format!("{account:?}").contains("PRIVATE"));
        for member in ["type", "private_key", "client_email", "token_uri"] {
            let mut file = whole.clone();
            file.as_object_mut().unwrap().remove(member);
            assert_eq!(read(&file).unwrap_err(), ServiceAccountError::Form);
        }
        let mut user = whole;
        user["type"] = json!("authorized_user");
        assert_eq!(read(&user).unwrap_err(), ServiceAccountError::Form);
        let curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        for pem in ["", "secret", &curve.serialize_pem()] {
            let outcome = read(&key_file(pem));
            assert_eq!(outcome.unwrap_err(), ServiceAccountError::Key, "{pem}");
        }
    }
}
