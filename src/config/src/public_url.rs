//! The public origin of the deployment.

use std::{fmt, str::FromStr};

use http::uri::Authority;
use url::{Position, Url};

use super::problem::Fault;

/// The public origin of the deployment: `https`, host and port.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    origin: String,
    authority: Authority,
}

// === impl PublicUrl ===

impl PublicUrl {
    /// Parses `https://host[:port]`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new(what, "write it as https://meet.example.org");
        let url = Url::parse(text).map_err(|_| fault("not a URL"))?;
        if url.scheme() != "https" {
            return Err(fault("not an https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("contains a user name or password"));
        }
        if url[Position::BeforePath..] != *"/" {
            return Err(fault("has more than a host and a port"));
        }
        let authority = url[Position::BeforeHost..Position::AfterPort]
            .parse()
            .map_err(|_| fault("has no host"))?;
        Ok(Self {
            origin: url[..Position::AfterPort].to_owned(),
            authority,
            url,
        })
    }

    /// The origin as browsers write it (RFC 6454 § 6.2), as `https://meet.example.org`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port; the port is omitted if it is 443.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The URL of a path, which begins with `/` and has no query.
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }
}

/// For an address outside a configuration; the error says what to write.
impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|Fault { what, remedy }| format!("{what}; {remedy}"))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_normalised_host_and_port() {
        let url = PublicUrl::parse("https://Meet.Example.org:443/").unwrap();
        assert_eq!(url.origin(), "https://meet.example.org");
        assert_eq!(url.authority(), "meet.example.org");
        let url = PublicUrl::parse("https://meet.example.org:8443").unwrap();
        assert_eq!(url.origin(), "https://meet.example.org:8443");
        assert_eq!(url.authority(), "meet.example.org:8443");
        for (text, authority) in [
            ("https://[2001:DB8:0::1]:8443", "[2001:db8::1]:8443"),
            ("https://[2001:db8::1]", "[2001:db8::1]"),
            ("https://münchen.example", "xn--mnchen-3ya.example"),
            (
                "https://münchen.example:8443",
                "xn--mnchen-3ya.example:8443",
            ),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!(url.authority(), authority);
            assert_eq!(url.origin(), format!("https://{authority}"));
            let joined = url.join("/_gateway/callback");
            let expected = format!("https://{authority}/_gateway/callback");
            assert_eq!(joined.as_str(), expected);
        }
        let joined = url.join("/_gateway/callback");
        assert_eq!(
            joined.as_str(),
            "https://meet.example.org:8443/_gateway/callback"
        );
        // `//host` in a path must not change the host.
        assert_eq!(
            url.join("//evil.example").host_str(),
            Some("meet.example.org")
        );
    }

    #[test]
    fn a_url_that_is_not_an_https_origin_is_rejected() {
        for text in [
            "",
            "meet.example.org",
            "http://meet.example.org",
            "https://",
            "https://user@meet.example.org",
            "https://meet.example.org/jitsi",
            "https://meet.example.org/?a",
            "https://meet.example.org/#a",
            "wss://meet.example.org",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }
}
