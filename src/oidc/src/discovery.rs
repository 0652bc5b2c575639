//! The provider's description of itself (OpenID Connect Discovery 1.0), and where its endpoints are
//! for us and for browsers.

use http::{Response, StatusCode};
use serde::Deserialize;
use url::{Host, Origin, Url};

use super::{
    Settings, SetupError,
    http::{FetchError, Fetcher, Wanted},
};
use model::jws::{KeySet, KeySetError};

/// Where the provider's endpoints are. Those that we call are addresses as seen from here, those
/// that browsers are sent to are addresses as seen from outside.
#[derive(Debug)]
pub(super) struct Endpoints {
    /// For browsers.
    pub(super) authorization: Url,
    /// For browsers; not every provider has one.
    pub(super) end_session: Option<Url>,
    /// For us.
    pub(super) token: Url,
    /// For us.
    pub(super) key_set: Url,
    /// For us; not every provider has one.
    pub(super) userinfo: Option<Url>,
    /// Whether every answer to the browser carries `iss` (RFC 9207 § 3).
    pub(super) issuer_in_answers: bool,
    /// Whether the provider tells us of sign-outs elsewhere (Back-Channel Logout 1.0 § 2.1).
    pub(super) back_channel_logout: bool,
}

/// Why the provider's description, or its key set, is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiscoveryError {
    #[error("{0} cannot be fetched")]
    Fetch(&'static str, #[source] FetchError),
    #[error("{0} was answered with {1}")]
    Status(&'static str, StatusCode),
    #[error("the description is not of the expected form (line {0}, column {1})")]
    Malformed(usize, usize),
    #[error("the description is of issuer {found:?} instead of {expected:?}")]
    Issuer { expected: String, found: String },
    #[error("the description's {name} {why}")]
    Endpoint {
        name: &'static str,
        why: &'static str,
    },
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    backchannel_logout_supported: bool,
}

/// The provider's two faces: the one browsers see, and the one we see.
pub(super) struct Faces {
    outside: Url,
    inside: Option<Url>,
}

// === impl Endpoints ===

impl Endpoints {
    /// Fetches the description.
    pub(super) async fn discover(
        issuer: &str,
        faces: &Faces,
        fetcher: &Fetcher,
    ) -> Result<Self, DiscoveryError> {
        let document = fetcher
            .json(Wanted::Description, &faces.description(), None)
            .await;
        let document = document.map_err(|error| DiscoveryError::Fetch("the description", error))?;
        let document = found("the description", document)?;
        Self::read(&document, issuer, faces)
    }

    /// Fetches the provider's keys.
    pub(super) async fn keys(&self, fetcher: &Fetcher) -> Result<KeySet, DiscoveryError> {
        let keys = fetcher.json(Wanted::Keys, &self.key_set, None).await;
        let keys = keys.map_err(|error| DiscoveryError::Fetch("the key set", error))?;
        Ok(KeySet::parse(&found("the key set", keys)?)?)
    }

    fn read(document: &[u8], issuer: &str, faces: &Faces) -> Result<Self, DiscoveryError> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|error| DiscoveryError::Malformed(error.line(), error.column()))?;
        // § 4.3: exactly the issuer that was asked for, or it may be anybody's description.
        if document.issuer != issuer {
            return Err(DiscoveryError::Issuer {
                expected: issuer.to_owned(),
                found: document.issuer.chars().take(MAX_QUOTED).collect(),
            });
        }
        let optional = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            authorization: faces
                .for_browsers("authorization_endpoint", &document.authorization_endpoint)?,
            end_session: optional(document.end_session_endpoint)
                .map(|url| faces.for_browsers("end_session_endpoint", &url))
                .transpose()?,
            token: faces.for_us("token_endpoint", &document.token_endpoint)?,
            key_set: faces.for_us("jwks_uri", &document.jwks_uri)?,
            userinfo: optional(document.userinfo_endpoint)
                .map(|url| faces.for_us("userinfo_endpoint", &url))
                .transpose()?,
            issuer_in_answers: document.authorization_response_iss_parameter_supported,
            back_channel_logout: document.backchannel_logout_supported,
        })
    }
}

// === impl Faces ===

