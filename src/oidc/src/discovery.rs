//! Provider metadata and key set (OpenID Connect Discovery 1.0).

use std::fmt;

use http::{Response, StatusCode};
use model::jws::{KeySet, KeySetError};
use serde::Deserialize;
use serde_json::Value;
use tracing::warn;
use url::Url;

use crate::{
    endpoint_rewriter::EndpointRewriter,
    http::{Endpoint, FetchError, Fetcher},
    supported_values::SupportedValues,
};

/// The provider's endpoints and the features that the gateway uses.
#[derive(Debug)]
pub struct ProviderMetadata {
    /// `authorization_endpoint`, as browsers reach it.
    pub authorization: Url,
    /// `end_session_endpoint`, as browsers reach it; optional (RP-Initiated Logout 1.0 § 2.1).
    pub end_session: Option<Url>,
    /// `token_endpoint`, as the gateway reaches it.
    pub token: Url,
    /// `jwks_uri`, as the gateway reaches it.
    pub key_set: Url,
    /// `userinfo_endpoint`, as the gateway reaches it; optional.
    pub userinfo: Option<Url>,
    /// Where authorization requests can be pushed; optional (RFC 9126 § 5).
    pub push_endpoint: Option<PushEndpoint>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 § 3).
    pub issuer_in_responses: bool,
    /// `backchannel_logout_supported` (Back-Channel Logout 1.0 § 2.1).
    pub back_channel_logout: bool,
    /// `frontchannel_logout_supported` (Front-Channel Logout 1.0 § 3).
    pub front_channel_logout: bool,
    /// Microsoft Graph for the people of an Entra directory: `msgraph_host`, which differs between Microsoft's clouds.
    pub(crate) graph: Url,
    /// Lists of supported values.
    pub supported: SupportedValues,
}

/// The endpoint of pushed authorization requests (RFC 9126 § 5).
#[derive(Clone, Debug)]
pub struct PushEndpoint {
    /// `pushed_authorization_request_endpoint`, as the gateway reaches it.
    pub url: Url,
    /// `require_pushed_authorization_requests`.
    pub is_required: bool,
}

/// Why the provider's metadata or key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// No response to the request for the document.
    #[error("{0} cannot be fetched")]
    Fetch(Document, #[source] FetchError),
    /// Another status than 200.
    #[error("the request for {0} was answered with {1}")]
    Status(Document, StatusCode),
    /// Not a JSON object.
    #[error("the discovery document is not a JSON object")]
    Malformed,
    /// A required member is missing or not a text.
    #[error("the discovery document has no {name}, or one that is not a text")]
    Member {
        /// The member.
        name: &'static str,
    },
    /// `issuer` differs from the configured one.
    #[error("the discovery document is of issuer {found:?} instead of {expected:?}")]
    Issuer {
        /// From the configuration.
        expected: String,
        /// From the document, cut to 200 characters.
        found: String,
    },
    /// An endpoint is not an acceptable URL.
    #[error("the discovery document's {name} {reason}")]
    Endpoint {
        /// Member of the document.
        name: &'static str,
        /// Rest of the sentence.
        reason: &'static str,
    },
    /// The key set has no usable key.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// The two documents of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `/.well-known/openid-configuration`.
    Metadata,
    /// At `jwks_uri`.
    KeySet,
}

/// The members of the discovery document (§ 3).
///
/// Required ones are exact. Providers write optional ones in several ways; what cannot be
/// interpreted counts as absent, with a warning.
#[derive(Deserialize)]
#[serde(transparent)]
struct RawMetadata(serde_json::Map<String, Value>);

// === impl ProviderMetadata ===

impl ProviderMetadata {
    /// Fetches the discovery document.
    pub(crate) async fn discover(
        issuer: &str,
        rewriter: &EndpointRewriter,
        fetcher: &Fetcher,
    ) -> Result<Self, DiscoveryError> {
        let response = fetcher
            .json(Endpoint::Discovery, &rewriter.discovery_url(), None)
            .await
            .map_err(|error| DiscoveryError::Fetch(Document::Metadata, error))?;
        Self::parse(&Document::Metadata.body(response)?, issuer, rewriter)
    }

