//! The heads of pages: above all what a page may run, load and send.

use http::{
    HeaderMap, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::Content;

/// The head of the page about the content.
///
/// `style` is the hash of the page's style, `has_logo` whether the page shows one.
pub(super) fn of(content: &Content<'_>, language: &str, style: &str, has_logo: bool) -> HeaderMap {
    let fixed = |text: &'static str| HeaderValue::from_static(text);
    let policy = policy(content, style, has_logo);
    let policy = HeaderValue::try_from(policy).expect("hashes, origins and our words are text");
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
    if let Content::Unavailable { .. } = content {
        headers.insert(RETRY_AFTER, fixed(RETRY_SECONDS));
    }
    headers
}

/// The policy with other sites that may show the page in a frame, besides their own pages.
pub(super) fn allow_framing(policy: &HeaderValue, sites: &str) -> Option<HeaderValue> {
    let policy = policy.to_str().ok()?;
    let ancestors = format!("frame-ancestors 'self' {sites};");
    HeaderValue::try_from(policy.replacen(NO_ANCESTORS, &ancestors, 1)).ok()
}

fn policy(content: &Content<'_>, style: &str, has_logo: bool) -> String {
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
        // The meeting is on the host that its script comes from.
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
        "default-src 'none'; style-src {style}; script-src {scripts}; {more}form-action 'self'; \
         {ancestors} base-uri 'none'"
    )
}

/// Forms that change something are answered only if they come from this site, and browsers hide
/// where they come from where no referrer is allowed (Fetch § 3.2.6). The address of such a page may
/// hold a link, which Jitsi's web server and page need not know: it is not a part of the origin.
fn referrer_policy(content: &Content<'_>) -> &'static str {
    match content {
        Content::Start { .. } | Content::Join { .. } => "strict-origin",
        _ => "no-referrer",
    }
}

const NO_ANCESTORS: &str = "frame-ancestors 'none';";

/// Long enough for a restart, short enough to wait for.
const RETRY_SECONDS: &str = "10";
