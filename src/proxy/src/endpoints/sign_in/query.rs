//! The query of a login address.

use model::{
    identity::is_email,
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
    /// The provider that the person chose.
    pub(super) provider: Option<ProviderId>,
    /// The e-mail address that the person typed; empty if it is none.
    pub(super) email: Option<String>,
}

// === impl LoginQuery ===

impl LoginQuery {
    /// Reads `return_to`, or the `state` that Jitsi's client fills into `tokenAuthUrl`: untrusted
    /// JSON that names room and tenant (jitsi-meet `react/features/authentication`).
    pub(super) fn parse(query: &str) -> Self {
        let mut wanted = Self {
            return_to: ReturnTo::default(),
            then: Afterwards::Page,
            options: String::new(),
            switch: false,
            provider: None,
            email: None,
        };
        let mut popup = false;
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
                PROVIDER => wanted.provider = value.parse().ok(),
                EMAIL => {
                    let address = Some(value.trim()).filter(|text| is_email(text));
                    wanted.email = Some(address.unwrap_or_default().to_owned());
                }
                _ => {}
            }
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

/// The id of the chosen provider.
pub(super) const PROVIDER: &str = "provider";

/// The address by whose domain a provider is chosen.
pub(super) const EMAIL: &str = "email";

/// More parameters than a login address has.
const MAX_PARAMETERS: usize = 20;
