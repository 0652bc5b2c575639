//! Response headers of the pages, above all the content security policy.

use http::{
    HeaderMap, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::Content;

/// All header fields of a page. `style_hash` is a source expression of the policy.
pub(super) fn response_headers(
    content: &Content<'_>,
    language: &str,
    style_hash: &str,
    has_logo: bool,
) -> HeaderMap {
    let fixed = |text: &'static str| HeaderValue::from_static(text);
    let policy = HeaderValue::try_from(policy(content, style_hash, has_logo))
        // Infallible: keywords, hashes and origins are ASCII.
        .expect("policies are ASCII");
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (REFERRER_POLICY, fixed(referrer_policy(content))),
        (CACHE_CONTROL, fixed("no-store")),
    ]);
    if let Ok(language) = HeaderValue::from_str(language) {
        headers.insert(CONTENT_LANGUAGE, language);
    }
    if let Content::Unavailable { .. } | Content::SignOutNotKept { .. } = content {
        headers.insert(RETRY_AFTER, fixed(RETRY_SECONDS));
    }
    headers
}

/// The directive that permits frames of the gateway's own origin and of these sites, which spaces separate. Without
/// sites no space follows: a field value must not end with one (RFC 9113 § 8.2.1).
pub fn frame_ancestors(sites: &str) -> String {
    let own = "frame-ancestors 'self'";
    if sites.is_empty() {
        own.to_owned()
    } else {
        format!("{own} {sites}")
    }
}

/// Adds the sites that may frame the page to the policy, and the gateway's own origin.
pub(super) fn add_frame_ancestors(policy: &HeaderValue, sites: &str) -> Option<HeaderValue> {
    let policy = policy.to_str().ok()?;
    let ancestors = format!("{};", frame_ancestors(sites));
    HeaderValue::try_from(policy.replacen(NO_ANCESTORS, &ancestors, 1)).ok()
}

fn policy(content: &Content<'_>, style_hash: &str, has_logo: bool) -> String {
    let mut scripts = content
        .script()
        .map_or("'none'", |script| script.hash())
        .to_owned();
    let mut more = String::new();
    if has_logo {
        more.push_str("img-src data:; ");
    }
    if matches!(content, Content::Wait { .. } | Content::Call { .. }) {
        more.push_str("connect-src 'self'; ");
    }
    if let Content::Call { script, .. } = content {
        // The script embeds the meeting from its own host.
        let origin = script.origin().ascii_serialization();
        scripts.push(' ');
        scripts.push_str(&origin);
        more.push_str("frame-src ");
        more.push_str(&origin);
        more.push_str("; ");
    }
    let ancestors = match content {
        Content::LogoutFrame => "frame-ancestors 'self';",
        _ => NO_ANCESTORS,
    };
    format!(
        "default-src 'none'; style-src {style_hash}; script-src {scripts}; {more}form-action 'self'; \
         {ancestors} base-uri 'none'"
    )
}

/// Pages with forms send their origin: the gateway checks the `Origin` of a POST, and browsers send
/// `null` under `no-referrer` (Fetch § 3.2.6). The URL of such a page may contain an invitation, so
/// no page sends more than the origin.
fn referrer_policy(content: &Content<'_>) -> &'static str {
    match content {
        Content::Start { .. } | Content::Join { .. } => "strict-origin",
        _ => "no-referrer",
    }
}

const NO_ANCESTORS: &str = "frame-ancestors 'none';";

/// A restart takes less than ten seconds.
const RETRY_SECONDS: &str = "10";
