//! CONNECT tunnels through an HTTP proxy.

use http::{HeaderValue, Uri, uri};
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{OidcSetupError, http::basic};

/// A connector that opens each connection, for http and https alike, by CONNECT to the proxy.
pub(crate) fn connect_through(
    proxy: &Url,
    tcp: HttpConnector,
) -> Result<Tunnel<HttpConnector>, OidcSetupError> {
    let host = proxy
        .host_str()
        .filter(|_| proxy.scheme() == "http")
        .ok_or(OidcSetupError::Proxy)?;
    let port = proxy.port_or_known_default().unwrap_or(80);
    let address = format!("http://{host}:{port}")
        .parse()
        .map_err(|_| OidcSetupError::Proxy)?;
    let tunnel = Tunnel::new(address, tcp);
    if proxy.username().is_empty() {
        return Ok(tunnel);
    }
    Ok(tunnel.with_auth(basic_credentials(proxy)))
}

/// The URI with an explicit port: [`Tunnel`] would CONNECT to 443 for `http` URIs without one.
pub(crate) fn with_port(target: &Uri) -> Uri {
    let Some(host) = target.host().filter(|_| target.port().is_none()) else {
        return target.clone();
    };
    let port = if target.scheme() == Some(&uri::Scheme::HTTP) {
        80
    } else {
        443
    };
    let mut parts = target.clone().into_parts();
    parts.authority = format!("{host}:{port}").parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

/// `Proxy-Authorization` from the user information of the proxy's URL (RFC 7617 § 2).
fn basic_credentials(proxy: &Url) -> HeaderValue {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    basic(
        &decoded(proxy.username()),
        &decoded(proxy.password().unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_target_has_an_explicit_port() {
        let cases = [
            ("http://idp/x?y", "http://idp:80/x?y"),
            ("https://idp/x", "https://idp:443/x"),
            ("https://idp:8443/x", "https://idp:8443/x"),
            ("http://[::1]/x", "http://[::1]:80/x"),
        ];
        for (target, expected) in cases {
            assert_eq!(with_port(&target.parse().unwrap()), *expected);
        }
    }

    #[test]
    fn only_http_proxies_are_accepted() {
        let proxy = |url: &str| connect_through(&Url::parse(url).unwrap(), HttpConnector::new());
        assert!(proxy("http://user:p%40ss@proxy:3128").is_ok());
        assert!(matches!(
            proxy("socks5://proxy"),
            Err(OidcSetupError::Proxy)
        ));
    }

    #[test]
    fn credentials_are_decoded_from_the_url() {
        let proxy = Url::parse("http://user:p%40ss@proxy:3128").unwrap();
        // base64 of `user:p@ss`.
        assert_eq!(basic_credentials(&proxy), "Basic dXNlcjpwQHNz");
    }
}
