//! What an operator asks for: only from this machine (which is what `kubectl port-forward` is, too),
//! and by no page in a browser, which always says where it comes from.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::{PLAIN, text};

/// Reads an order, or answers why it is none; `how` says how it is written.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request<Incoming>,
    peer: IpAddr,
    how: &str,
) -> Result<T, Response<Full<Bytes>>> {
    if !peer.to_canonical().is_loopback() {
        let why = "orders are taken from this machine only; kubectl port-forward will do";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        let why = "orders are not taken from pages";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    // Pages of a site whose name was made to lead here send it as they send others.
    let mut hosts = headers.get_all(header::HOST).iter();
    if !matches!((hosts.next(), hosts.next()), (Some(host), None) if is_here(host)) {
        let why = "orders are taken by localhost or an address, not by another name";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let Ok(body) = body else {
        let why = "the body is too large or did not come";
        return Err(refused(StatusCode::BAD_REQUEST, why));
    };
    serde_json::from_slice(&body.to_bytes()).map_err(|_| refused(StatusCode::BAD_REQUEST, how))
}

/// Whether a host is this machine or an address, as operators write it, and no name of a site.
fn is_here(host: &HeaderValue) -> bool {
    let authority = host.to_str().ok().and_then(|text| text.parse().ok());
    authority.is_some_and(|authority: Authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

/// A line that says why not.
pub(super) fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    text(status, PLAIN, format!("{why}\n"))
}

/// More than any order.
const MAX_BODY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sites_are_not_this_machine() {
        let here = |host| is_here(&HeaderValue::from_static(host));
        for host in [
            "localhost:9090",
            "LOCALHOST",
            "127.0.0.1:9090",
            "[::1]:9090",
            "10.0.0.7",
        ] {
            assert!(here(host), "{host}");
        }
        for host in [
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
        ] {
            assert!(!here(host), "{host}");
        }
    }
}
