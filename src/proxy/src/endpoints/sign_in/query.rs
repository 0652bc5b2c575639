//! The query of a login address.

use model::session::{Afterwards, JitsiState, ReturnTo};

/// What a login address asks for.
pub(super) struct LoginQuery {
    pub(super) return_to: ReturnTo,
    pub(super) then: Afterwards,
    /// Options for the fragment of Jitsi's page.
    pub(super) options: String,
    pub(super) switch: bool,
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
                _ => {}
            }
        }
        if popup && wanted.then == Afterwards::Page {
            wanted.then = Afterwards::Popup;
        }
        wanted
    }
}

/// More parameters than a login address has.
const MAX_PARAMETERS: usize = 20;
