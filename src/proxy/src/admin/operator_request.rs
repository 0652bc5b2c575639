//! Requests of operators that change state, and who may send them.
//!
//! The admin listener has no authentication, so such a request has to come from this host, which
//! includes `kubectl port-forward`; the permissions of a Unix socket say who may connect to it. A proxy on this host could pass on the requests of others, and a
//! browser could send one on behalf of a web page; four checks exclude that:
//!
//! 1. No header field of a proxy is present.
//! 2. `Origin` and `Sec-Fetch-Site` are absent. Browsers add at least one of them to a cross-site
//!    POST.
//! 3. There is one `Host`, and it is `localhost` or a loopback address. A page whose own name resolves
//!    to loopback (DNS rebinding) sends that name, and a client of a forwarded port the address that
//!    it connected to.
//! 4. The body is JSON of the expected shape.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use model::headers::PeerAddr;
use serde::de::DeserializeOwned;

use super::{PLAIN, text};

/// Checks the sender of a request and parses its body; `usage` is the answer to a body of another
/// shape.
pub(super) async fn parse<T: DeserializeOwned>(
    request: Request<Incoming>,
    peer: PeerAddr,
    usage: &str,
) -> Result<T, Response<Full<Bytes>>> {
    check_sender(peer, request.headers())
        .map_err(|reason| refusal(StatusCode::FORBIDDEN, reason))?;
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
        .collect()
        .await
        .map_err(|_| {
            refusal(
                StatusCode::BAD_REQUEST,
                "the body is too large or incomplete",
            )
        })?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| refusal(StatusCode::BAD_REQUEST, usage))
}

/// Checks that a request comes from this host, and from no page in a browser.
pub(super) fn check_sender(peer: PeerAddr, headers: &HeaderMap) -> Result<(), &'static str> {
    let is_local = match peer {
        PeerAddr::Ip(address) => address.to_canonical().is_loopback(),
        PeerAddr::UnixSocket => true,
    };
    if !is_local {
        return Err("only clients on this host may change state; use kubectl port-forward or ssh");
    }
    if PROXY_FIELDS.iter().any(|name| headers.contains_key(*name)) {
        return Err("a proxy sent this request; connect to the admin listener itself");
    }
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err("web pages may not change state");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_local_host(host) => Ok(()),
        _ => Err("the host has to be localhost or a loopback address"),
    }
}

/// Whether a `Host` is `localhost` or a loopback address.
fn is_local_host(host: &HeaderValue) -> bool {
    let authority = host.to_str().ok().and_then(|text| text.parse().ok());
    authority.is_some_and(|authority: Authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

/// Makes a response of one line of plain text.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    text(status, PLAIN, format!("{reason}\n"))
}

/// What proxies add to the requests that they pass on (RFC 7239, RFC 9110 § 7.6.3; Envoy, nginx).
const PROXY_FIELDS: &[&str] = &[
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-envoy-external-address",
];

/// Above any request of an operator.
const MAX_BODY_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a peer, `unix` or an address, may send a request with these fields.
    fn check(peer: &str, headers: &[(header::HeaderName, &'static str)]) -> bool {
        let peer = match peer {
            "unix" => PeerAddr::UnixSocket,
            address => PeerAddr::Ip(address.parse().unwrap()),
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        check_sender(peer, &headers).is_ok()
    }

    #[test]
    fn only_local_peers_may_change_state() {
        let host = [(header::HOST, "localhost:9090")];
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "unix"] {
            assert!(check(peer, &host), "{peer}");
        }
        for peer in ["10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1"] {
            assert!(!check(peer, &host), "{peer}");
        }
    }

    #[test]
    fn web_pages_may_not_change_state() {
        let host = (header::HOST, "localhost:9090");
        let fetch = header::HeaderName::from_static("sec-fetch-site");
        for sent in [(header::ORIGIN, "null"), (fetch, "same-origin")] {
            for peer in ["127.0.0.1", "unix"] {
                assert!(!check(peer, &[host.clone(), sent.clone()]), "{sent:?}");
            }
        }
        assert!(!check("127.0.0.1", &[]));
    }

    #[test]
    fn proxies_on_this_host_may_not_change_state() {
        let host = (header::HOST, "localhost:9090");
        for name in PROXY_FIELDS {
            let field = (header::HeaderName::from_static(name), "192.0.2.7");
            for peer in ["127.0.0.1", "unix"] {
                assert!(!check(peer, &[host.clone(), field.clone()]), "{name}");
            }
        }
        assert!(!check("127.0.0.1", &[(header::HOST, "10.0.0.7:19090")]));
    }

    #[test]
    fn site_names_and_addresses_of_other_hosts_are_not_local() {
        let local = |host| is_local_host(&HeaderValue::from_static(host));
        for host in [
            "localhost:9090",
            "LOCALHOST",
            "127.0.0.1:9090",
            "[::1]:9090",
            "127.0.0.7",
        ] {
            assert!(local(host), "{host}");
        }
        for host in [
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.7",
            "[2001:db8::1]:9090",
            "0.0.0.0:9090",
            "",
            "a b",
        ] {
            assert!(!local(host), "{host}");
        }
    }
}
