//! Which responses a shared cache stores (RFC 9111 § 3).

use http::{HeaderMap, StatusCode, header};

use super::{ContentCoding, ResponseDirectives, directives::varies_by_coding_only};

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStorable {
    /// The status is not 200.
    #[error("its status is not 200")]
    Status,
    /// It sets a cookie, so it may concern one person.
    #[error("it sets a cookie")]
    Cookie,
    /// `Cache-Control` forbids it.
    #[error("Cache-Control forbids it")]
    Forbidden,
    /// It depends on other request fields than `Accept-Encoding`.
    #[error("it varies by other fields than Accept-Encoding")]
    Varies,
    /// Its coding is not one that was asked for.
    #[error("its content coding was not asked for")]
    Coding,
    /// It is a page, which a server may have made for its reader.
    #[error("it is a page")]
    Page,
    /// It is not fresh.
    #[error("it is not fresh")]
    Stale,
    /// It is longer than the limit.
    #[error("it is too long")]
    TooLong,
}

/// Checks the head of a response to a request without cookies, credentials and ranges; returns the coding
/// of its body.
pub fn check_storable(
    status: StatusCode,
    headers: &HeaderMap,
    asked: ContentCoding,
) -> Result<ContentCoding, NotStorable> {
    if status != StatusCode::OK || headers.contains_key(header::CONTENT_RANGE) {
        return Err(NotStorable::Status);
    }
    if headers.contains_key(header::SET_COOKIE) || headers.contains_key("set-cookie2") {
        return Err(NotStorable::Cookie);
    }
    // Such a server thinks of credentials although there are none.
    if ResponseDirectives::of(headers).forbids_storing
        || headers.contains_key(header::WWW_AUTHENTICATE)
    {
        return Err(NotStorable::Forbidden);
    }
    if !varies_by_coding_only(headers) {
        return Err(NotStorable::Varies);
    }
    if is_page(headers) {
        return Err(NotStorable::Page);
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => ContentCoding::Identity,
        (Some(name), None) => name
            .to_str()
            .ok()
            .and_then(ContentCoding::parse)
            .ok_or(NotStorable::Coding)?,
        _ => return Err(NotStorable::Coding),
    };
    if coding == ContentCoding::Identity || coding == asked {
        Ok(coding)
    } else {
        Err(NotStorable::Coding)
    }
}

/// Without a type, a browser may take the body for a page.
fn is_page(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let Some(Ok(content_type)) = content_type.map(|value| value.to_str()) else {
        return true;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| media_type.eq_ignore_ascii_case(page))
}
