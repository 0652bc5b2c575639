//! The query of a login address.

use model::{
    identity::{is_email, is_plain},
    provider::ProviderId,
    session::{Afterwards, JitsiState, ReturnTo},
};

/// What a login address asks for.
pub(super) struct LoginQuery {
    pub(super) return_to: ReturnTo,
    pub(super) then: Afterwards,
    /// Options for the fragment of Jitsi's page.
    pub(super) options: String,
    pub(super) switch: bool,
    /// The session of the browser is to be renewed, if that is due.
    pub(super) renews: bool,
    /// The provider that the person chose.
    pub(super) provider: Option<ProviderId>,
    /// The e-mail address that the person typed; empty if it is none.
    pub(super) email: Option<String>,
    /// Another site asks for the sign-in.
    pub(super) initiated: Option<ThirdPartyLogin>,
}

/// A sign-in that another site initiates, such as the provider's list of applications (OpenID Connect
/// Core 1.0 § 4).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ThirdPartyLogin {
    /// `iss`: the provider to sign in at.
    pub(super) issuer: String,
    /// `login_hint`, for the provider.
    pub(super) login_hint: Option<String>,
}

// === impl LoginQuery ===

impl LoginQuery {
    /// Reads `return_to`, or the `state` that Jitsi's client fills into `tokenAuthUrl`: untrusted
    /// JSON that names room and tenant (jitsi-meet `react/features/authentication`).
    ///
    /// With `iss`, the parameters of a third party count: `target_link_uri` leads to a page of the site at
    /// `origin`, or to the start page.
    pub(super) fn parse(query: &str, origin: &str) -> Self {
        let mut wanted = Self {
            return_to: ReturnTo::default(),
            then: Afterwards::Page,
            options: String::new(),
            switch: false,
            renews: false,
            provider: None,
            email: None,
            initiated: None,
        };
        let mut popup = false;
        let (mut login_hint, mut target) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
            match name.as_ref() {
                "return_to" => wanted.return_to = ReturnTo::parse(&value),
                "state" => {
                    let state = JitsiState::parse(&value);
                    wanted.return_to = state.return_to;
                    wanted.options.clone_from(&state.options);
                    if let Some(app) = state.app {
                        let options = state.options;
                        wanted.then = Afterwards::App { app, options };
                    }
                }
                // Jitsi adds it to the address of the window that it opens (`tokenAuthInline`).
                "nonce" => popup = true,
                "switch" => wanted.switch = value == "1",
                RENEW => wanted.renews = value == "1",
                PROVIDER => wanted.provider = value.parse().ok(),
                EMAIL => {
                    let address = Some(value.trim()).filter(|text| is_email(text));
                    wanted.email = Some(address.unwrap_or_default().to_owned());
                }
                "iss" => {
                    wanted.initiated = Some(ThirdPartyLogin {
                        issuer: value.into_owned(),
                        login_hint: None,
                    });
                }
                "login_hint" => {
                    login_hint = Some(value.into_owned()).filter(|hint| is_plain(hint, MAX_HINT));
                }
                "target_link_uri" => {
                    let path = value.strip_prefix(origin);
                    let path = path.filter(|path| path.starts_with('/'));
                    target = Some(path.map(ReturnTo::parse).unwrap_or_default());
                }
                _ => {}
            }
        }
        if let Some(initiated) = &mut wanted.initiated {
            initiated.login_hint = login_hint;
            wanted.return_to = target.unwrap_or(wanted.return_to);
        }
        if popup && wanted.then == Afterwards::Page {
            wanted.then = Afterwards::Popup;
        }
        wanted
    }
}

/// The parameters of a login address without the choice of a provider.
pub(super) fn without_choice(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .take(MAX_PARAMETERS)
        .filter(|(name, _)| !matches!(name.as_ref(), PROVIDER | EMAIL))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// Asks for the renewal of a session.
pub(super) const RENEW: &str = "renew";

/// The id of the chosen provider.
pub(super) const PROVIDER: &str = "provider";

/// The address by whose domain a provider is chosen.
pub(super) const EMAIL: &str = "email";

/// A hint is a name or an address; Entra ID's opaque ones have some hundred characters.
const MAX_HINT: usize = 512;

/// More parameters than a login address has.
const MAX_PARAMETERS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_party_names_a_provider_a_hint_and_a_page_of_this_site() {
        const ISSUER: &str = "iss=https%3A%2F%2Fsso.example.org";
        for (query, page, hint) in [
            ("", "/", None),
            (
                "&target_link_uri=https://meet.example.org/acme/x%3Flang=de",
                "/acme/x?lang=de",
                None,
            ),
            ("&login_hint=ann", "/", Some("ann")),
            ("&login_hint=a%00b", "/", None),
            ("&target_link_uri=https://evil.example/x", "/", None),
            (
                "&target_link_uri=https://meet.example.org.evil.example/x",
                "/",
                None,
            ),
            (
                "&target_link_uri=https://meet.example.org@evil.example/x",
                "/",
                None,
            ),
            (
                "&target_link_uri=https://meet.example.org//evil.example",
                "/",
                None,
            ),
            ("&target_link_uri=//evil.example", "/", None),
        ] {
            let wanted = LoginQuery::parse(&format!("{ISSUER}{query}"), "https://meet.example.org");
            assert_eq!(wanted.return_to.as_str(), page, "{query}");
            let expected = ThirdPartyLogin {
                issuer: "https://sso.example.org".to_owned(),
                login_hint: hint.map(str::to_owned),
            };
            assert_eq!(wanted.initiated, Some(expected), "{query}");
        }
        // Without an issuer the other two are unknown parameters.
        let query = "return_to=/x&login_hint=ann&target_link_uri=https://meet.example.org/y";
        let wanted = LoginQuery::parse(query, "https://meet.example.org");
        assert_eq!(wanted.return_to.as_str(), "/x");
        assert_eq!(wanted.initiated, None);
    }
}
