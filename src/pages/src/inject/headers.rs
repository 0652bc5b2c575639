//! Header fields of requests and responses with an injection.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE,
        ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
        LAST_MODIFIED, PRAGMA, RANGE,
    },
};

use super::{InjectedScript, csp};

/// Kinds of documents with an injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaKind {
    Html,
    JavaScript,
}

/// Why a page or `config.js` passes without the gateway's injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Another media type than that of the kind.
    MediaType,
    /// A content coding, although none was asked for.
    Encoding,
    /// A character encoding in which the script would not be text.
    Charset,
}

/// Makes a request ask for the complete document without content coding: no range, no condition,
/// `Accept-Encoding: identity`.
///
/// No coding is decoded here. Jitsi's web servers honour `identity`; nginx's `gzip_static always`
/// would not, but cannot serve the page, which nginx assembles per request (SSI).
pub fn request_full_representation(headers: &mut HeaderMap) {
    for name in RANGES_AND_CONDITIONS {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether the response is a complete document, rather than an error or a range.
pub(super) fn is_complete(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && !headers.contains_key(CONTENT_RANGE)
}

/// What of a complete document's head prevents an injection, if anything does.
pub(super) fn obstacle(headers: &HeaderMap, kind: MediaKind) -> Option<Obstacle> {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let mut known = kind.media_types().iter();
    if !known.any(|candidate| candidate.eq_ignore_ascii_case(media_type)) {
        return Some(Obstacle::MediaType);
    }
    if is_encoded(headers) {
        return Some(Obstacle::Encoding);
    }
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let charset = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charset
        .is_some_and(|(_, label)| !is_ascii_compatible(label))
        .then_some(Obstacle::Charset)
}

/// Whether markup in an encoding of this label has the bytes of ASCII. Of the encodings of browsers,
/// UTF-16, ISO-2022-JP and "replacement" have not (Encoding Standard § 4.2).
pub fn is_ascii_compatible(label: &str) -> bool {
    let label = label.trim_matches(['"', '\'', ' ']).to_ascii_lowercase();
    let others = [
        "utf-16",
        "utf16",
        "utf-32",
        "utf32",
        "unicode",
        "csunicode",
        "ucs-2",
        "ucs-4",
        "iso-10646-ucs",
        "iso-2022",
        "csiso2022",
        "hz-gb",
        "replacement",
        "utf-7",
    ];
    !others.iter().any(|other| label.starts_with(other)) || label.starts_with("unicode-1-1-utf-8")
}

/// Whether the body has a content coding (RFC 9110 § 8.4).
pub fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !matches!(coding.as_bytes().trim_ascii(), b"" | b"identity"))
}

/// Removes the fields that describe the upstream's body, forbids caching, and allows the script in
/// each content security policy.
pub(super) fn adapt_response(headers: &mut HeaderMap, script: Option<&InjectedScript>) {
    for name in BODY_METADATA {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(script) = script else {
        return;
    };
    for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
        let policies: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        for policy in policies {
            headers.append(&name, csp::allow_script(policy, script));
        }
    }
}

// === impl MediaKind ===

impl MediaKind {
    const fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Html => &["text/html"],
            Self::JavaScript => &[
                "application/javascript",
                "text/javascript",
                "application/x-javascript",
            ],
        }
    }
}

const RANGES_AND_CONDITIONS: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

