//! Checks of the URLs that a page opens without a click.

use url::Url;

use crate::{Component, Content, RequestProblem};

// === impl Content ===

impl Content<'_> {
    /// Replaces content with an unsafe URL by an error page.
    ///
    /// The authorization endpoint comes from the provider's discovery document and may have the
    /// scheme `javascript:`; a deep link starts a program; a script could be changed in transit.
    pub(super) fn with_safe_targets(self) -> Self {
        let is_safe = match self {
            Self::Continue { provider, .. } => matches!(provider.scheme(), "https" | "http"),
            Self::OpenApp { link, .. } => is_deep_link(link),
            Self::Call { script, .. } => is_authentic(script),
            _ => true,
        };
        match self {
            content if is_safe => content,
            Self::Continue { return_to, .. } => Self::Unavailable {
                component: Component::Provider,
                again: return_to.as_str(),
            },
            Self::OpenApp { browser, .. } => Self::Unavailable {
                component: Component::Gateway,
                again: browser,
            },
            _ => Self::Unavailable {
                component: Component::Gateway,
                again: "/",
            },
        }
    }

    /// The content without links to sign in.
    pub(super) fn without_sign_in(mut self) -> Self {
        if let Self::Start { sign_in, .. }
        | Self::Meeting { sign_in, .. }
        | Self::Join { sign_in, .. }
        | Self::Wait { sign_in, .. }
        | Self::Refused { sign_in, .. }
        | Self::SignedOut { sign_in, .. }
        | Self::BadRequest {
            problem: RequestProblem::SignIn { sign_in },
            ..
        } = &mut self
        {
            *sign_in = None;
        }
        self
    }
}

/// Whether the link opens a native app and nothing in the browser. The last fragment of an `intent:`
/// URL names the app (Android `Intent.parseUri`), and could name any.
fn is_deep_link(link: &str) -> bool {
    let Ok(url) = Url::parse(link) else {
        return false;
    };
    if url.scheme() != "intent" {
        return is_app_scheme(url.scheme());
    }
    let (_, app) = link.rsplit_once('#').unwrap_or_default();
    app.strip_prefix("Intent;scheme=")
        .and_then(|app| app.split_once(';'))
        .is_some_and(|(scheme, rest)| is_app_scheme(scheme) && rest.starts_with("package="))
}

/// Whether a URL scheme (RFC 3986 § 3.1) in lower case may be an app's: no browser handles it itself.
pub fn is_app_scheme(scheme: &str) -> bool {
    let begins = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    let valid = scheme
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    begins && valid && !BROWSER_SCHEMES.contains(&scheme)
}

/// Whether the script arrives by TLS or from this host, so that it cannot be changed in transit.
fn is_authentic(script: &Url) -> bool {
    match (script.scheme(), script.host()) {
        ("https", Some(_)) => true,
        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
        _ => false,
    }
}

/// Schemes that browsers handle, and those by which they name other programs.
const BROWSER_SCHEMES: [&str; 18] = [
    "about",
    "android-app",
    "blob",
    "chrome",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "intent",
    "javascript",
    "mailto",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_apps_are_deep_links() {
        for (link, expected) in [
            ("org.jitsi.meet://meet.test/x?jwt=a", true),
            ("jitsi-meet://meet.test/x?jwt=a", true),
            (
                "intent://meet.test/x#Intent;scheme=org.jitsi.meet;package=org.jitsi.meet;end",
                true,
            ),
            (
                "intent://meet.test/x?jwt=a#config.subject=%22a%22#Intent;scheme=org.brand;package=org.brand;end",
                true,
            ),
            ("org.brand://meet.test/x?jwt=a", true),
            ("intent://x#Intent;scheme=file;package=evil;end", false),
            (
                "intent://x#Intent;scheme=org.jitsi.meet;package=a;end#Intent;scheme=https;package=evil;end",
                false,
            ),
            ("javascript:alert(1)//org.jitsi.meet:", false),
            ("https://evil.test/", false),
            ("/x", false),
        ] {
            assert_eq!(is_deep_link(link), expected, "{link}");
        }
    }

    #[test]
    fn scripts_are_loaded_by_tls_or_from_loopback() {
        for (script, expected) in [
            ("https://8x8.vc/vpaas-magic-cookie-1/external_api.js", true),
            ("http://127.0.0.1:8080/external_api.js", true),
            ("http://8x8.vc/external_api.js", false),
            ("data:text/javascript,1", false),
        ] {
            assert_eq!(
                is_authentic(&Url::parse(script).unwrap()),
                expected,
                "{script}"
            );
        }
    }
}
