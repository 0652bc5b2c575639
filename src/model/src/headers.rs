//! What of a request's head may go on, in which direction.
//!
//! Towards Prosody nothing is copied: its heads are written from scratch (`upstream::prosody`).
//! Towards Jitsi's web server everything goes on but what would lie about who asks, and back to the
//! client everything but what belongs to the connection (RFC 9110 § 7.6.1).

mod client_addr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub use self::client_addr::{ClientAddr, TrustedProxies, forwarded_https};
use crate::{
    query,
    session::{CookieJar, is_own_cookie},
};

/// The head of a request for Jitsi's web server.
pub fn for_web(from: &HeaderMap, client: &ClientAddr, authority: &str) -> HeaderMap {
    let nominated = nominated(from);
    let mut to = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if !is_dropped(name) && !is_named(&nominated, name) {
            to.append(name.clone(), value.clone());
        }
    }
    if let Some(cookies) = CookieJar::new(from).foreign() {
        to.insert(header::COOKIE, cookies);
    }
    if let Some(page) = referer(from) {
        to.insert(header::REFERER, page);
    }
    if let Ok(host) = HeaderValue::from_str(authority) {
        to.insert(X_FORWARDED_HOST, host.clone());
        to.insert(header::HOST, host);
    }
    to.insert(X_FORWARDED_FOR, client.header_value());
    to.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    to
}

/// Removes from an upstream's answer what belongs to the connection or would speak in our name.
pub fn strip_response(headers: &mut HeaderMap) {
    let nominated = nominated(headers);
    let dropped: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) || is_named(&nominated, name))
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

/// Whether a list header names a token, as `Connection: keep-alive, Upgrade`.
pub fn list_contains(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// Where a request says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOrigin {
    /// A page of this site.
    SameOrigin,
    /// A page of another site, or one that hides.
    CrossOrigin,
    /// No page: a native app or a tool. Browsers always tell on what is not a plain GET.
    Absent,
}

/// Judges by `Origin`, else by `Sec-Fetch-Site`, who a WebSocket or BOSH request comes from.
pub fn request_origin(headers: &HeaderMap, own_origin: &str) -> RequestOrigin {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None)
            if origin
                .as_bytes()
                .eq_ignore_ascii_case(own_origin.as_bytes()) =>
        {
            RequestOrigin::SameOrigin
        }
        (Some(_), _) => RequestOrigin::CrossOrigin,
        (None, _) => match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"same-origin") => RequestOrigin::SameOrigin,
            Some(_) => RequestOrigin::CrossOrigin,
            None => RequestOrigin::Absent,
        },
    }
}

/// Whether a browser is going to show the answer as a page: only then may it be sent to sign in.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::UPGRADE) || headers.contains_key("x-requested-with") {
        return false;
    }
    match headers.get(SEC_FETCH_MODE).map(HeaderValue::as_bytes) {
        Some(mode) => mode == b"navigate",
        // Browsers before 2023, and tools.
        None => headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html")),
    }
}

/// The page that a request is made from, without tokens: browsers fetch what a page needs while its
/// address still has one.
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

fn is_named(names: &[&str], name: &HeaderName) -> bool {
    names
        .iter()
        .any(|named| name.as_str().eq_ignore_ascii_case(named))
}

/// The names that `Connection` declares to belong to the connection.
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
    // Servers that turn names into variables fold `-`, `_` and `.` into one (CVE-2025-64484).
    name.contains(['_', '.'])
        || name.starts_with("x-forwarded-")
        || is_hop_by_hop(name)
        || is_asserted(name)
        || matches!(
            name,
            "authorization" | "cookie" | "host" | "forwarded" | "expect" | "referer"
        )
}