const BODY_METADATA: [HeaderName; 11] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    ETAG,
    LAST_MODIFIED,
    ACCEPT_RANGES,
    EXPIRES,
    PRAGMA,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::{
        super::{Injector, PageIdentity},
        *,
    };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn request_has_no_range_condition_or_other_coding() {
        let mut request = headers(&[
            ("accept-encoding", "gzip, br"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"x\""),
            ("accept", "text/html"),
        ]);
        request_full_representation(&mut request);
        assert_eq!(
            request,
            headers(&[("accept-encoding", "identity"), ("accept", "text/html")])
        );
    }

    #[test]
    fn only_complete_documents_of_the_kind_qualify() {
        let range = headers(&[("content-range", "bytes 0-1/2")]);
        assert!(is_complete(StatusCode::OK, &HeaderMap::new()));
        assert!(!is_complete(StatusCode::OK, &range));
        assert!(!is_complete(StatusCode::NOT_FOUND, &HeaderMap::new()));
        let (html, script) = (MediaKind::Html, MediaKind::JavaScript);
        let (media_type, charset) = (Some(Obstacle::MediaType), Some(Obstacle::Charset));
        for (content_type, kind, expected) in [
            ("Text/HTML; charset=utf-8", html, None),
            ("text/html", html, None),
            ("text/html; charset=windows-1252", html, None),
            ("text/html; charset=Shift_JIS", html, None),
            ("text/html; charset=\"UTF-8\"", html, None),
            ("text/html; charset=utf-16", html, charset),
            ("text/html;CharSet=\"UTF-16LE\"", html, charset),
            ("text/html; charset=iso-2022-jp", html, charset),
            ("application/xhtml+xml", html, media_type),
            ("text/plain", html, media_type),
            ("text/html", script, media_type),
            ("application/javascript", script, None),
            ("application/javascript; charset=utf8", script, None),
            ("text/javascript; charset=utf-16be", script, charset),
        ] {
            let found = obstacle(&headers(&[("content-type", content_type)]), kind);
            assert_eq!(found, expected, "{content_type}");
        }
        assert_eq!(obstacle(&HeaderMap::new(), html), media_type);
        let packed = headers(&[("content-type", "text/html"), ("content-encoding", "br")]);
        assert_eq!(obstacle(&packed, html), Some(Obstacle::Encoding));
    }

    #[test]
    fn content_codings_other_than_identity_are_detected() {
        let encoded = |pairs: &[_]| is_encoded(&headers(pairs));
        assert!(!encoded(&[]));
        assert!(!encoded(&[("content-encoding", " identity")]));
        for coding in ["gzip", "GZip", "br", "gzip, gzip", "identity, br"] {
            assert!(encoded(&[("content-encoding", coding)]), "{coding}");
        }
    }

    #[test]
    fn response_keeps_no_metadata_of_the_upstreams_body() {
        let mut response = headers(&[
            ("content-length", "5"),
            ("content-encoding", "identity"),
            ("etag", "\"x\""),
            ("last-modified", "then"),
            ("accept-ranges", "bytes"),
            ("cache-control", "public, max-age=60"),
            ("content-type", "text/html"),
            ("x-jitsi-shard", "s1"),
        ]);
        adapt_response(&mut response, None);
        assert_eq!(
            response,
            headers(&[
                ("cache-control", "no-store"),
                ("content-type", "text/html"),
                ("x-jitsi-shard", "s1"),
            ])
        );
    }

    #[test]
    fn each_policy_of_the_response_allows_the_script() {
        let script = Injector::new("https://meet.test", &Map::new())
            .script
            .render(PageIdentity::Name(None));
        let mut response = HeaderMap::new();
        let policy = |text: &'static str| HeaderValue::from_static(text);
        response.append(CONTENT_SECURITY_POLICY, policy("script-src 'self'"));
        response.append(CONTENT_SECURITY_POLICY, policy("img-src *"));
        response.append(
            CONTENT_SECURITY_POLICY_REPORT_ONLY,
            policy("default-src 'none'"),
        );
        adapt_response(&mut response, Some(&script));
        let hash = script.csp_source();
        let policies: Vec<_> = response.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(
            policies[0].to_str().unwrap(),
            format!("script-src 'self' {hash}")
        );
        assert_eq!(policies[1], "img-src *");
        assert_eq!(
            response[CONTENT_SECURITY_POLICY_REPORT_ONLY]
                .to_str()
                .unwrap(),
            format!("default-src {hash}")
        );
    }
}
