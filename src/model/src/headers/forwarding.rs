//! Which fields are forwarded to Jitsi's web server, and which of its response to the client.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{ClientAddr, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::{
    query,
    session::{RequestCookies, is_own_cookie},
};

/// Builds the fields of a request for Jitsi's web server, where the site is `authority`.
pub fn web_request_headers(from: &HeaderMap, client: &ClientAddr, authority: &str) -> HeaderMap {
    let nominated = nominated(from);
    let mut to = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if !is_dropped(name) && !contains(&nominated, name) {
            to.append(name.clone(), value.clone());
        }
    }
    if let Some(cookies) = RequestCookies::new(from).foreign() {
        to.insert(header::COOKIE, cookies);
    }
    if let Some(page) = referer(from) {
        to.insert(header::REFERER, page);
    }
    if let Ok(host) = HeaderValue::from_str(authority) {
        to.insert(X_FORWARDED_HOST, host.clone());
        to.insert(header::HOST, host);
    }
    if let Some(address) = client.header_value() {
        to.insert(X_FORWARDED_FOR, address);
    }
    to.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    to
}

/// Removes from an upstream's response the hop-by-hop fields, `Server`, and cookies that have the
/// names of the gateway's own.
pub fn strip_response(headers: &mut HeaderMap) {
    let nominated = nominated(headers);
    let dropped: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) || contains(&nominated, name))
        .cloned()
        .collect();
    for name in &dropped {
        headers.remove(name);
    }
    headers.remove(header::SERVER);
    let planted = |value: &HeaderValue| is_own_cookie(value.as_bytes().trim_ascii_start());
    if headers.get_all(header::SET_COOKIE).iter().any(planted) {
        let kept: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter(|v| !planted(v))
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for value in kept {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// The `Referer` without tokens: a page's address still has one while the browser fetches what the
/// page needs.
fn referer(from: &HeaderMap) -> Option<HeaderValue> {
    let value = from.get(header::REFERER)?;
    let Some((page, query)) = value.to_str().ok()?.split_once('?') else {
        return Some(value.clone());
    };
    match query::without_tokens(query).as_ref() {
        "" => HeaderValue::from_str(page).ok(),
        query => HeaderValue::try_from(format!("{page}?{query}")).ok(),
    }
}

fn contains(names: &[&str], name: &HeaderName) -> bool {
    names
        .iter()
        .any(|listed| name.as_str().eq_ignore_ascii_case(listed))
}

/// The field names that `Connection` makes hop-by-hop (RFC 9110 § 7.6.1).
fn nominated(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

fn is_dropped(name: &HeaderName) -> bool {
    let name = name.as_str();
    // CGI-like servers fold `-`, `_` and `.` of a name into one character (CVE-2025-64484).
    name.contains(['_', '.'])
        || name.starts_with("x-forwarded-")
        || is_hop_by_hop(name)
        || is_asserted(name)
        || matches!(
            name,
            "authorization" | "cookie" | "host" | "forwarded" | "expect" | "referer"
        )
}

/// The fields of one connection (RFC 9110 § 7.6.1) or of one proxy (§ 11.7), including those of old proxies and of
/// h2c.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// The fields that some server behind a proxy trusts for the client's identity, its address, the
/// method or the path.
fn is_asserted(name: &str) -> bool {
    matches!(
        name,
        "x-real-ip"
            | "true-client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-azure-clientip"
            | "x-envoy-external-address"
            | "x-original-forwarded-for"
            | "cf-connecting-ip"
            | "cf-connecting-ipv6"
            | "cf-pseudo-ipv4"
            | "fastly-client-ip"
            | "fly-client-ip"
            | "x-proxy-region"
            | "x-proxy-host"
            | "x-room"
            | "x-group"
            | "x-sticktoken"
            | "x-original-url"
            | "x-original-uri"
            | "x-original-method"
            | "x-rewrite-url"
            | "x-script-name"
            | "x-accel-redirect"
            | "x-envoy-original-path"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "x-auth-user"
            | "x-remote-user"
            | "remote-user"
    )
}

/// The host the client used, for the web server.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::headers::map;

    fn web(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let client = ClientAddr::from("192.0.2.7".parse::<IpAddr>().unwrap());
        web_request_headers(&map(pairs), &client, "meet.example.org")
    }

    #[test]
    fn fields_that_assert_identity_address_or_path_are_not_forwarded() {
        let names = [
            "authorization",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "forwarded",
            "x-real-ip",
            "cf-connecting-ip",
            "fastly-client-ip",
            "x-original-forwarded-for",
            "x-script-name",
            "x-envoy-original-path",
            "x_forwarded_for",
            "x.forwarded.for",
            "x-proxy-region",
            "x-original-url",
            "te",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "expect",
            "keep-alive",
            "proxy-authorization",
            "x-http-method-override",
            "trailer",
        ];
        for name in names {
            let sent = web(&[(name, "planted"), ("accept", "*/*")]);
            assert!(!sent.values().any(|value| value == "planted"), "{name}");
            assert_eq!(sent["accept"], "*/*");
        }
        let sent = web(&[
            ("host", "evil.test"),
            ("cookie", "a=1; __Host-gateway-session=x"),
        ]);
        assert_eq!(sent["host"], "meet.example.org");
        assert_eq!(sent["cookie"], "a=1");
        assert_eq!(sent["x-forwarded-for"], "192.0.2.7");
        assert_eq!(sent["x-forwarded-proto"], "https");
    }

    #[test]
    fn a_connection_header_cannot_remove_added_fields() {
        let sent = web(&[
            (
                "connection",
                "close, X-Forwarded-For, cookie, host, x-secret",
            ),
            ("x-secret", "1"),
            ("cookie", "a=1"),
        ]);
        assert_eq!(sent["x-forwarded-for"], "192.0.2.7");
        assert_eq!(sent["host"], "meet.example.org");
        assert!(!sent.contains_key("x-secret"));
    }

    #[test]
    fn the_referer_is_forwarded_without_tokens() {
        for (page, forwarded) in [
            ("https://meet.test/a", "https://meet.test/a"),
            ("https://meet.test/a?lang=de", "https://meet.test/a?lang=de"),
            ("https://meet.test/a?jwt=x", "https://meet.test/a"),
            (
                "https://meet.test/a?invite=x&lang=de&%6awt=y",
                "https://meet.test/a?lang=de",
            ),
        ] {
            assert_eq!(web(&[("referer", page)])["referer"], forwarded);
        }
    }

    #[test]
    fn responses_lose_hop_by_hop_fields_and_planted_cookies() {
        let mut response = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("proxy-authentication-info", "x"),
            ("set-cookie", "__Host-gateway-session=x; Path=/"),
            ("server", "nginx"),
            ("set-cookie", "lang=de"),
            ("x-jitsi-shard", "s1"),
        ]);
        strip_response(&mut response);
        assert_eq!(response.len(), 2);
        assert_eq!(response["set-cookie"], "lang=de");
    }

    #[test]
    fn cookies_with_own_names_are_removed_in_any_encoding_and_case() {
        let mut response = HeaderMap::new();
        for line in [
            &b"__Host-gateway-session=\xe9; Path=/"[..],
            b"__secure-Gateway-hint=x; Path=/_gateway/",
            b"lang=\xe9",
        ] {
            response.append(header::SET_COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        strip_response(&mut response);
        let left: Vec<_> = response.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(left, [&b"lang=\xe9"[..]]);
    }
}
