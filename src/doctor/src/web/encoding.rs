//! Whether the gateway can complete the answers of the web server: it reads neither compressed text
//! nor text whose markup is not ASCII.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use pages::inject;

use crate::{Finding, FindingKind, client::HttpResponse};

/// Checks the form of an answer to a request with `Accept-Encoding: identity`.
pub(super) fn evaluate(
    sent: &str,
    response: &HttpResponse,
    (encoded, charset): (FindingKind, FindingKind),
) -> Result<(), Finding> {
    let header = |name| {
        let value = response.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if inject::is_encoded(&response.headers) {
        let got = format!("Content-Encoding: {}", header(CONTENT_ENCODING));
        return Err(Finding::error(encoded)
            .with_exchange(format!("{sent}, Accept-Encoding: identity"), got)
            .with_remedy(
                "the web server compresses although that was not asked for, so the gateway passes its answer \
                 without user names, sign-in and options",
                "switch brotli_static, gzip_static or zstd_static from always to on, and remove a cache \
                 between the gateway and the web server that ignores Accept-Encoding",
            ));
    }
    let content_type = header(CONTENT_TYPE);
    let label = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, label) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(label)
    });
    let marked = [b"\xfe\xff", b"\xff\xfe"]
        .iter()
        .any(|mark| response.body.starts_with(&mark[..]));
    if marked || label.is_some_and(|label| !inject::is_ascii_compatible(label)) {
        let got = if marked {
            "a byte order mark of UTF-16".to_owned()
        } else {
            format!("Content-Type: {content_type}")
        };
        return Err(Finding::error(charset).with_exchange(sent, got).with_remedy(
            "the gateway completes text in UTF-8 or another superset of ASCII only, and passes this \
             answer without user names, sign-in and options",
            "save the files in UTF-8, and remove the other charset from nginx's configuration",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn answers_that_cannot_be_completed_are_findings() {
        for (name, value, body, expected) in [
            (
                "content-type",
                "text/html; charset=utf-8",
                &b"<html>"[..],
                None,
            ),
            (
                "content-type",
                "text/html; charset=iso-8859-1",
                b"<html>",
                None,
            ),
            ("content-encoding", "identity", b"<html>", None),
            ("content-encoding", "br", b"\x0b", Some("W1.encoding")),
            ("content-encoding", "zstd", b"\x28", Some("W1.encoding")),
            (
                "content-type",
                "text/html; charset=UTF-16",
                b"",
                Some("W1.charset"),
            ),
            (
                "content-type",
                "text/html",
                b"\xff\xfe<\0",
                Some("W1.charset"),
            ),
        ] {
            let name = HeaderName::from_static(name);
            let response = HttpResponse {
                headers: HeaderMap::from_iter([(name, HeaderValue::from_static(value))]),
                body: body.to_vec().into(),
                ..HttpResponse::default()
            };
            let kinds = (FindingKind::PageEncoded, FindingKind::PageCharset);
            let id = evaluate("", &response, kinds)
                .err()
                .map(|finding| finding.id());
            assert_eq!(id.as_deref(), expected, "{value}");
        }
    }
}
