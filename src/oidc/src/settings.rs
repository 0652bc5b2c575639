//! Configuration of the relying party.

use std::time::Duration;

use model::{
    authorization_parameters::AuthorizationParameters,
    clock::Timestamp,
    provider::{ProviderId, SubjectScope},
};
use secrecy::SecretString;
use url::Url;

use crate::{GroupLookup, PushPolicy, client_assertion::KeyAuthentication};

/// The provider, and the gateway's client registration there.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Which of several providers it is; `None` for the only one (`[oidc]`).
    pub listed: Option<ListedProvider>,
    /// How the `sub` and `sid` of the provider are written in this deployment.
    pub scope: SubjectScope,
    /// Issuer identifier; compared byte by byte with `iss`.
    pub issuer: String,
    /// Base URL of the provider on the internal network, if it differs from the issuer.
    pub internal_url: Option<Url>,
    /// `client_id` of the registration.
    pub client_id: String,
    /// Audiences that ID tokens may have beside the client without an `azp`.
    pub other_audiences: Vec<String>,
    /// `client_secret`; `None` for a public client, and one that has a key.
    pub client_secret: Option<SecretString>,
    /// How the client authenticates at the token endpoint.
    pub client_auth: ClientAuth,
    /// Requested scopes, including `openid`.
    pub scopes: Vec<String>,
    /// Additional parameters of authorization requests.
    pub parameters: AuthorizationParameters,
    /// Claims that the identity is read from.
    pub claims: ClaimPaths,
    /// Accepted signature algorithms by JOSE name (`RS256`). `none` and HS* are refused.
    pub algorithms: Vec<String>,
    /// PEM certificates of authorities that replace the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// HTTP proxy for requests to the provider.
    pub http_proxy: Option<Url>,
    /// Limit of one request to the provider, from connecting to the last byte of the response.
    pub timeout: Duration,
    /// Tolerated difference between the provider's clock and the gateway's.
    pub leeway: Duration,
    /// How often the provider is asked again about a session in use; `None` for never.
    pub revalidate: Option<Duration>,
    /// Whether authorization requests are pushed.
    pub push: PushPolicy,
    /// Whether the provider answers by a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    pub form_post: bool,
    /// Whether sessions without a refresh token are renewed by the browser, with `prompt=none`.
    pub silent_renewal: bool,
    /// The directory that has the groups which no token has; `None` if tokens have all.
    pub group_lookup: Option<GroupLookup>,
    /// `redirect_uri`: `<public_url>/_gateway/callback`, with the id of one of several providers.
    pub redirect_uri: Url,
    /// `post_logout_redirect_uri` of RP-initiated logout.
    pub signed_out_uri: Url,
    /// Accepts e-mail addresses without the provider's `email_verified`. Weakens e-mail rules.
    pub insecure_trust_unverified_email: bool,
}

/// One of several providers, as people choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProvider {
    /// The id in the configuration.
    pub id: ProviderId,
    /// The name for people.
    pub name: String,
    /// The domains of e-mail addresses of its people, in lower case.
    pub email_domains: Vec<String>,
}

/// Client authentication at the token endpoint (OpenID Connect Core 1.0 § 9).
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`.
    Key(KeyAuthentication),
}

// === impl ClientAuth ===

impl ClientAuth {
    /// `notAfter` of the certificate by which the provider knows the client; `None` without one.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        match self {
            Self::Basic | Self::Post => None,
            Self::Key(authentication) => authentication.key.certificate_end(),
        }
    }
}

/// Dotted paths of claims, such as `realm_access.roles`.
///
/// Names may have dots: the longest name that is there takes precedence, so that namespaced claims
/// (`https://example.org/groups`) and client ids (`resource_access.meet.example.org.roles`) can be
/// named.
#[derive(Clone, Debug)]
pub struct ClaimPaths {
    /// Stable user id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Display name, if there is none at `name`; the first that there is.
    pub name_fallbacks: Vec<String>,
    /// E-mail address.
    pub email: String,
    /// Whether the provider verified the address.
    pub email_verified: String,
    /// URL of a picture.
    pub avatar: String,
    /// Region, by which a bridge is selected.
    pub region: Option<String>,
    /// Groups: an array of strings or of objects with a name, one string with spaces or commas, or
    /// an object.
    pub groups: String,
}

// === impl OidcSettings ===

impl OidcSettings {
    /// The provider's id in metrics, logs and audit lines; `None` for the only provider.
    pub fn provider_id(&self) -> Option<&str> {
        self.listed.as_ref().map(|listed| listed.id.as_str())
    }

    /// An address of the gateway for the provider, beside that after a logout:
    /// `backchannel-logout` or `frontchannel-logout`.
    pub fn address(&self, endpoint: &str) -> String {
        let path = match self.scope.provider() {
            Some(provider) => format!("{endpoint}/{provider}"),
            None => endpoint.to_owned(),
        };
        let address = self.signed_out_uri.join(&path);
        address.map_or(path, String::from)
    }
}

// === impl ListedProvider ===

impl ListedProvider {
    /// Whether people with this e-mail address sign in here.
    pub fn has_address(&self, address: &str) -> bool {
        let domain = address
            .rsplit_once('@')
            .map(|(_, domain)| model::identity::fold_email(domain.trim()));
        domain.is_some_and(|domain| self.email_domains.contains(&domain))
    }
}

/// Why a relying party cannot be created from the settings.
#[derive(Debug, thiserror::Error)]
pub enum OidcSetupError {
    /// `issuer`: another scheme than http or https, or a query.
    #[error("the issuer is not an http or https URL without a query")]
    Issuer,
    /// `internal_url`: another scheme than http or https, or a query.
    #[error("the internal URL is not an http or https URL without a query")]
    InternalUrl,
    /// `algorithms` has an unknown or symmetric algorithm, or `none`.
    #[error("{0:?} is not an algorithm that an id token may be signed with")]
    Algorithm(String),
    /// Requests have to be pushed, and the provider's metadata name no endpoint for it.
    #[error(
        "the provider has no pushed_authorization_request_endpoint, which oidc.pushed_authorization_requests = \
         \"required\" needs"
    )]
    NoPushEndpoint,
    /// `algorithms` is empty.
    #[error("no algorithm is allowed for id tokens")]
    NoAlgorithm,
    /// `ca_pem` is not PEM.
    #[error("the certificate authorities are not valid PEM")]
    AuthorityPem(#[source] rustls::pki_types::pem::Error),
    /// `ca_pem` has no certificate.
    #[error("the file of certificate authorities has no certificate")]
    NoAuthority,
    /// rustls refuses a certificate or the protocol versions.
    #[error("tls cannot be set up")]
    Tls(#[source] rustls::Error),
    /// `http_proxy`: another scheme than http, or no host.
    #[error("the proxy is not an http URL")]
    Proxy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_of_an_address_selects_its_provider_in_either_case() {
        let listed = ListedProvider {
            id: "kite".parse().unwrap(),
            name: String::new(),
            email_domains: vec!["kite.example.org".to_owned()],
        };
        for (address, expected) in [
            ("ann@kite.example.org", true),
            ("ann@KITE.example.org ", true),
            // The Kelvin sign is not the letter `K`.
            ("ann@\u{212A}ite.example.org", false),
            ("ann@a.kite.example.org", false),
            ("kite.example.org", false),
        ] {
            assert_eq!(listed.has_address(address), expected, "{address}");
        }
    }
}
