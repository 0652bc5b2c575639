//! The client's address and scheme, behind trusted load balancers.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::{X_FORWARDED_FOR, X_FORWARDED_PROTO};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerAddr {
    /// A host.
    Ip(IpAddr),
    /// A process of this machine, which has no address: the reverse proxy that opened the Unix socket. The
    /// permissions of the socket decide which process that is, so its forwarding headers are trusted.
    UnixSocket,
}

/// The client's address: the peer's, or the one that trusted proxies forwarded.
///
/// Never an IPv4-mapped IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(NearestAddr);

/// The address that is nearest to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NearestAddr {
    /// The client's own.
    Client(IpAddr),
    /// That of a proxy whose client is unknown: an entry of `X-Forwarded-For` could not be read.
    Proxy(IpAddr),
    /// None: the proxy behind a Unix socket names no client.
    Unknown,
}

/// The networks of proxies whose `X-Forwarded-*` fields are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

// === impl PeerAddr ===

impl PeerAddr {
    /// The address of a host.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::UnixSocket => None,
        }
    }
}

impl From<IpAddr> for PeerAddr {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl std::fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::UnixSocket => f.write_str("unix"),
        }
    }
}

// === impl ClientAddr ===

impl ClientAddr {
    /// Determines a request's client address from the connection's peer and `X-Forwarded-For`.
    ///
    /// Each trusted proxy appends its peer's address, so the list is read from its end: the first
    /// address that is not a trusted proxy is the client. Addresses before it may be forged.
    pub fn of(peer: PeerAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        Self::behind(peer, headers, trusted).0
    }

    /// The client's address, and the number of trusted proxies between it and the gateway.
    fn behind(peer: PeerAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> (Self, usize) {
        if !trusted.trust(peer) {
            return (peer.into(), 0);
        }
        let (mut client, mut proxies) = (Self::from(peer), 1);
        let lines = headers.get_all(X_FORWARDED_FOR);
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
            .take(MAX_HOPS);
        for hop in hops {
            // An unreadable entry ends the chain: everything before it may be forged.
            let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else {
                client = client.into_proxy();
                break;
            };
            client = address.into();
            if !trusted.contains(address) {
                break;
            }
            proxies += 1;
        }
        (client, proxies)
    }

    /// The address; that of a proxy, if the proxy does not name its client. `None` behind a Unix socket whose
    /// proxy names none.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            NearestAddr::Client(address) | NearestAddr::Proxy(address) => Some(address),
            NearestAddr::Unknown => None,
        }
    }

    /// The address, if it is the client's own: no proxy named a client that could not be read.
    pub fn known(&self) -> Option<IpAddr> {
        match self.0 {
            NearestAddr::Client(address) => Some(address),
            NearestAddr::Proxy(_) | NearestAddr::Unknown => None,
        }
    }

    /// The value for an upstream's `X-Forwarded-For`, if there is an address.
    pub fn header_value(&self) -> Option<HeaderValue> {
        let address = self.ip()?.to_string();
        // Infallible: addresses are ASCII.
        Some(HeaderValue::try_from(address).expect("an address is plain ASCII"))
    }

    /// The same address, as that of a proxy whose client is unknown.
    fn into_proxy(self) -> Self {
        Self(match self.0 {
            NearestAddr::Client(address) => NearestAddr::Proxy(address),
            nearest @ (NearestAddr::Proxy(_) | NearestAddr::Unknown) => nearest,
        })
    }
}

impl From<IpAddr> for ClientAddr {
    fn from(address: IpAddr) -> Self {
        Self(NearestAddr::Client(unmapped(address)))
    }
}

impl From<PeerAddr> for ClientAddr {
    fn from(peer: PeerAddr) -> Self {
        match peer {
            PeerAddr::Ip(address) => address.into(),
            PeerAddr::UnixSocket => Self(NearestAddr::Unknown),
        }
    }
}

impl std::fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ip() {
            Some(address) => address.fmt(f),
            // As in `Forwarded` (RFC 7239 § 6.2).
            None => f.write_str("unknown"),
        }
    }
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Trusts these networks only.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the address is in a trusted network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = unmapped(address);
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether the forwarding headers of a peer count.
    pub fn trust(&self, peer: PeerAddr) -> bool {
        match peer {
            PeerAddr::Ip(address) => self.contains(address),
            PeerAddr::UnixSocket => true,
        }
    }
}

