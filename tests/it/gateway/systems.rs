//! Tokens as other systems make them, taken by the configuration that the page on the system shows.
//!
//! Each module builds the token text as the code of the system does, which its head cites: the order
//! of the claims, the spaces and the escapes are those of that code and its JSON library.

mod mattermost;
mod moodle;
mod nextcloud;
mod odoo;
mod rocketchat;
mod workadventure;
mod zulip;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use model::integration::{Preset, RoomNames};
use serde_json::Value;
use toml::Table;

use crate::{
    documents::markdown::pages,
    support::site::{Site, SiteOptions},
};

/// A system and its documentation.
struct System {
    /// The page below `docs/integrations`.
    page: &'static str,
    app_id: &'static str,
    /// Two rooms as the system names them.
    rooms: [&'static str; 2],
    /// The lifetime of a new token.
    lifetime: Duration,
    /// Whether its tokens name moderators.
    has_roles: bool,
    token: fn(&Made<'_>) -> String,
}

/// What a system puts into a token.
struct Made<'m> {
    /// The seconds since 1970.
    now: u64,
    app_id: &'m str,
    secret: &'m str,
    room: &'m str,
    user: Option<User>,
    moderator: bool,
}

/// A person with an account at the system.
#[derive(Clone, Copy)]
struct User {
    name: &'static str,
    email: &'static str,
}

const ANNE: User = User {
    name: "Änne \"A/B\" Ünal",
    email: "anne@example.org",
};

/// Texts as JSON libraries write them.
mod json {
    /// As Go's and JavaScript's, in UTF-8.
    pub(super) fn text(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    /// As Python's and PHP's, with `\u` escapes for all but ASCII, and slashes as they are.
    pub(super) fn ascii(text: &str) -> String {
        let escape = |c: char| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_ascii() => c.to_string(),
            c => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units).iter();
                let escapes: Vec<_> = units.map(|unit| format!("\\u{unit:04x}")).collect();
                escapes.concat()
            }
        };
        format!("\"{}\"", text.chars().map(escape).collect::<String>())
    }
}

/// Header, payload and HMAC with SHA-256, in compact form.
fn compact(header: &str, payload: &str, secret: &str) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.unwrap())
}

// === impl System ===

impl System {
    /// A deployment with the block of the page, and nothing else about the system.
    async fn site(&self) -> Site {
        let options = SiteOptions::default().rules(&self.configuration());
        Site::with(options).await.ready().await
    }

    /// The block, with the secret in place of its file.
    fn configuration(&self) -> String {
        let path = format!("docs/integrations/{}", self.page);
        let page = pages().into_iter().find(|page| page.path == path);
        let page = page.unwrap_or_else(|| panic!("no page {path}"));
        let block = page.blocks.iter().find(|block| block.language == "toml");
        let mut table: Table = block.unwrap().text.parse().unwrap();
        let integrations = table["integration"].as_array_mut().unwrap();
        let integration = integrations[0].as_table_mut().unwrap();
        assert_eq!(integration["app_id"].as_str(), Some(self.app_id));
        assert!(integration.remove("secret_file").is_some(), "{path}");
        integration.insert("secret".to_owned(), SECRET.into());
        toml::to_string(&table).unwrap()
    }

    /// The preset that the block names.
    fn preset(&self) -> Preset {
        let table: Table = self.configuration().parse().unwrap();
        let name = table["integration"][0]["preset"].as_str().unwrap();
        let named = Preset::ALL
            .into_iter()
            .find(|preset| preset.as_str() == name);
        named.unwrap_or_else(|| panic!("no preset {name}"))
    }

    fn made(&self, site: &Site) -> Made<'static> {
        Made {
            now: site.now().as_unix(),
            app_id: self.app_id,
            secret: SECRET,
            room: self.rooms[0],
            user: Some(ANNE),
            moderator: false,
        }
    }

    /// Enters the room with a token; gives the role and the name that Prosody is told.
    async fn enter(&self, site: &Site, made: &Made<'_>) -> (String, Option<String>) {
        let (room, token) = (made.room, (self.token)(made));
        let mut browser = site.browser();
        let page = browser.navigate(&format!("/{room}?jwt={token}")).await;
        let shown = (page.status, page.url.query());
        assert_eq!(shown, (StatusCode::OK, None), "{}: {page:?}", self.page);
        let query = format!("room={room}");
        let socket = browser.socket(&query).await;
        let socket = socket.unwrap_or_else(|status| panic!("{}: {status}", self.page));
        let claims = told(site);
        // The room stays open for those who wait for a host.
        std::mem::forget(socket);
        let user = &claims["context"]["user"];
        let name = user["name"].as_str().map(ToOwned::to_owned);
        let moderator = user["moderator"].as_bool().unwrap();
        let role = if moderator {
            "moderator"
        } else {
            "participant"
        };
        (role.to_owned(), name)
    }

    /// The status of the page for a token, and its text.
    async fn refused(&self, site: &Site, room: &str, token: &str) -> (StatusCode, String) {
        let mut browser = site.browser();
        let page = browser.navigate(&format!("/{room}?jwt={token}")).await;
        (page.status, page.text())
    }
}