/// What is about one connection (RFC 9110 § 7.6.1), plus what old proxies and h2c use.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Names by which some server behind us would believe who or where somebody is, or which path was
/// meant.
fn is_asserted(name: &str) -> bool {
    matches!(
        name,
        "x-real-ip"
            | "true-client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-proxy-region"
            | "x-proxy-host"
            | "x-room"
            | "x-group"
            | "x-sticktoken"
            | "x-original-url"
            | "x-original-uri"
            | "x-rewrite-url"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "x-auth-user"
            | "x-remote-user"
            | "remote-user"
    )
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The client's address, for upstreams.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme the client used, for upstreams.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Which shard a room is on, for Jitsi's client.
pub const X_JITSI_SHARD: HeaderName = HeaderName::from_static("x-jitsi-shard");
/// The name of a request in the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn web(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let client = ClientAddr::from("192.0.2.7".parse::<std::net::IpAddr>().unwrap());
        for_web(&map(pairs), &client, "meet.example.org")
    }

    #[test]
    fn nothing_that_lies_goes_on() {
        let names = [
            "authorization",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "forwarded",
            "x-real-ip",
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
    fn a_connection_header_cannot_remove_what_we_add() {
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
    fn the_page_before_is_told_without_its_tokens() {
        for (page, told) in [
            ("https://meet.test/a", "https://meet.test/a"),
            ("https://meet.test/a?lang=de", "https://meet.test/a?lang=de"),
            ("https://meet.test/a?jwt=x", "https://meet.test/a"),
            (
                "https://meet.test/a?invite=x&lang=de&%6awt=y",
                "https://meet.test/a?lang=de",
            ),
        ] {
            assert_eq!(web(&[("referer", page)])["referer"], told);
        }
    }

    #[test]
    fn answers_lose_what_belongs_to_the_connection_and_planted_cookies() {
        let mut answer = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "__Host-gateway-session=x; Path=/"),
            ("server", "nginx"),
            ("set-cookie", "lang=de"),
            ("x-jitsi-shard", "s1"),
        ]);
        strip_response(&mut answer);
        assert_eq!(answer.len(), 2);
        assert_eq!(answer["set-cookie"], "lang=de");
    }

    #[test]
    fn no_encoding_plants_a_cookie_of_ours() {
        let mut answer = HeaderMap::new();
        for line in [
            &b"__Host-gateway-session=\xe9; Path=/"[..],
            b"__secure-Gateway-hint=x; Path=/_gateway/",
            b"lang=\xe9",
        ] {
            answer.append(header::SET_COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        strip_response(&mut answer);
        let left: Vec<_> = answer.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(left, [&b"lang=\xe9"[..]]);
    }

    #[test]
    fn only_own_pages_are_own() {
        let own = "https://meet.example.org";
        let by_origin = |origin: &'static str| request_origin(&map(&[("origin", origin)]), own);
        assert_eq!(
            by_origin("https://meet.example.org"),
            RequestOrigin::SameOrigin
        );
        for foreign in [
            "null",
            "",
            "https://meet.example.org.evil.test",
            "https://evil-meet.example.org",
            "http://meet.example.org",
            "https://meet.example.org:8443",
            "https://x.meet.example.org",
        ] {
            assert_eq!(by_origin(foreign), RequestOrigin::CrossOrigin, "{foreign}");
        }
        let twice = map(&[
            ("origin", "https://meet.example.org"),
            ("origin", "https://evil.test"),
        ]);
        assert_eq!(request_origin(&twice, own), RequestOrigin::CrossOrigin);
        assert_eq!(request_origin(&map(&[]), own), RequestOrigin::Absent);
        assert_eq!(
            request_origin(&map(&[("sec-fetch-site", "same-origin")]), own),
            RequestOrigin::SameOrigin
        );
        assert_eq!(
            request_origin(&map(&[("sec-fetch-site", "same-site")]), own),
            RequestOrigin::CrossOrigin
        );
    }

    #[test]
    fn only_pages_are_navigations() {
        assert!(is_navigation(&map(&[("sec-fetch-mode", "navigate")])));
        assert!(is_navigation(&map(&[("accept", "text/html,*/*;q=0.8")])));
        for not in [
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")][..],
            &[("accept", "*/*")],
            &[
                ("accept", "text/html"),
                ("x-requested-with", "XMLHttpRequest"),
            ],
            &[("accept", "text/html"), ("upgrade", "websocket")],
            &[],
        ] {
            assert!(!is_navigation(&map(not)), "{not:?}");
        }
    }
}
