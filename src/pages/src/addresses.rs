//! Addresses that a page opens by itself: none may run, or come from whoever is on the way.

use url::Url;

use super::{Content, Part};

// === impl Content ===

impl Content<'_> {
    /// Leads nobody to an address that would run instead of being opened: discovery has the
    /// provider's from somebody else's document, and a deep link starts a program.
    pub(super) fn checked(self) -> Self {
        let sound = match self {
            Self::Continue { provider, .. } => matches!(provider.scheme(), "https" | "http"),
            Self::OpenApp { link, .. } => is_deep_link(link),
            Self::Call { script, .. } => is_trustworthy(script),
            _ => true,
        };
        match self {
            content if sound => content,
            Self::Continue { return_to, .. } => Self::Unavailable {
                part: Part::Provider,
                again: return_to.as_str(),
            },
            Self::OpenApp { browser, .. } => Self::Unavailable {
                part: Part::Gateway,
                again: browser,
            },
            _ => Self::Unavailable {
                part: Part::Gateway,
                again: "/",
            },
        }
    }

    /// The same with no way to sign in.
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

/// Whether the link opens one of Jitsi's apps and nothing else. An `intent:` says at its end which
/// app it opens, and could name any.
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

/// Whether nobody on the way could have changed the script.
fn is_trustworthy(script: &Url) -> bool {
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
    fn deep_links_open_jitsi_and_nothing_else() {
        for (link, opens) in [
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
            assert_eq!(is_deep_link(link), opens, "{link}");
        }
    }

    #[test]
    fn scripts_come_over_tls() {
        for (script, loads) in [
            ("https://8x8.vc/vpaas-magic-cookie-1/external_api.js", true),
            ("http://127.0.0.1:8080/external_api.js", true),
            ("http://8x8.vc/external_api.js", false),
            ("data:text/javascript,1", false),
        ] {
            assert_eq!(
                is_trustworthy(&Url::parse(script).unwrap()),
                loads,
                "{script}"
            );
        }
    }
}