/// How the client's connection to the outermost server of the deployment was secured, as the
/// trusted proxies say in `X-Forwarded-Proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedScheme {
    /// `https`, or `wss`, which Traefik sends for a WebSocket.
    Tls,
    /// Any other value.
    Plain,
    /// The trusted proxy sent no `X-Forwarded-Proto`.
    Absent,
    /// The peer is not a trusted proxy, so the field does not count.
    Untrusted,
}

// === impl ForwardedScheme ===

impl ForwardedScheme {
    /// Determines the scheme of a request.
    ///
    /// A proxy replaces the field or appends the scheme of its own client to it, so that the
    /// outermost trusted proxy's value is as far from the end as that proxy is in
    /// `X-Forwarded-For`, or is the first of fewer values.
    pub fn of(peer: PeerAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        // Most requests come from clients or through one proxy that sends one value.
        if !trusted.trust(peer) {
            return Self::Untrusted;
        }
        let lines = headers.get_all(X_FORWARDED_PROTO);
        let mut values = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
            .take(MAX_HOPS)
            .map(<[u8]>::trim_ascii);
        let Some(last) = values.next() else {
            return Self::Absent;
        };
        let (_, proxies) = ClientAddr::behind(peer, headers, trusted);
        let outermost = values
            .take(proxies.saturating_sub(1))
            .last()
            .unwrap_or(last);
        if [&b"https"[..], b"wss"]
            .iter()
            .any(|scheme| outermost.eq_ignore_ascii_case(scheme))
        {
            Self::Tls
        } else {
            Self::Plain
        }
    }
}

/// What limits count as one client: an IPv4 address, or the /64 that an IPv6 client owns at least.
pub fn client_network(client: IpAddr) -> IpAddr {
    match unmapped(client) {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Unwraps an IPv4-mapped IPv6 address: network rules for IPv4 would miss it (CVE-2024-24790).
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Parses `address`, `address:port`, `[address]` or `[address]:port`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(unmapped(address));
    }
    if let Some(rest) = hop.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        return address
            .parse::<Ipv6Addr>()
            .ok()
            .map(|v6| unmapped(v6.into()));
    }
    let (address, port) = hop.split_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse().ok().map(IpAddr::V4)
}

