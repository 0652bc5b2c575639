//! URLs of other systems: upstreams, providers, embedding sites.

use http::uri::Authority;
use url::Url;

use crate::problem::Fault;

/// Parses an absolute URL without credentials and fragment; `form` is the remedy.
pub(crate) fn parse_url(text: &str, form: &str) -> Result<Url, Fault> {
    let url = Url::parse(text).map_err(|_| Fault::new("not a URL", form))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("contains a user name or password", form));
    }
    if url.fragment().is_some() {
        return Err(Fault::new("contains a fragment", form));
    }
    Ok(url)
}

/// Parses an `https` URL without credentials and fragment; `form` is the remedy.
pub(crate) fn parse_https_url(text: &str, form: &str) -> Result<Url, Fault> {
    let url = parse_url(text, form)?;
    if url.scheme() == "https" {
        Ok(url)
    } else {
        Err(Fault::new("not an https URL", form))
    }
}

/// Parses `http://host[:port]`; returns host and port.
pub(crate) fn parse_http_authority(text: &str) -> Result<Authority, Fault> {
    let form = "write it as http://host:port";
    let url = parse_url(text, form)?;
    match url.scheme() {
        "http" => {}
        "https" => {
            let remedy = "use http:// within a private network";
            return Err(Fault::new("https upstreams are not supported yet", remedy));
        }
        _ => return Err(Fault::new("not an http URL", form)),
    }
    let host = url
        .host_str()
        .ok_or_else(|| Fault::new("has no host", form))?;
    if url.path() != "/" || url.query().is_some() {
        return Err(Fault::new("has more than a host and a port", form));
    }
    let port = url.port_or_known_default().unwrap_or(80);
    format!("{host}:{port}")
        .parse()
        .map_err(|_| Fault::new("has an invalid host", form))
}

/// Parses the origin of a site, in the form of a `frame-ancestors` source (CSP Level 3 § 6.4.2).
pub(crate) fn parse_https_origin(text: &str) -> Result<String, Fault> {
    let form = "write it as https://moodle.example.org";
    let url = parse_https_url(text, form)?;
    // A `;` or `,` in the host would begin another directive or policy.
    let is_plain = |host: &str| {
        host.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'))
    };
    if !url.host_str().is_some_and(is_plain) {
        return Err(Fault::new("has an invalid host", form));
    }
    if url.path() != "/" || url.query().is_some() {
        return Err(Fault::new("has more than a host and a port", form));
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_plain_http_origin() {
        assert_eq!(parse_http_authority("http://web").unwrap(), "web:80");
        let loopback = parse_http_authority("http://[::1]:8000/").unwrap();
        assert_eq!(loopback, "[::1]:8000");
        for text in [
            "web:8000",
            "http://",
            "http://web/x",
            "ftp://web",
            "http://a@web",
        ] {
            assert!(parse_http_authority(text).is_err(), "{text}");
        }
        let fault = parse_http_authority("https://web").unwrap_err();
        assert!(fault.what.contains("not supported yet"));
    }

    #[test]
    fn an_embedding_site_is_an_https_origin() {
        let origin = parse_https_origin("https://Moodle.example.org:443/").unwrap();
        assert_eq!(origin, "https://moodle.example.org");
        for text in [
            "http://moodle.example.org",
            "https://a;b",
            "https://a/b",
            "https://a?b",
            "https://*.example.org",
        ] {
            assert!(parse_https_origin(text).is_err(), "{text}");
        }
    }
}
