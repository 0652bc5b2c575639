//! Checks of the URLs that a page opens without a click.

use url::Url;

use crate::{Component, Content};

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
        | Self::Join { sign_in, .. }
        | Self::Wait { sign_in, .. }
        | Self::Refused { sign_in, .. } = &mut self
        {
            *sign_in = None;
        }
        self
    }
}

/// Whether the link opens one of Jitsi's mobile apps and nothing else. The fragment of an `intent:`
/// URL names the app, and could name any.
fn is_deep_link(link: &str) -> bool {
    let Ok(url) = Url::parse(link) else {
        return false;
    };
    match url.scheme() {
        "org.jitsi.meet" | "jitsi-meet" => true,
        "intent" => {
            let options = url.fragment().unwrap_or_default();
            options.starts_with("Intent;scheme=org.jitsi.meet;")
        }
        _ => false,
    }
}

/// Whether the script arrives by TLS or from this host, so that it cannot be changed in transit.
fn is_authentic(script: &Url) -> bool {
    match (script.scheme(), script.host()) {
        ("https", Some(_)) => true,
        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_jitsis_apps_are_deep_links() {
        for (link, expected) in [
            ("org.jitsi.meet://meet.test/x?jwt=a", true),
            ("jitsi-meet://meet.test/x?jwt=a", true),
            (
                "intent://meet.test/x#Intent;scheme=org.jitsi.meet;package=org.jitsi.meet;end",
                true,
            ),
            ("intent://x#Intent;scheme=file;package=evil;end", false),
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
