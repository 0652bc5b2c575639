//! The `state` parameter that Jitsi's client fills into `tokenAuthUrl`: untrusted JSON with the
//! room, the app, and the options of the page (jitsi-meet
//! `react/features/authentication/functions.any.ts`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use super::ReturnTo;

/// The accepted parts of a `state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JitsiState {
    /// The room's page.
    pub return_to: ReturnTo,
    /// The app that opened the login; `None` for a page in a browser.
    pub app: Option<App>,
    /// The options of the page's or app's fragment, in the same form.
    pub options: String,
}

/// Jitsi's apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum App {
    /// For iPhones and iPads.
    Ios,
    /// For Android.
    Android,
    /// For desktops.
    Electron,
}

// === impl JitsiState ===

impl JitsiState {
    /// Parses a state; fields of unknown form are ignored.
    pub fn parse(json: &str) -> Self {
        let Ok(state) = serde_json::from_str::<Map<String, Value>>(json) else {
            return Self::default();
        };
        let text = |key: &str| state.get(key).and_then(Value::as_str);
        let is = |key: &str| state.get(key).and_then(Value::as_bool) == Some(true);
        // `room` is copied from the address bar and keeps its case; some browsers show it decoded.
        let return_to = ["room", "roomSafe"]
            .into_iter()
            .filter_map(|key| Some(ReturnTo::of_room(text("tenant"), text(key)?)))
            .find(|page| *page != ReturnTo::default())
            .unwrap_or_default();
        let app = App::ALL.into_iter().find(|app| is(app.as_str()));
        let options: Vec<_> = state
            .iter()
            .filter(|(key, value)| is_option(key) && !value.is_object())
            .map(|(key, value)| {
                let value: String = byte_serialize(value.to_string().as_bytes()).collect();
                // The client percent-decodes fragments, which does not turn `+` into a space.
                format!("{key}={}", value.replace('+', "%20"))
            })
            .collect();
        let options = Some(options.join("&")).filter(|options| options.len() <= MAX_OPTIONS);
        Self {
            return_to,
            app,
            options: options.unwrap_or_default(),
        }
    }

    /// Formats the state that an app sends from a room's page.
    pub fn written(page: &ReturnTo, app: App) -> String {
        let path = page.as_str().split('?').next().unwrap_or_default();
        let path = path.trim_start_matches('/');
        let (tenant, room) = path
            .rsplit_once('/')
            .map_or((None, path), |(tenant, room)| (Some(tenant), room));
        json!({ "tenant": tenant, "room": room, (app.as_str()): true }).to_string()
    }
}

// === impl App ===

impl App {
    const ALL: [Self; 3] = [Self::Ios, Self::Android, Self::Electron];

    /// The key in a state, with the value `true`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Electron => "electron",
        }
    }
}

/// Whether Jitsi's page accepts the option from its own address, where it checks it against an
/// allow list.
fn is_option(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    OPTIONS.iter().any(|prefix| key.starts_with(prefix))
        && key.len() <= MAX_KEY
        && key.chars().all(plain)
}

/// The objects whose members an address may set (jitsi-meet `react/features/base/config/functions.any.ts`,
/// `setConfigFromURLParams`; `react/features/base/settings` and `react/features/base/devices`).
const OPTIONS: [&str; 5] = [
    "config.",
    "interfaceConfig.",
    "iceServers.",
    "userInfo.",
    "devices.",
];

/// The space that a sign-in cookie has left beside the other fields.
const MAX_OPTIONS: usize = 1000;
const MAX_KEY: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rooms_apps_and_options_are_parsed() {
        let state = JitsiState::parse(
            r#"{"room":"My%20Room","roomSafe":"my%20room","tenant":"acme","ios":true,"android":false,
                "config.prejoinConfig.enabled":false,"config.subject":"a b&c","refreshToken":"x"}"#,
        );
        assert_eq!(state.return_to.as_str(), "/acme/My%20Room");
        assert_eq!(state.app, Some(App::Ios));
        assert_eq!(
            state.options,
            "config.prejoinConfig.enabled=false&config.subject=%22a%20b%26c%22"
        );
    }

    #[test]
    fn every_kind_of_option_of_an_address_is_kept() {
        let state = JitsiState::parse(
            r#"{"room":"x","iceServers.replace":["turn:a"],"userInfo.displayName":"Zoë",
                "devices.audioInput":"mic","interfaceConfig.a":1,"callStats.a":1,"config.o":{}}"#,
        );
        assert_eq!(
            state.options,
            "devices.audioInput=%22mic%22&iceServers.replace=%5B%22turn%3Aa%22%5D&interfaceConfig.a=1\
             &userInfo.displayName=%22Zo%C3%AB%22"
        );
    }

    #[test]
    fn a_decoded_room_name_is_parsed() {
        let state = JitsiState::parse(r#"{"room":"My Room","roomSafe":"my%20room"}"#);
        assert_eq!(state.return_to.as_str(), "/my%20room");
    }

    #[test]
    fn formatted_states_parse_again() {
        for page in ["/room", "/acme/Caf%C3%A9%20%22x%22"] {
            let page = ReturnTo::parse(page);
            let state = JitsiState::parse(&JitsiState::written(&page, App::Electron));
            assert_eq!(state.return_to, page);
            assert_eq!(state.app, Some(App::Electron));
        }
    }

    #[test]
    fn hostile_values_are_ignored() {
        for state in [
            "",
            "[]",
            "{}",
            r#"{"room":7}"#,
            r#"{"room":"//evil.test/x"}"#,
            r#"{"room":"x?jwt=1"}"#,
            r#"{"room":"_gateway/logout"}"#,
        ] {
            assert_eq!(JitsiState::parse(state), JitsiState::default(), "{state}");
        }
        let state = r#"{"room":"x","jwt":"a","config.a&jwt":"b","config.o":{},"hosts.domain":"c","electron":"yes"}"#;
        let state = JitsiState::parse(state);
        assert_eq!((state.options.as_str(), state.app), ("", None));
        let long = format!(r#"{{"room":"x","config.a":"{}"}}"#, "y".repeat(2000));
        assert_eq!(JitsiState::parse(&long).options, "");
    }

    proptest! {
        #[test]
        fn options_of_any_state_are_plain_text(
            key in "(config\\.|interfaceConfig\\.|hosts\\.)?\\PC{0,12}",
            value in "\\PC{0,20}",
            text in "\\PC{0,40}",
        ) {
            let _ = JitsiState::parse(&text);
            let state = json!({ "room": "x", "ios": true, (key): value });
            let options = JitsiState::parse(&state.to_string()).options;
            // The options are copied into a fragment, an app's address and a header.
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-%=&*".contains(c);
            prop_assert!(options.chars().all(plain), "{}", options);
        }
    }
}