/// The claims of the newest token that Prosody received.
fn told(site: &Site) -> Value {
    let received = site.meeting.received();
    let last = received
        .iter()
        .rev()
        .find_map(|request| request.headers.get("authorization"));
    let token = last.unwrap().to_str().unwrap().strip_prefix("Bearer ");
    let payload = token.unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn each_preset_is_that_of_one_system() {
    let presets: Vec<_> = SYSTEMS.iter().map(System::preset).collect();
    assert_eq!(presets, Preset::ALL);
}

#[tokio::test]
async fn tokens_of_each_system_are_taken_by_the_configuration_of_its_page() {
    for system in SYSTEMS {
        let site = system.site().await;
        let host = Made {
            moderator: true,
            ..system.made(&site)
        };
        let role = if system.has_roles {
            "moderator"
        } else {
            "participant"
        };
        let name = Some(ANNE.name.to_owned());
        assert_eq!(
            system.enter(&site, &host).await,
            (role.to_owned(), name.clone())
        );
        let other = system.made(&site);
        let participant = ("participant".to_owned(), name);
        assert_eq!(
            system.enter(&site, &other).await,
            participant,
            "{}",
            system.page
        );
        // The last minute of the token.
        site.clock_control
            .advance(system.lifetime.saturating_sub(Duration::from_mins(1)));
        assert_eq!(
            system.enter(&site, &other).await,
            participant,
            "{}",
            system.page
        );
    }
}

#[tokio::test]
async fn other_tokens_of_each_system_are_refused() {
    for system in SYSTEMS {
        let site = system.site().await;
        let good = system.made(&site);
        let [room, elsewhere] = system.rooms;
        let of_elsewhere = (system.token)(&Made {
            room: elsewhere,
            ..system.made(&site)
        });
        let forged = (system.token)(&Made {
            secret: "what somebody else made up, and long enough",
            ..system.made(&site)
        });
        let foreign = (system.token)(&Made {
            app_id: "somebody-else",
            ..system.made(&site)
        });
        let long_lived = (system.token)(&Made {
            now: good.now + 120,
            ..system.made(&site)
        });
        for (token, reason) in [
            (of_elsewhere, "room_other (room)"),
            (forged, "key_other"),
            (foreign, "issuer_unknown (iss)"),
            (long_lived, "lifetime_too_long (exp)"),
        ] {
            let (status, text) = system.refused(&site, room, &token).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{} {reason}", system.page);
            assert!(text.contains(reason), "{} {reason}: {text}", system.page);
            let mut app = site.browser();
            let refused = app
                .socket_of_app(&format!("room={room}&token={token}"))
                .await;
            assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN, "{reason}");
        }
        // A room that is not one of the system's.
        if let RoomNames::Pattern(_) = system.preset().profile().rooms {
            let board = (system.token)(&Made {
                room: "board",
                ..system.made(&site)
            });
            let (status, text) = system.refused(&site, "board", &board).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{}", system.page);
            assert!(text.contains("room_foreign (room)"), "{text}");
        }
        // A token that is over admits nobody, and leads to the system or to the sign-in.
        let over = (system.token)(&good);
        site.clock_control.advance(system.lifetime);
        let mut late = site.browser();
        let page = late.navigate(&format!("/{room}?jwt={over}")).await;
        let leads_back = page
            .text()
            .contains("Open the meeting again from where you came.");
        match page.status {
            StatusCode::FORBIDDEN => assert!(leads_back, "{}: {}", system.page, page.text()),
            _ => assert_eq!(page.url.path(), "/_gateway/login", "{}", system.page),
        }
        let refused = late.socket(&format!("room={room}")).await;
        assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
        let mut app = site.browser();
        let refused = app
            .socket_of_app(&format!("room={room}&token={over}"))
            .await;
        assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn holders_of_a_token_without_a_person_are_separate_people() {
    for (system, made) in [
        (mattermost::MATTERMOST, None),
        (odoo::O_MEET, None),
        (rocketchat::ROCKET_CHAT, None),
        // With a name and an id that others have as well.
        (workadventure::WORK_ADVENTURE, Some(ANNE)),
    ] {
        let site = system.site().await;
        let host = Made {
            moderator: true,
            ..system.made(&site)
        };
        let _ = system.enter(&site, &host).await;
        let made = Made {
            user: made,
            ..system.made(&site)
        };
        let subjects = async || {
            let (role, _) = system.enter(&site, &made).await;
            assert_eq!(role, "participant", "{}", system.page);
            told(&site)["context"]["user"]["id"].to_string()
        };
        let (one, two) = (subjects().await, subjects().await);
        assert_ne!(one, two, "{}", system.page);
    }
}

const SYSTEMS: &[System] = &[
    odoo::O_MEET,
    nextcloud::NEXTCLOUD,
    moodle::MOODLE,
    mattermost::MATTERMOST,
    rocketchat::ROCKET_CHAT,
    zulip::ZULIP,
    workadventure::WORK_ADVENTURE,
];

const SECRET: &str = "the secret in the settings of that system";
