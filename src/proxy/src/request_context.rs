//! The request context: client address, scheme, request id; and the check of the `Host`, which
//! follows the route.

use std::{fmt, net::Ipv6Addr};

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};

use crate::Connection;
use model::{
    headers::{ClientAddr, ForwardedScheme, PeerAddr, TrustedProxies},
    path::PathError,
    room::RoomError,
    route::Closed,
};
use observe::traces::Traceparent;

/// Properties of a request that every phase may need, taken from its connection and head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    /// Where it comes from.
    pub(crate) client: ClientAddr,
    /// Whether the client came by HTTPS, here or at a trusted proxy.
    pub(crate) secure: bool,
    /// The proxy that forwarded the request, if its fields count.
    pub(crate) proxy: Option<TrustedProxy>,
    /// Its name in logs and on error pages.
    pub(crate) id: RequestId,
    /// Its place in a trace, if it is traced.
    pub(crate) trace: Option<Traceparent>,
}

/// The trusted proxy that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrustedProxy {
    pub(crate) addr: PeerAddr,
    /// Whether it sent `X-Forwarded-Proto`.
    pub(crate) states_scheme: bool,
}

/// The name of a request: unique over replicas and restarts, worth nothing to anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId {
    /// Random, drawn when the worker started.
    pub(crate) worker: u32,
    /// Counts the worker's requests.
    pub(crate) number: u64,
}

/// Why a request reaches no handler.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// The path has no one meaning.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path names no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The `Host` is missing, there twice, or contradicts the target.
    #[error("the request does not name one host")]
    BadHost,
    /// Another host's request.
    #[error("the request is for the host {named}, but the public address here is {own}")]
    Misdirected {
        /// The host of the request.
        named: String,
        /// The host of the public URL.
        own: String,
    },
    /// A request without TLS that cannot be redirected to HTTPS.
    #[error(
        "the request came without TLS; a proxy in front that terminates TLS has to be one of \
         listen.trusted_proxies and to send X-Forwarded-Proto: https"
    )]
    Insecure,
    /// Not a method of this route.
    #[error("this method is not for this address")]
    Method {
        /// What may be used.
        allow: &'static str,
    },
    /// The client's address sends more than its rate.
    #[error("too many requests come from this address")]
    TooManyRequests,
    /// The client's address has its share of the connections to the web servers in use.
    #[error("too many requests of this address wait for the web server")]
    ShareTaken,
    /// So many sign-ins begin, or so many guesses come.
    #[error("too many sign-ins come from this address")]
    TooManySignIns,
    /// Nothing is there.
    #[error("nothing is at this address")]
    NotFound,
    /// The path is never forwarded.
    #[error("this address is closed")]
    Closed(Closed),
}

// === impl RequestContext ===

impl RequestContext {
    pub(crate) fn of<B>(
        request: &Request<B>,
        connection: Connection,
        trusted: &TrustedProxies,
        id: RequestId,
    ) -> Self {
        let (headers, peer) = (request.headers(), connection.peer);
        let (client, scheme) = if connection.anonymous {
            (peer.into(), ForwardedScheme::Untrusted)
        } else {
            (
                ClientAddr::of(peer, headers, trusted),
                ForwardedScheme::of(peer, headers, trusted),
            )
        };
        Self {
            client,
            secure: connection.tls || scheme == ForwardedScheme::Tls,
            proxy: (scheme != ForwardedScheme::Untrusted).then_some(TrustedProxy {
                addr: peer,
                states_scheme: scheme != ForwardedScheme::Absent,
            }),
            id,
            trace: None,
        }
    }
}

// === impl RequestId ===

impl RequestId {
    /// The value of `X-Request-Id`, by which an error report finds its log line.
    pub(crate) fn header_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("hexadecimal digits can stand in a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.worker, self.number)
    }
}

/// Refuses methods other than GET and HEAD.
pub(crate) fn require_reading(method: &Method) -> Result<(), ContextError> {
    if is_reading(method) {
        Ok(())
    } else {
        Err(ContextError::Method { allow: "GET, HEAD" })
    }
}

/// Whether the method is GET or HEAD.
pub(crate) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Checks that a request names this site, once and without contradiction (RFC 9112 § 3.2).
///
/// A trusted proxy may omit the port, as nginx does with `$host`.
pub(crate) fn check_authority(
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    own: &SiteAuthority,
    proxied: bool,
) -> Result<(), ContextError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts
        .next()
        .map(|host| host.to_str().map_err(|_| ContextError::BadHost))
        .transpose()?;
    if hosts.next().is_some() {
        return Err(ContextError::BadHost);
    }
    let named = match (uri.authority(), host) {
        (Some(target), Some(host)) if !target.as_str().eq_ignore_ascii_case(host) => {
            return Err(ContextError::BadHost);
        }
        (Some(target), _) => target.as_str(),
        (None, Some(host)) => host,
        (None, None) if version == Version::HTTP_10 => "",
        (None, None) => return Err(ContextError::BadHost),
    };
    if own.is(named) || (proxied && own.is_without_port(named)) {
        Ok(())
    } else {
        Err(ContextError::Misdirected {
            named: named.to_owned(),
            own: own.as_str().to_owned(),
        })
    }
}

