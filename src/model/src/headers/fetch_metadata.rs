//! `Origin` and Fetch Metadata: whether a request comes from a page of this site, and whether its
//! response will be a page.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The origin of the page that made a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOrigin {
    /// A page of this site.
    SameOrigin,
    /// A page of another site, or one with an opaque origin.
    CrossOrigin,
    /// No page: a native app or a tool. Browsers send `Origin` or `Sec-Fetch-Site` with everything
    /// but a plain GET.
    Absent,
}

/// Determines a WebSocket's or BOSH request's origin by `Origin`, else by `Sec-Fetch-Site`.
///
/// Two `Origin` fields are [`RequestOrigin::CrossOrigin`], whatever their values.
pub fn request_origin(headers: &HeaderMap, own_origin: &str) -> RequestOrigin {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if is_origin(origin.as_bytes(), own_origin) => {
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

/// Whether a serialized origin is the site's own, which has its port only if it is not 443.
/// Browsers omit that port, too; clients of other kinds may not.
fn is_origin(origin: &[u8], own: &str) -> bool {
    if origin.eq_ignore_ascii_case(own.as_bytes()) {
        return true;
    }
    let has_port = own
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    !has_port
        && origin
            .strip_suffix(b":443")
            .is_some_and(|origin| origin.eq_ignore_ascii_case(own.as_bytes()))
}

/// Whether the browser will show the response as a page. Only such a request may be redirected to
/// a login.
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

/// Whether a page in a browser sent the request. Native apps send no Fetch Metadata and no
/// `User-Agent` of a browser: `okhttp/…` on Android, `… CFNetwork/… Darwin/…` or none on iOS.
pub fn is_from_browser(headers: &HeaderMap) -> bool {
    let browser = |agent: &HeaderValue| agent.as_bytes().starts_with(b"Mozilla/");
    headers.contains_key(SEC_FETCH_MODE) || headers.get(header::USER_AGENT).is_some_and(browser)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::map;

    #[test]
    fn only_the_exact_origin_is_the_same_origin() {
        let own = "https://meet.example.org";
        let by_origin = |origin: &'static str| request_origin(&map(&[("origin", origin)]), own);
        assert_eq!(
            by_origin("https://meet.example.org"),
            RequestOrigin::SameOrigin
        );
        for other in [
            "null",
            "",
            "https://meet.example.org.evil.test",
            "https://evil-meet.example.org",
            "http://meet.example.org",
            "https://meet.example.org:8443",
            "https://x.meet.example.org",
        ] {
            assert_eq!(by_origin(other), RequestOrigin::CrossOrigin, "{other}");
        }
        for (origin, own, same) in [
            ("https://meet.example.org:443", own, true),
            ("HTTPS://Meet.example.org:443", own, true),
            ("https://192.0.2.1:443", "https://192.0.2.1", true),
            ("https://[2001:db8::1]:443", "https://[2001:db8::1]", true),
            ("https://meet.example.org:443:443", own, false),
            (
                "https://meet.example.org:443",
                "https://meet.example.org:8443",
                false,
            ),
            (
                "https://meet.example.org:8443:443",
                "https://meet.example.org:8443",
                false,
            ),
        ] {
            let found = request_origin(&map(&[("origin", origin)]), own);
            assert_eq!(found == RequestOrigin::SameOrigin, same, "{origin} {own}");
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
    fn only_requests_for_pages_are_navigations() {
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