/// Bounds the work on a forged list; real chains have two or three proxies.
const MAX_HOPS: usize = 16;

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        client_addr(peer, lines).to_string()
    }

    /// A peer; `unix` is a Unix socket.
    fn peer(text: &str) -> PeerAddr {
        match text {
            "unix" => PeerAddr::UnixSocket,
            address => PeerAddr::Ip(address.parse().unwrap()),
        }
    }

    fn client_addr(from: &str, lines: &[&str]) -> ClientAddr {
        let trusted = TrustedProxies::new(vec![
            "10.0.0.0/8".parse().unwrap(),
            "::1/128".parse().unwrap(),
        ]);
        let headers = lines
            .iter()
            .map(|line| (X_FORWARDED_FOR, HeaderValue::try_from(*line).unwrap()))
            .collect();
        ClientAddr::of(peer(from), &headers, &trusted)
    }

    #[test]
    fn forwarded_addresses_of_untrusted_peers_are_ignored() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_outside_the_trusted_networks_is_the_client() {
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
        let inside = client_addr("10.0.0.1", &["10.0.0.3"]);
        assert_eq!(inside.known(), inside.ip());
        assert!(inside.known().is_some());
    }

    #[test]
    fn a_proxy_behind_a_unix_socket_is_trusted_and_has_no_address() {
        for (lines, known) in [
            (&["198.51.100.7"][..], Some("198.51.100.7")),
            (&["6.6.6.6, 198.51.100.7, 10.0.0.9"], Some("198.51.100.7")),
            (&["10.0.0.3"], Some("10.0.0.3")),
            (&[], None),
            // nginx names a client by Unix socket so.
            (&["6.6.6.6, unix:"], None),
        ] {
            let client = client_addr("unix", lines);
            let address = known.map(|text| text.parse().unwrap());
            assert_eq!(
                (client.known(), client.ip()),
                (address, address),
                "{lines:?}"
            );
            assert_eq!(client.to_string(), known.unwrap_or("unknown"));
            let value = client.header_value();
            assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), known);
        }
    }

    #[test]
    fn an_unreadable_entry_ends_the_chain() {
        for line in ["a", "_hidden", "unknown", "1.2.3", "1.2.3.4:x", "[::1", ""] {
            let client = client_addr("10.0.0.1", &[&format!("6.6.6.6, {line}")]);
            assert_eq!(client.to_string(), "10.0.0.1", "{line}");
            assert_eq!(client.ip(), "10.0.0.1".parse().ok(), "{line}");
            assert_eq!(client.known(), None, "{line}");
        }
        let lines = [&b"6.6.6.6"[..], b"\xff, 10.0.0.2"];
        let headers: HeaderMap = lines
            .into_iter()
            .map(|line| (X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap()))
            .collect();
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = ClientAddr::of(peer("10.0.0.1"), &headers, &trusted);
        assert_eq!(client.to_string(), "10.0.0.2");
    }

    fn scheme(from: &str, proto: &[&str], forwarded_for: &[&str]) -> ForwardedScheme {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let lines = |name: &HeaderName, values: &[&str]| {
            let name = name.clone();
            let lines: Vec<_> = values
                .iter()
                .map(|value| (name.clone(), HeaderValue::try_from(*value).unwrap()))
                .collect();
            lines
        };
        let headers = lines(&X_FORWARDED_PROTO, proto)
            .into_iter()
            .chain(lines(&X_FORWARDED_FOR, forwarded_for))
            .collect();
        ForwardedScheme::of(peer(from), &headers, &trusted)
    }

    #[test]
    fn a_forwarded_scheme_counts_only_from_trusted_proxies() {
        use ForwardedScheme::{Absent, Plain, Tls, Untrusted};
        for (peer, proto, expected) in [
            ("10.0.0.1", &["https"][..], Tls),
            ("::ffff:10.0.0.1", &["HTTPS"], Tls),
            // Traefik's word for a WebSocket over TLS.
            ("10.0.0.1", &["wss"], Tls),
            ("10.0.0.1", &[" Wss "], Tls),
            ("10.0.0.1", &["ws"], Plain),
            ("10.0.0.1", &["http"], Plain),
            ("10.0.0.1", &["httpss"], Plain),
            ("10.0.0.1", &[""], Plain),
            ("10.0.0.1", &[], Absent),
            ("unix", &["https"], Tls),
            ("unix", &["http"], Plain),
            ("unix", &[], Absent),
            ("192.0.2.1", &["https"], Untrusted),
            ("192.0.2.1", &[], Untrusted),
        ] {
            assert_eq!(scheme(peer, proto, &[]), expected, "{peer} {proto:?}");
        }
    }

    #[test]
    fn of_several_schemes_the_outermost_trusted_proxys_counts() {
        use ForwardedScheme::{Plain, Tls};
        for (proto, forwarded_for, expected) in [
            // The outer proxy terminates TLS, the inner one appends the scheme that it saw.
            (&["https, http"][..], &["192.0.2.7, 10.0.0.2"][..], Tls),
            (&["https", "http"], &["192.0.2.7", "10.0.0.2"], Tls),
            (
                &["https, http, http"],
                &["192.0.2.7, 10.0.0.3, 10.0.0.2"],
                Tls,
            ),
            (&["http, https"], &["192.0.2.7, 10.0.0.2"], Plain),
            // The inner proxy replaces the value, or passes it on.
            (&["https"], &["192.0.2.7, 10.0.0.2"], Tls),
            // One trusted proxy: what its client wrote does not count.
            (&["https, http"], &["192.0.2.7"], Plain),
            (&["https, http"], &["10.0.0.2, 192.0.2.7"], Plain),
            (&["https, http"], &[], Plain),
            (&["http, https"], &["192.0.2.7"], Tls),
            (&["https, http, http"], &["192.0.2.7, 10.0.0.2"], Plain),
        ] {
            let found = scheme("10.0.0.1", proto, forwarded_for);
            assert_eq!(found, expected, "{proto:?} {forwarded_for:?}");
        }
    }
}