/// The host and port of the public URL.
#[derive(Clone, Debug)]
pub(crate) struct SiteAuthority {
    text: String,
    /// Bytes of the host in `text`.
    host_len: usize,
}

// === impl SiteAuthority ===

impl SiteAuthority {
    /// The authority of an `https` URL, which has its port only if it is not 443.
    pub(crate) fn new(text: String) -> Self {
        let host_len = split_port(&text).0.len();
        Self { text, host_len }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn host(&self) -> &str {
        &self.text[..self.host_len]
    }

    fn port(&self) -> &str {
        split_port(&self.text).1.unwrap_or(HTTPS_PORT)
    }

    /// Whether a request for `named` is for this site.
    fn is(&self, named: &str) -> bool {
        if named.eq_ignore_ascii_case(&self.text) {
            return true;
        }
        let (host, port) = split_port(named);
        port.unwrap_or(HTTPS_PORT) == self.port() && self.is_host(host)
    }

    fn is_without_port(&self, named: &str) -> bool {
        split_port(named).1.is_none() && self.is_host(named)
    }

    /// Whether two hosts are equal; an IPv6 address has several spellings (RFC 5952).
    fn is_host(&self, host: &str) -> bool {
        let ipv6 = |host: &str| -> Option<Ipv6Addr> {
            host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
        };
        host.eq_ignore_ascii_case(self.host())
            || ipv6(host).is_some_and(|address| Some(address) == ipv6(self.host()))
    }
}

/// Splits `host:port`; the colons of an IPv6 address are inside brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    }
}

/// The port of `https` URLs without one.
const HTTPS_PORT: &str = "443";

#[cfg(test)]
mod tests {
    use super::*;

    fn check_for(own: &str, uri: &str, hosts: &[&str], proxied: bool) -> Result<(), ContextError> {
        let headers = hosts
            .iter()
            .map(|host| (header::HOST, HeaderValue::try_from(*host).unwrap()))
            .collect();
        let own = SiteAuthority::new(own.to_owned());
        let uri = uri.parse().unwrap();
        check_authority(&uri, Version::HTTP_11, &headers, &own, proxied)
    }

    fn check(uri: &str, hosts: &[&str]) -> Result<(), ContextError> {
        check_for("meet.example.org", uri, hosts, false)
    }

    #[test]
    fn exactly_this_site_is_asked_for() {
        assert!(check("/", &["meet.example.org"]).is_ok());
        assert!(check("/", &["MEET.example.org:443"]).is_ok());
        assert!(check("https://meet.example.org/x", &[]).is_ok());
        for foreign in [
            "meet.example.org.",
            "x.meet.example.org",
            "meet.example.org:80",
            "meet.example.org:",
            "meet.example.org:0443",
            "10.0.0.1",
            "",
        ] {
            let error = check("/", &[foreign]).unwrap_err();
            let ContextError::Misdirected { named, own } = &error else {
                panic!("{foreign}: {error}");
            };
            assert_eq!(
                (named.as_str(), own.as_str()),
                (foreign, "meet.example.org")
            );
        }
    }

    #[test]
    fn hosts_and_ports_are_compared_by_meaning() {
        let ipv6 = "[2001:db8::1]:8443";
        for (own, named, proxied, served) in [
            (
                "meet.example.org:8443",
                "meet.example.org:8443",
                false,
                true,
            ),
            // nginx's `$host` has no port: it counts from a trusted proxy only.
            ("meet.example.org:8443", "meet.example.org", true, true),
            ("meet.example.org:8443", "Meet.Example.Org", true, true),
            ("meet.example.org:8443", "meet.example.org", false, false),
            ("meet.example.org:8443", "meet.example.org:443", true, false),
            ("meet.example.org", "meet.example.org:8443", true, false),
            ("meet.example.org", "evil.test", true, false),
            (ipv6, "[2001:db8:0:0:0:0:0:1]:8443", false, true),
            (ipv6, "[2001:DB8::1]", true, true),
            (ipv6, "[2001:db8::2]:8443", false, false),
            ("[2001:db8::1]", "[2001:db8::1]:443", false, true),
            ("[2001:db8::1]", "2001:db8::1", false, false),
        ] {
            let checked = check_for(own, "/", &[named], proxied);
            assert_eq!(checked.is_ok(), served, "{named} for {own}, {proxied}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(matches!(check("/", &[]), Err(ContextError::BadHost)));
        assert!(matches!(
            check("/", &["meet.example.org", "meet.example.org"]),
            Err(ContextError::BadHost)
        ));
        assert!(matches!(
            check("http://meet.example.org/", &["evil.test"]),
            Err(ContextError::BadHost)
        ));
    }
}
