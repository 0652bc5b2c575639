//! Translation of endpoint URLs between the provider's public and internal addresses.

use url::{Host, Origin, Url};

use crate::{OidcSetupError, discovery::DiscoveryError};

/// The provider's public base URL, and its internal one if the gateway uses another.
///
/// Some providers build the discovery document from the `Host` of the request, others always name
/// their public host. The gateway's own requests go to the internal origin, browsers to the public
/// one, whichever of the two the document names.
pub struct EndpointRewriter {
    public: Url,
    internal: Option<Url>,
}

// === impl EndpointRewriter ===

impl EndpointRewriter {
    /// Creates the rewriter of a provider by its issuer and its URL on the internal network.
    pub fn new(issuer: &str, internal: Option<&Url>) -> Result<Self, OidcSetupError> {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.query().is_none();
        let public = Url::parse(issuer).ok().filter(is_web);
        if !internal.is_none_or(is_web) {
            return Err(OidcSetupError::InternalUrl);
        }
        Ok(Self {
            public: public.ok_or(OidcSetupError::Issuer)?,
            internal: internal.cloned(),
        })
    }

    /// URL of the discovery document (OpenID Connect Discovery 1.0 § 4.1).
    pub(crate) fn discovery_url(&self) -> Url {
        let mut url = self.internal.as_ref().unwrap_or(&self.public).clone();
        let path = format!("{}{WELL_KNOWN}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// An endpoint that the gateway calls.
    pub(crate) fn for_gateway(
        &self,
        name: &'static str,
        text: &str,
    ) -> Result<Url, DiscoveryError> {
        let url = self.parse(name, text)?;
        match &self.internal {
            Some(internal) if url.origin() == self.public.origin() => {
                Ok(with_origin(url, internal))
            }
            _ => Ok(url),
        }
    }

    /// An endpoint that browsers are redirected to.
    pub(crate) fn for_browser(
        &self,
        name: &'static str,
        text: &str,
    ) -> Result<Url, DiscoveryError> {
        let url = self.parse(name, text)?;
        match &self.internal {
            Some(internal) if url.origin() == internal.origin() => {
                Ok(with_origin(url, &self.public))
            }
            _ => Ok(url),
        }
    }

    /// Parses an endpoint and refuses server-side request forgery: a document may name other hosts
    /// (large providers do), but neither plain HTTP nor an IP address, unless the provider itself
    /// is there.
    fn parse(&self, name: &'static str, text: &str) -> Result<Url, DiscoveryError> {
        let refuse = |reason| DiscoveryError::Endpoint { name, reason };
        let url = Url::parse(text).map_err(|_| refuse("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("contains credentials"));
        }
        let origin = url.origin();
        let is_here = |base: &Url| base.origin() == origin && matches!(origin, Origin::Tuple(..));
        if is_here(&self.public) || self.internal.as_ref().is_some_and(is_here) {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err(refuse("is not https"));
        }
        match url.host() {
            Some(Host::Domain(_)) => Ok(url),
            _ => Err(refuse("is an IP address instead of a name")),
        }
    }
}

/// The URL's path and query at the origin of `base`.
fn with_origin(mut url: Url, base: &Url) -> Url {
    url.set_scheme(base.scheme())
        .and_then(|()| url.set_host(base.host_str()).map_err(drop))
        .and_then(|()| url.set_port(base.port()))
        // Infallible: both are http or https, so scheme, host and port can be replaced.
        .expect("both URLs are http or https");
    url
}

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://sso.example.org/realms/main";

    fn rewriter(internal: Option<&str>) -> EndpointRewriter {
        let internal = internal.map(|url| Url::parse(url).unwrap());
        EndpointRewriter::new(PUBLIC, internal.as_ref()).unwrap()
    }

    #[test]
    fn discovery_document_is_below_the_internal_url_or_else_the_issuer() {
        assert_eq!(
            rewriter(None).discovery_url().as_str(),
            "https://sso.example.org/realms/main/.well-known/openid-configuration"
        );
        assert_eq!(
            rewriter(Some("http://idp:8080/")).discovery_url().as_str(),
            "http://idp:8080/.well-known/openid-configuration"
        );
    }

    #[test]
    fn gateway_endpoints_move_to_the_internal_origin_and_browser_endpoints_to_the_public_one() {
        let rewriter = rewriter(Some("http://idp:8080/realms/main"));
        let gateway = |text| rewriter.for_gateway("x", text).unwrap().to_string();
        let browser = |text| rewriter.for_browser("x", text).unwrap().to_string();
        let [public, internal, other] = [
            "https://sso.example.org/realms/main/auth?a=b",
            "http://idp:8080/realms/main/auth?a=b",
            "https://keys.example.net/set",
        ];
        assert_eq!(gateway(public), internal);
        assert_eq!(gateway(internal), internal);
        assert_eq!(gateway(other), other);
        assert_eq!(browser(public), public);
        assert_eq!(browser(internal), public);
        assert_eq!(browser(other), other);
    }

    #[test]
    fn endpoints_on_plain_http_or_ip_addresses_are_refused() {
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
            let rewriter = rewriter(None);
            for result in [
                rewriter.for_gateway("jwks_uri", url),
                rewriter.for_browser("authorization_endpoint", url),
            ] {
                assert!(
                    matches!(result, Err(DiscoveryError::Endpoint { .. })),
                    "{url}"
                );
            }
        }
    }
}