    /// Fetches the key set.
    pub(crate) async fn fetch_keys(&self, fetcher: &Fetcher) -> Result<KeySet, DiscoveryError> {
        let response = fetcher
            .json(Endpoint::KeySet, &self.key_set, None)
            .await
            .map_err(|error| DiscoveryError::Fetch(Document::KeySet, error))?;
        Ok(KeySet::parse(&Document::KeySet.body(response)?)?)
    }

    /// Parses the discovery document of `issuer`.
    pub fn parse(
        document: &[u8],
        issuer: &str,
        rewriter: &EndpointRewriter,
    ) -> Result<Self, DiscoveryError> {
        let raw: RawMetadata =
            serde_json::from_slice(document).map_err(|_| DiscoveryError::Malformed)?;
        // § 4.3: must be identical to the configured issuer, or the document may be of another
        // tenant of the same host.
        let found = raw.required("issuer")?;
        if found != issuer {
            return Err(DiscoveryError::Issuer {
                expected: issuer.to_owned(),
                found: found.chars().take(MAX_QUOTED_CHARS).collect(),
            });
        }
        let for_browser = |name, url: &str| rewriter.for_browser(name, url);
        let for_gateway = |name, url: &str| rewriter.for_gateway(name, url);
        let (authorization, token, jwks) = ("authorization_endpoint", "token_endpoint", "jwks_uri");
        let (end_session, userinfo) = ("end_session_endpoint", "userinfo_endpoint");
        let push = "pushed_authorization_request_endpoint";
        Ok(Self {
            authorization: for_browser(authorization, raw.required(authorization)?)?,
            end_session: raw
                .optional(end_session)
                .map(|url| for_browser(end_session, url))
                .transpose()?,
            token: for_gateway(token, raw.required(token)?)?,
            key_set: for_gateway(jwks, raw.required(jwks)?)?,
            userinfo: raw
                .optional(userinfo)
                .map(|url| for_gateway(userinfo, url))
                .transpose()?,
            push_endpoint: raw
                .optional(push)
                .map(|url| {
                    Ok::<_, DiscoveryError>(PushEndpoint {
                        url: for_gateway(push, url)?,
                        is_required: raw.is_true("require_pushed_authorization_requests"),
                    })
                })
                .transpose()?,
            issuer_in_responses: raw.is_true("authorization_response_iss_parameter_supported"),
            back_channel_logout: raw.is_true("backchannel_logout_supported"),
            front_channel_logout: raw.is_true("frontchannel_logout_supported"),
            graph: graph_url(raw.optional("msgraph_host")),
            supported: SupportedValues::of(&raw.0),
        })
    }
}

// === impl RawMetadata ===

impl RawMetadata {
    fn required(&self, name: &'static str) -> Result<&str, DiscoveryError> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or(DiscoveryError::Member { name })
    }

    /// A non-empty text; `null` and an empty text count as absent.
    fn optional(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            Value::Null => None,
            other => {
                self.warn_of(name, other);
                None
            }
        }
    }

    fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                self.warn_of(name, other);
                false
            }
        }
    }

    /// Warns of a member that is not of the kind that the specification demands. The value is not
    /// logged: it may be anything.
    fn warn_of(&self, member: &str, value: &Value) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let issuer = self.required("issuer").ok();
        warn!(
            issuer,
            member,
            kind,
            "optional member of the discovery document is not of its kind; it is ignored"
        );
    }
}

// === impl Document ===

impl Document {
    fn body(self, response: Response<Vec<u8>>) -> Result<Vec<u8>, DiscoveryError> {
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(DiscoveryError::Status(self, status)),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "the discovery document",
            Self::KeySet => "the key set",
        })
    }
}

/// The base URL of Microsoft Graph at this host; that of the global cloud, if it is none.
fn graph_url(host: Option<&str>) -> Url {
    let named = host.and_then(|host| Url::parse(&format!("https://{host}")).ok());
    let is_host_only = |url: &Url| {
        url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    };
    named
        .filter(is_host_only)
        .unwrap_or_else(|| Url::parse(GRAPH).expect("the constant is a URL"))
}

