//! Texts with a grammar: durations, addresses, networks, origins, names.

use std::{borrow::Cow, net::SocketAddr, ops::RangeInclusive, path::Path, time::Duration};

use http::uri::Authority;
use humantime_serde::re::humantime;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    problem::{Fault, Section},
    secret::read,
};

/// A duration as people write it: `90s`, `12h`, `1m 30s`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct DurationText(String);

// === impl DurationText ===

impl DurationText {
    /// The duration, if it is within the bounds.
    pub(super) fn within(
        &self,
        bounds: RangeInclusive<Duration>,
        section: &mut Section<'_>,
        key: &str,
    ) -> Option<Duration> {
        section.keep(key, self.parse(&bounds))
    }

    fn parse(&self, bounds: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let remedy = format!(
            "write a duration from {} to {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        );
        let duration = humantime::parse_duration(self.0.trim())
            .map_err(|_| Fault::new(format!("{:?} is not a duration", self.0), &*remedy))?;
        if duration < least {
            return Err(Fault::new(format!("{} is too short", self.0), remedy));
        }
        if duration > most {
            return Err(Fault::new(format!("{} is too long", self.0), remedy));
        }
        Ok(duration)
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$",
            "examples": ["90s"],
        })
    }
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            format!("{text:?} is not an address and a port"),
            "write it as 0.0.0.0:8080 or [::]:8080",
        )
    })
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    let network: IpNet = text
        .parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
        .map_err(|_| {
            Fault::new(
                format!("{text:?} is not a network"),
                "write it as 10.0.0.0/8 or 2001:db8::/32",
            )
        })?;
    if network.prefix_len() == 0 {
        let remedy = "write the networks of the proxies in front of the gateway only";
        return Err(Fault::new("trusts everybody", remedy));
    }
    Ok(network.trunc())
}

/// Host and port of an `http://` address without a path.
pub(super) fn http_authority(text: &str) -> Result<Authority, Fault> {
    let form = "write it as http://host:port";
    let url = plain_url(text, form)?;
    match url.scheme() {
        "http" => {}
        "https" => {
            let remedy = "use http:// within a private network";
            return Err(Fault::new("https upstreams are not supported yet", remedy));
        }
        _ => return Err(Fault::new("not an http address", form)),
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
        .map_err(|_| Fault::new("has no usable host", form))
}

/// An absolute address without credentials and fragment.
pub(super) fn plain_url(text: &str, form: &str) -> Result<Url, Fault> {
    let url = Url::parse(text).map_err(|_| Fault::new("not an address", form))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("has a user name or password in it", form));
    }
    if url.fragment().is_some() {
        return Err(Fault::new("has a fragment", form));
    }
    Ok(url)
}

/// A host name, as XMPP domains are.
pub(super) fn domain(text: &str) -> Result<String, Fault> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        let remedy = "write a host name without scheme and port, as meet.jitsi";
        Err(Fault::new(format!("{text:?} is not a domain"), remedy))
    }
}

/// A name that goes into tokens and requests: printable and not empty.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let remedy = "write printable characters without spaces around them";
    if text.is_empty() {
        Err(Fault::new("empty", remedy))
    } else if text.trim() != text || text.chars().any(char::is_control) {
        Err(Fault::new(
            "has spaces or line breaks where none belong",
            remedy,
        ))
    } else {
        Ok(text.to_owned())
    }
}

/// The text of a PEM file of certificate authorities.
pub(super) fn authorities(path: &Path) -> Result<Vec<u8>, Fault> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let pem = read(path)?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem);
    match certificates.next() {
        Some(Ok(_)) if certificates.all(|certificate| certificate.is_ok()) => Ok(pem),
        _ => Err(Fault::new(
            format!("{} is not a PEM file of certificates", path.display()),
            "write the authorities' certificates into it",
        )),
    }
}

/// Seconds, for bounds.
pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_bounds() {
        let parse = |text: &str| DurationText::from(text).parse(&(seconds(10)..=seconds(3600)));
        assert_eq!(parse("2m").unwrap(), seconds(120));
        assert_eq!(parse("1m 30s").unwrap(), seconds(90));
        for text in ["", "60", "9s", "61m", "-5m", "soon"] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.remedy, "write a duration from 10s to 1h", "{text}");
        }
    }

    #[test]
    fn upstreams_are_plain_http_origins() {
        assert_eq!(http_authority("http://web").unwrap(), "web:80");
        assert_eq!(http_authority("http://[::1]:8000/").unwrap(), "[::1]:8000");
        for text in [
            "web:8000",
            "http://",
            "http://web/x",
            "ftp://web",
            "http://a@web",
        ] {
            assert!(http_authority(text).is_err(), "{text}");
        }
        let fault = http_authority("https://web").unwrap_err();
        assert!(fault.what.contains("not supported yet"));
    }

    #[test]
    fn networks_are_networks_of_somebody() {
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        for text in ["0.0.0.0/0", "::/0", "localhost", "10.0.0.0/33"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domains() {
        assert_eq!(domain("Meet.Jitsi").unwrap(), "meet.jitsi");
        for text in ["", "a b", "a..b", "http://a", "a:5222", "-a", "a/b"] {
            assert!(domain(text).is_err(), "{text}");
        }
    }
}