impl Faces {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.query().is_none();
        let outside = Url::parse(&settings.issuer).ok().filter(web);
        let inside = settings.internal_url.clone();
        if !inside.as_ref().is_none_or(web) {
            return Err(SetupError::InternalUrl);
        }
        Ok(Self {
            outside: outside.ok_or(SetupError::Issuer)?,
            inside,
        })
    }

    /// Where the description is (§ 4.1).
    pub(super) fn description(&self) -> Url {
        let mut url = self.inside.as_ref().unwrap_or(&self.outside).clone();
        let path = format!("{}{WELL_KNOWN}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    fn for_us(&self, name: &'static str, text: &str) -> Result<Url, DiscoveryError> {
        let url = self.checked(name, text)?;
        match &self.inside {
            Some(inside) if url.origin() == self.outside.origin() => Ok(moved(url, inside)),
            _ => Ok(url),
        }
    }

    fn for_browsers(&self, name: &'static str, text: &str) -> Result<Url, DiscoveryError> {
        let url = self.checked(name, text)?;
        match &self.inside {
            Some(inside) if url.origin() == inside.origin() => Ok(moved(url, &self.outside)),
            _ => Ok(url),
        }
    }

    /// A description may point to other hosts (large providers do), but neither down to plain HTTP
    /// nor into our own network, unless the provider itself is there.
    fn checked(&self, name: &'static str, text: &str) -> Result<Url, DiscoveryError> {
        let refused = |why| DiscoveryError::Endpoint { name, why };
        let url = Url::parse(text).map_err(|_| refused("is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("contains credentials"));
        }
        let origin = url.origin();
        let known = |face: &Url| face.origin() == origin && matches!(origin, Origin::Tuple(..));
        if known(&self.outside) || self.inside.as_ref().is_some_and(known) {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err(refused("is not https"));
        }
        match url.host() {
            Some(Host::Domain(_)) => Ok(url),
            _ => Err(refused("is an address instead of a name")),
        }
    }
}

fn found(what: &'static str, answer: Response<Vec<u8>>) -> Result<Vec<u8>, DiscoveryError> {
    if answer.status() == StatusCode::OK {
        Ok(answer.into_body())
    } else {
        Err(DiscoveryError::Status(what, answer.status()))
    }
}

/// The same path and query at the origin of `to`.
fn moved(mut url: Url, to: &Url) -> Url {
    let moved = url
        .set_scheme(to.scheme())
        .and_then(|()| url.set_host(to.host_str()).map_err(drop))
        .and_then(|()| url.set_port(to.port()));
    moved.expect("both are http or https, so that scheme, host and port can be set");
    url
}

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// An issuer in an error message is shown up to this length.
const MAX_QUOTED: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OUTSIDE: &str = "https://sso.example.org/realms/main";

    fn faces(inside: Option<&str>) -> Faces {
        Faces {
            outside: Url::parse(OUTSIDE).unwrap(),
            inside: inside.map(|url| Url::parse(url).unwrap()),
        }
    }

    fn read(changes: &Value, inside: Option<&str>) -> Result<Endpoints, DiscoveryError> {
        let mut document = json!({
            "issuer": OUTSIDE,
            "authorization_endpoint": "https://sso.example.org/realms/main/auth",
            "token_endpoint": "https://sso.example.org/realms/main/token",
            "jwks_uri": "https://keys.example.net/set",
            "op_policy_uri": "",
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        Endpoints::read(document.to_string().as_bytes(), OUTSIDE, &faces(inside))
    }

    #[test]
    fn a_description_is_found_below_the_issuer_or_the_internal_address() {
        assert_eq!(
            faces(None).description().as_str(),
            "https://sso.example.org/realms/main/.well-known/openid-configuration"
        );
        assert_eq!(
            faces(Some("http://idp:8080/")).description().as_str(),
            "http://idp:8080/.well-known/openid-configuration"
        );
    }

    #[test]
    fn endpoints_are_moved_to_where_their_users_see_them() {
        let changes = json!({
            "authorization_endpoint": "http://idp:8080/realms/main/auth?a=b",
            "userinfo_endpoint": "http://idp:8080/userinfo",
            "end_session_endpoint": "https://sso.example.org/end",
        });
        let endpoints = read(&changes, Some("http://idp:8080/realms/main")).unwrap();
        assert_eq!(
            endpoints.authorization.as_str(),
            "https://sso.example.org/realms/main/auth?a=b"
        );
        assert_eq!(
            endpoints.token.as_str(),
            "http://idp:8080/realms/main/token"
        );
        assert_eq!(
            endpoints.userinfo.unwrap().as_str(),
            "http://idp:8080/userinfo"
        );
        assert_eq!(
            endpoints.end_session.unwrap().as_str(),
            "https://sso.example.org/end"
        );
        assert_eq!(endpoints.key_set.as_str(), "https://keys.example.net/set");
    }

    #[test]
    fn endpoints_in_odd_places_are_refused() {
        for url in [
            "http://169.254.169.254/latest",
            "https://169.254.169.254/latest",
            "https://[::1]/keys",
            "https://2130706433/keys",
            "http://sso.example.org/keys",
            "http://keys.example.net/",
            "file:///etc/passwd",
            "https://user:secret@sso.example.org/keys",
            "keys",
            "",
        ] {
            for name in ["jwks_uri", "token_endpoint", "authorization_endpoint"] {
                let result = read(&json!({ name: url }), None);
                assert!(
                    matches!(result, Err(DiscoveryError::Endpoint { .. })),
                    "{name} {url}"
                );
            }
        }
    }

    #[test]
    fn another_issuer_is_refused() {
        for issuer in ["https://sso.example.org/realms/main/", "https://evil", ""] {
            let result = read(&json!({ "issuer": issuer }), None);
            assert!(
                matches!(result, Err(DiscoveryError::Issuer { .. })),
                "{issuer}"
            );
        }
        let result = read(&json!({ "jwks_uri": null }), None);
        assert!(matches!(result, Err(DiscoveryError::Malformed(..))));
    }
}