/// Microsoft Graph of the global cloud.
const GRAPH: &str = "https://graph.microsoft.com";

/// Limit of the issuer quoted in an error message.
const MAX_QUOTED_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://sso.example.org/realms/main";

    fn parse(changes: &Value, internal: Option<&str>) -> Result<ProviderMetadata, DiscoveryError> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://sso.example.org/realms/main/auth",
            "token_endpoint": "https://sso.example.org/realms/main/token",
            "jwks_uri": "https://keys.example.net/set",
            "op_policy_uri": "",
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        let internal = internal.map(|url| Url::parse(url).unwrap());
        let rewriter = EndpointRewriter::new(ISSUER, internal.as_ref()).unwrap();
        ProviderMetadata::parse(document.to_string().as_bytes(), ISSUER, &rewriter)
    }

    #[test]
    fn each_endpoint_is_rewritten_for_its_caller() {
        let changes = json!({
            "authorization_endpoint": "http://idp:8080/realms/main/auth",
            "userinfo_endpoint": "https://sso.example.org/userinfo",
            "end_session_endpoint": "http://idp:8080/end",
        });
        let metadata = parse(&changes, Some("http://idp:8080/realms/main")).unwrap();
        assert_eq!(
            metadata.authorization.as_str(),
            "https://sso.example.org/realms/main/auth"
        );
        assert_eq!(metadata.token.as_str(), "http://idp:8080/realms/main/token");
        assert_eq!(
            metadata.userinfo.unwrap().as_str(),
            "http://idp:8080/userinfo"
        );
        assert_eq!(
            metadata.end_session.unwrap().as_str(),
            "https://sso.example.org/end"
        );
        assert_eq!(metadata.key_set.as_str(), "https://keys.example.net/set");
    }

    #[test]
    fn an_empty_optional_endpoint_is_absent() {
        let changes = json!({ "userinfo_endpoint": "", "end_session_endpoint": null });
        let metadata = parse(&changes, None).unwrap();
        assert!(metadata.userinfo.is_none() && metadata.end_session.is_none());
    }

    #[test]
    fn a_refused_endpoint_is_named() {
        for name in ["jwks_uri", "token_endpoint", "authorization_endpoint"] {
            let error = parse(&json!({ name: "https://[::1]/x" }), None).unwrap_err();
            let expected =
                format!("the discovery document's {name} is an IP address instead of a name");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn another_issuer_is_refused() {
        for issuer in ["https://sso.example.org/realms/main/", "https://evil", ""] {
            let result = parse(&json!({ "issuer": issuer }), None);
            assert!(
                matches!(result, Err(DiscoveryError::Issuer { .. })),
                "{issuer}"
            );
        }
    }

    #[test]
    fn a_required_member_of_another_kind_is_named() {
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ] {
            for value in [
                json!(null),
                json!(1),
                json!(["https://sso.example.org"]),
                json!({}),
            ] {
                let error = parse(&json!({ name: value }), None).unwrap_err();
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }

    #[test]
    fn an_optional_member_of_another_kind_is_ignored() {
        for value in [
            json!(null),
            json!(1),
            json!([]),
            json!({}),
            json!(true),
            json!(""),
        ] {
            let changes = json!({ "userinfo_endpoint": value, "end_session_endpoint": value });
            let metadata = parse(&changes, None).unwrap();
            assert!(metadata.userinfo.is_none() && metadata.end_session.is_none());
        }
        for (value, expected) in [
            (json!(true), true),
            (json!("true"), true),
            (json!("True"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(null), false),
            (json!(""), false),
            (json!("yes"), false),
            (json!(1), false),
            (json!([true]), false),
        ] {
            let metadata = parse(
                &json!({
                    "authorization_response_iss_parameter_supported": value,
                    "backchannel_logout_supported": value,
                }),
                None,
            )
            .unwrap();
            assert_eq!(metadata.issuer_in_responses, expected, "{value}");
            assert_eq!(metadata.back_channel_logout, expected, "{value}");
        }
        // Members that the gateway does not use may be anything.
        parse(
            &json!({ "scopes_supported": "openid", "claims_supported": null }),
            None,
        )
        .unwrap();
    }
}
