//! The heads around a completion: what to ask the upstream for, and what the answer may say.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE,
        ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
        LAST_MODIFIED, PRAGMA, RANGE,
    },
};

use super::{Script, csp};

/// How an upstream packed its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// By gzip.
    Gzip,
}

/// What kind of answer is to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Html,
    JavaScript,
}

/// Makes a request ask for the whole answer, unpacked and fresh, as completing needs it.
pub fn ask_for_whole(headers: &mut HeaderMap) {
    for name in PARTIAL_OR_CONDITIONAL {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// How the answer is packed, or nothing if it is none that can be completed: another kind, an
/// error, a part, or packed in a way that cannot be unpacked here.
pub(super) fn completable(status: StatusCode, headers: &HeaderMap, kind: Kind) -> Option<Coding> {
    let whole = status == StatusCode::OK && !headers.contains_key(CONTENT_RANGE);
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let right_kind = kind
        .media_types()
        .iter()
        .any(|own| own.eq_ignore_ascii_case(media_type));
    (whole && right_kind).then(|| coding(headers)).flatten()
}

/// Takes out of the answer's head what was true only of the upstream's body, keeps the answer out
/// of every cache, and lets a content security policy allow the script.
pub(super) fn complete(headers: &mut HeaderMap, script: Option<&Script>) {
    for name in OF_ANOTHER_BODY {
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
            headers.append(&name, csp::allow(policy, script));
        }
    }
}

// === impl Kind ===

impl Kind {
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

fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Some(Coding::Identity);
    };
    let coding = coding.to_str().ok()?.trim().to_ascii_lowercase();
    match (coding.as_str(), codings.next()) {
        ("identity" | "", None) => Some(Coding::Identity),
        ("gzip" | "x-gzip", None) => Some(Coding::Gzip),
        _ => None,
    }
}

const PARTIAL_OR_CONDITIONAL: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

const OF_ANOTHER_BODY: [HeaderName; 11] = [
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

    use super::{super::Completion, *};

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
    fn requests_ask_for_the_whole_answer() {
        let mut request = headers(&[
            ("accept-encoding", "gzip, br"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"x\""),
            ("accept", "text/html"),
        ]);
        ask_for_whole(&mut request);
        assert_eq!(
            request,
            headers(&[("accept-encoding", "identity"), ("accept", "text/html")])
        );
    }

    #[test]
    fn only_whole_answers_of_the_right_kind_are_completed() {
        let html = |pairs: &[_]| {
            let all = [&[("content-type", "Text/HTML; charset=utf-8")], pairs].concat();
            completable(StatusCode::OK, &headers(&all), Kind::Html)
        };
        assert_eq!(html(&[]), Some(Coding::Identity));
        assert_eq!(html(&[("content-encoding", "GZip")]), Some(Coding::Gzip));
        assert_eq!(html(&[("content-encoding", "br")]), None);
        assert_eq!(html(&[("content-encoding", "gzip, gzip")]), None);
        assert_eq!(html(&[("content-range", "bytes 0-1/2")]), None);
        let page = headers(&[("content-type", "text/html")]);
        assert_eq!(completable(StatusCode::NOT_FOUND, &page, Kind::Html), None);
        assert_eq!(completable(StatusCode::OK, &page, Kind::JavaScript), None);
        assert_eq!(
            completable(StatusCode::OK, &HeaderMap::new(), Kind::Html),
            None
        );
        let config = headers(&[("content-type", "application/javascript")]);
        assert_eq!(
            completable(StatusCode::OK, &config, Kind::JavaScript),
            Some(Coding::Identity)
        );
    }

    #[test]
    fn nothing_is_left_that_described_the_other_body() {
        let mut answer = headers(&[
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("etag", "\"x\""),
            ("last-modified", "then"),
            ("accept-ranges", "bytes"),
            ("cache-control", "public, max-age=60"),
            ("content-type", "text/html"),
            ("x-jitsi-shard", "s1"),
        ]);
        complete(&mut answer, None);
        assert_eq!(
            answer,
            headers(&[
                ("cache-control", "no-store"),
                ("content-type", "text/html"),
                ("x-jitsi-shard", "s1"),
            ])
        );
    }

    #[test]
    fn every_policy_allows_the_script() {
        let script = Completion::new("https://meet.test", &Map::new())
            .script(crate::inject::Person::Name(None));
        let mut answer = HeaderMap::new();
        let policy = |text: &'static str| HeaderValue::from_static(text);
        answer.append(CONTENT_SECURITY_POLICY, policy("script-src 'self'"));
        answer.append(CONTENT_SECURITY_POLICY, policy("img-src *"));
        answer.append(
            CONTENT_SECURITY_POLICY_REPORT_ONLY,
            policy("default-src 'none'"),
        );
        complete(&mut answer, Some(&script));
        let hash = script.csp_source();
        let policies: Vec<_> = answer.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(
            policies[0].to_str().unwrap(),
            format!("script-src 'self' {hash}")
        );
        assert_eq!(policies[1], "img-src *");
        assert_eq!(
            answer[CONTENT_SECURITY_POLICY_REPORT_ONLY]
                .to_str()
                .unwrap(),
            format!("default-src {hash}")
        );
    }
}
