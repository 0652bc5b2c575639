//! One rule for names of rooms: the page's address, the `room` claim of another system's token, the node at
//! Prosody, links and the start page have one room for each spelling.
//!
//! The table, `tests/page/room-names.json`, has rows of an address, the room's key and the address of its page, or
//! of an address, `null` and the reason of the refusal. `tests/page/recent.test.mjs` reads it for the list of
//! recent meetings. The keys are those that Jitsi's own functions return.

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use devkit::meeting::RequestKind;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{CREATE, sid_of};
use crate::support::{
    browser::{KeepAliveClient, Page, encode, navigation},
    signing_key::sign_with_secret,
    site::{ORIGIN, Site, SiteOptions},
};

const SECRET: &str = "what only the school and the gateway know";
const KEY: &str = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b";

const RULES: &str = r#"
[[room]]
match = "*"
enter = ["member", "integration", "link"]
[[integration]]
id = "school"
rooms = ["*"]
insecure_all_rooms = true
api_requests_per_minute = 10000
secret = "what only the school and the gateway know"
[[integration.api_key]]
id = "main"
key = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b"
"#;

/// A row of the table.
struct Spelling {
    /// The path of the address.
    address: String,
    room: Result<Named, Refusal>,
}

/// The room of an address.
struct Named {
    tenant: Option<String>,
    node: String,
    /// The path that browsers end at.
    page: String,
}

/// Why an address is that of no room: `path`, `closed`, or the kind of the error.
struct Refusal(String);

// === impl Spelling ===

impl Spelling {
    fn table() -> Vec<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/room-names.json");
        let rows: Vec<(String, Option<String>, String)> =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let rows = rows.into_iter().map(|(address, key, page)| {
            let room = match key {
                None => Err(Refusal(page)),
                Some(key) => {
                    let (tenant, node) = match key.split_once('/') {
                        Some((tenant, node)) => (Some(tenant.to_owned()), node.to_owned()),
                        None => (None, key),
                    };
                    Ok(Named { tenant, node, page })
                }
            };
            Self { address, room }
        });
        rows.collect()
    }

    fn rooms() -> Vec<(String, Named)> {
        let named = |row: Self| Some((row.address, row.room.ok()?));
        Self::table().into_iter().filter_map(named).collect()
    }

    fn refusals() -> Vec<(String, Refusal)> {
        let refused = |row: Self| Some((row.address, row.room.err()?));
        Self::table().into_iter().filter_map(refused).collect()
    }
}

// === impl Refusal ===

