//! Where a request really comes from, when balancers stand before us.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::{X_FORWARDED_FOR, X_FORWARDED_PROTO};

/// The client's address: the peer's, or what trusted proxies say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(IpAddr);

/// Proxies whose word on the client's address is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

// === impl ClientAddr ===

impl ClientAddr {
    /// The address of whoever sent a request, by the connection's peer and what trusted proxies
    /// appended to `X-Forwarded-For`: the last one that is not a trusted proxy itself.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let peer = plain(peer);
        if !trusted.contains(peer) {
            return Self(peer);
        }
        let mut client = peer;
        let lines = headers.get_all(X_FORWARDED_FOR);
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
            .take(MAX_HOPS);
        for hop in hops {
            // What cannot be read ends the chain: it says nothing that can be believed.
            let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else {
                break;
            };
            client = address;
            if !trusted.contains(address) {
                break;
            }
        }
        Self(client)
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.0
    }

    /// The value for an upstream's `X-Forwarded-For`.
    ///
    /// # Panics
    ///
    /// Never: addresses are ASCII.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.0.to_string()).expect("an address is plain ASCII")
    }
}

impl From<IpAddr> for ClientAddr {
    fn from(address: IpAddr) -> Self {
        Self(plain(address))
    }
}

impl std::fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// These networks, and nobody else.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whether a trusted proxy says that the client came by HTTPS.
pub fn forwarded_https(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> bool {
    trusted.contains(peer)
        && headers
            .get_all(X_FORWARDED_PROTO)
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.rsplit(',').next())
            .is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// IPv4 written as IPv6 means IPv4 (CVE-2024-24790 was a network rule that missed this).
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// An address, perhaps with a port, perhaps in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(plain(address));
    }
    if let Some(rest) = hop.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(|v6| plain(v6.into()));
    }
    let (address, port) = hop.split_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse().ok().map(IpAddr::V4)
}

/// More proxies than anybody chains.
const MAX_HOPS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted = TrustedProxies::new(vec![
            "10.0.0.0/8".parse().unwrap(),
            "::1/128".parse().unwrap(),
        ]);
        let headers = lines
            .iter()
            .map(|line| (X_FORWARDED_FOR, HeaderValue::try_from(*line).unwrap()))
            .collect();
        ClientAddr::of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.9"]),
            "198.51.100.7"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.7:4711"]),
            "198.51.100.7"
        );
        assert_eq!(client("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(
            client("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn what_cannot_be_read_ends_the_chain() {
        for line in ["a", "_hidden", "unknown", "1.2.3", "1.2.3.4:x", "[::1", ""] {
            assert_eq!(
                client("10.0.0.1", &[&format!("6.6.6.6, {line}")]),
                "10.0.0.1",
                "{line}"
            );
        }
        let lines = [&b"6.6.6.6"[..], b"\xff, 10.0.0.2"];
        let headers: HeaderMap = lines
            .into_iter()
            .map(|line| (X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap()))
            .collect();
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let peer = "10.0.0.1".parse().unwrap();
        let client = ClientAddr::of(peer, &headers, &trusted);
        assert_eq!(client.to_string(), "10.0.0.2");
    }

    #[test]
    fn https_is_believed_of_trusted_proxies_only() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let headers = |text: &'static str| {
            [(X_FORWARDED_PROTO, HeaderValue::from_static(text))]
                .into_iter()
                .collect::<HeaderMap>()
        };
        let ten = "10.0.0.1".parse().unwrap();
        assert!(forwarded_https(ten, &headers("https"), &trusted));
        assert!(!forwarded_https(ten, &headers("https, http"), &trusted));
        assert!(!forwarded_https(
            "192.0.2.1".parse().unwrap(),
            &headers("https"),
            &trusted
        ));
    }
}