impl Refusal {
    fn status(&self) -> StatusCode {
        match &*self.0 {
            "closed" => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

async fn site() -> Site {
    let options = SiteOptions::default().rules(RULES);
    Site::with(options).await.ready().await
}

/// GETs a path of the site as a navigation, without following redirects.
async fn open(client: &mut KeepAliveClient, path: &str) -> Page {
    let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    client.send(Method::GET, &url, &navigation()).await
}

/// The path and query of a redirect, which has to stay on this site.
fn location(page: &Page) -> Option<String> {
    let location = page.headers.get(header::LOCATION)?.to_str().unwrap();
    let target = Url::parse(ORIGIN).unwrap().join(location).unwrap();
    assert_eq!(target.origin().ascii_serialization(), ORIGIN, "{location}");
    assert!(!location.starts_with("//"), "{location}");
    Some(location.strip_prefix(ORIGIN).unwrap_or(location).to_owned())
}

/// The payload of a token, unverified.
fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The name as a system knows it, whose address has this last segment.
fn decoded(segment: &str) -> String {
    let value = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    let mut values = form_urlencoded::parse(value.as_bytes());
    values.next().unwrap().1.into_owned()
}

/// The name in the address, without the slashes around it.
fn segment(address: &str) -> &str {
    address.trim_end_matches('/').rsplit('/').next().unwrap()
}

#[test]
fn the_table_has_many_spellings_in_many_scripts() {
    let table = Spelling::table();
    assert!(table.len() >= 200, "{}", table.len());
    // One letter of each: Latin, Cyrillic, Greek, Han, Hiragana, Hangul, Arabic, Hebrew, Devanagari, Bengali, Tamil,
    // Thai, Khmer, Georgian, Armenian, Ethiopic.
    for letter in "aпσ会がعשहমசปកშհስ한".chars() {
        let encoded = encode(&letter.to_string()).to_lowercase();
        let has = |(_, room): &(String, Named)| room.node.contains(&encoded);
        assert!(Spelling::rooms().iter().any(has), "{letter}");
    }
}

#[tokio::test]
async fn the_page_of_each_address_is_that_of_its_room() {
    let site = site().await;
    let mut max = KeepAliveClient::new(site.signed_in("max").await);
    for (address, room) in Spelling::rooms() {
        let query = "?lang=de&x=%C3%A9";
        let mut path = format!("{address}{query}");
        let mut answer = open(&mut max, &path).await;
        if room.page != address {
            assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT, "{address}");
            path = location(&answer).unwrap();
            answer = open(&mut max, &path).await;
        }
        // One redirect is enough.
        assert_eq!(answer.status, StatusCode::OK, "{address} {path}");
        let expected = format!("{}{query}", room.page);
        assert_eq!(canonical(&path), canonical(&expected), "{address}");
        let text = answer.text();
        let token = text.split('"').find(|text| text.starts_with("eyJ"));
        let claims = payload(token.unwrap_or_else(|| panic!("{address}: {text}")));
        assert_eq!(claims["room"], *room.node, "{address}");
    }
    for (address, refusal) in Spelling::refusals() {
        let answer = open(&mut max, &address).await;
        assert_eq!(answer.status, refusal.status(), "{address}");
        let text = answer.text();
        assert!(text.contains("href=\"/\""), "{address}: a way on");
        let said = match &*refusal.0 {
            "reserved" => "This name is reserved",
            "long" => "This name is too long",
            "encoding" | "character" | "tenant" => "characters that cannot be used",
            "empty" => "Please enter a name",
            "closed" => "Page not found",
            _ => "Please check the address",
        };
        assert!(text.contains(said), "{address}: {text}");
    }
}

#[tokio::test]
async fn the_claim_of_another_system_names_the_room_of_its_address() {
    let site = site().await;
    let mut client = KeepAliveClient::new(site.browser());
    let now = site.now().as_unix();
    let token = |room: &str, tenant: Option<&str>| {
        let claims = json!({
            "iss": "school", "aud": "jitsi", "sub": tenant.unwrap_or("meet.jitsi"), "room": room,
            "iat": now, "exp": now + 600, "context": { "user": { "id": "t1" } },
        });
        sign_with_secret("", SECRET.as_bytes(), &claims)
    };
    for (address, room) in Spelling::rooms() {
        let name = decoded(segment(&address));
        // Prosody's modules take a claim with an asterisk for a pattern.
        if name.contains('*') {
            continue;
        }
        for claim in [name, room.node.clone()] {
            let jwt = token(&claim, room.tenant.as_deref());
            let mut path = format!("{address}?jwt={jwt}");
            let mut answer = open(&mut client, &path).await;
            if room.page != address {
                path = location(&answer).unwrap();
                answer = open(&mut client, &path).await;
            }
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address} {claim}");
            let target = canonical(&location(&answer).unwrap());
            assert_eq!(target, canonical(&room.page), "{address} {claim}");
        }
        let jwt = token("another", room.tenant.as_deref());
        let answer = open(&mut client, &format!("{}?jwt={jwt}", room.page)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{address}");
    }
}

#[tokio::test]
async fn the_node_at_prosody_is_that_of_the_page() {
    let site = site().await;
    let mut max = KeepAliveClient::new(site.signed_in("max").await);
    for (address, room) in Spelling::rooms() {
        let Named { tenant, node, .. } = &room;
        // Clients since 2026 write the decoded node, earlier ones the node.
        for name in [decoded(node), node.clone()] {
            let before = site.meeting.received().len();
            let prefix = tenant.as_ref().map(|tenant| format!("/{tenant}"));
            let prefix = prefix.unwrap_or_default();
            let url = format!("{ORIGIN}{prefix}/http-bind?room={}", encode(&name));
            let answer = post_bosh(&mut max, &url, CREATE).await;
            assert!(answer.text().contains("sid="), "{address}: {answer:?}");
            let bye = format!(
                "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{}' type='terminate'/>",
                sid_of(&answer.text())
            );
            assert_eq!(post_bosh(&mut max, &url, &bye).await.status, StatusCode::OK);
            let received = site.meeting.received();
            let session = received[before..]
                .iter()
                .find(|request| request.kind == RequestKind::BoshSession)
                .unwrap();
            let token = session.headers[header::AUTHORIZATION].to_str().unwrap();
            assert_eq!(payload(token)["room"], **node, "{address}");
            let query = session.query.as_deref().unwrap();
            let parameter = |name: &str| {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                let found = pairs.find(|(key, _)| key == name);
                found.map(|(_, value)| value.into_owned())
            };
            assert_eq!(parameter("room").as_deref(), Some(&**node), "{address}");
            assert_eq!(parameter("prefix"), *tenant, "{address}");
        }
    }
}

async fn post_bosh(client: &mut KeepAliveClient, url: &str, body: &str) -> Page {
    let headers = HeaderMap::from_iter([
        (header::ORIGIN, HeaderValue::from_static(ORIGIN)),
        (header::USER_AGENT, HeaderValue::from_static("Mozilla/5.0")),
        (header::CONTENT_TYPE, HeaderValue::from_static("text/xml")),
    ]);
    let url = Url::parse(url).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    client.send_body(Method::POST, &url, &headers, body).await
}

#[tokio::test]
async fn a_link_to_each_room_opens_it() {
    let site = site().await;
    let mut school = KeepAliveClient::new(site.browser());
    let url = Url::parse(&format!("{ORIGIN}/_gateway/api/v1/links")).unwrap();
    let key = HeaderValue::try_from(format!("Bearer {KEY}")).unwrap();
    let json = HeaderValue::from_static("application/json");
    let headers =
        HeaderMap::from_iter([(header::AUTHORIZATION, key), (header::CONTENT_TYPE, json)]);
    for Spelling { address, room } in Spelling::table() {
        let body = json!({ "room": address, "role": "guest" }).to_string();
        let answer = school
            .send_body(Method::POST, &url, &headers, body.into())
            .await;
        let Ok(room) = room else {
            // Where slashes alone make the path another one, a name is left.
            if !answer.status.is_success() {
                assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
            }
            continue;
        };
        assert_eq!(answer.status, StatusCode::CREATED, "{address}: {answer:?}");
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        let link = answer["url"]
            .as_str()
            .unwrap()
            .strip_prefix(ORIGIN)
            .unwrap();
        let (path, _) = link.split_once("?invite=").unwrap();
        let encoded = encode_segment(&decoded(&room.node));
        let expected = match &room.tenant {
            Some(tenant) => format!("/{tenant}/{encoded}"),
            None => format!("/{encoded}"),
        };
        assert_eq!(path, expected, "{address}");
        let page = open(&mut school, link).await;
        assert_eq!(page.status, StatusCode::OK, "{address} {page:?}");
        assert!(page.text().contains("name=\"invite\""), "{address}");
    }
}

#[tokio::test]
async fn the_start_page_leads_to_the_room_of_what_was_typed() {
    let site = site().await;
    let mut client = KeepAliveClient::new(site.browser());
    for Spelling { address, room } in Spelling::table() {
        for typed in [format!("{ORIGIN}{address}"), address.clone()] {
            let path = format!("/_gateway/go?room={}", encode(&typed));
            let answer = open(&mut client, &path).await;
            match (&room, location(&answer)) {
                (Ok(room), Some(target)) if typed.starts_with("https:") => {
                    assert_eq!(canonical(&target), canonical(&room.page), "{typed}");
                }
                (Ok(room), Some(target)) => {
                    let name = decoded(segment(&target)).to_lowercase();
                    let page = decoded(segment(&room.page)).to_lowercase();
                    assert_eq!(plain(&name), plain(&page), "{typed}");
                }
                (Err(_), None) => {
                    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
                }
                // What is typed need not be encoded, and slashes around a name mean nothing.
                (Err(Refusal(why)), Some(target)) => {
                    let named = matches!(&**why, "path" | "encoding");
                    assert!(named && !typed.starts_with("https:"), "{typed}: {target}");
                }
                (Ok(_), None) => panic!("{typed}: {}", answer.text()),
            }
        }
    }
}

/// The path with escapes in upper case, and none of what needs none.
fn canonical(path: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at(2);
        match u8::from_str_radix(escape, 16).unwrap() {
            byte if unreserved(byte) => text.push(char::from(byte)),
            _ => text.extend(["%", &escape.to_uppercase()]),
        }
        text += rest;
    }
    text
}

/// Without the characters that Jitsi's client drops.
fn plain(name: &str) -> String {
    name.replace(
        [
            ':', '?', '#', '[', ']', '@', '!', '$', '&', '(', ')', '*', '+', ',', ';', '=',
        ],
        "",
    )
}

/// All but the unreserved characters encoded.
fn encode_segment(name: &str) -> String {
    let encoded = encode(name).replace('+', "%20");
    encoded.replace('*', "%2A").replace("%7E", "~")
}
