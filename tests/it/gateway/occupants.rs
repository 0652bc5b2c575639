//! What operators see of the people in rooms, and what they can do: `rooms`, `sessions`.

use http::StatusCode;
use jitsi_auth_gateway::cli::Exit;
use model::time_format;
use serde_json::{Value, json};

use super::{CREATE, revocation::closed_with, sid_of};
use crate::support::{
    browser::Browser,
    command::command,
    signing_key::sign_with_secret,
    site::{Site, SiteOptions},
};

const RULES: &str = r#"
[[room]]
match = "*"
enter = ["member", "integration", "guest"]
host = ["subject:max"]
start = "anyone"

[[integration]]
id = "school"
rooms = ["school-*"]
secret = "what only the school and the gateway know"
"#;

async fn site() -> Site {
    let options = SiteOptions::default().rules(RULES);
    Site::with(options).await.ready().await
}

/// Runs a command against the site's admin listener.
async fn ask(site: &Site, words: &[&str]) -> (Exit, String, String) {
    let admin = site.running.addresses.admin.to_string();
    command(&[words, &["--admin", &admin]].concat()).await
}

async fn json_of(site: &Site, words: &[&str]) -> Value {
    let words = [words, &["--output", "json"]].concat();
    let (exit, output, error) = ask(site, &words).await;
    assert_eq!(exit, Exit::Done, "{error}");
    serde_json::from_str(&output).unwrap()
}

/// Enters a room by BOSH as a guest; returns the stream's id. An anonymous client is present from its first
/// poll on.
async fn enter_as_guest(guest: &mut Browser, room: &str) -> String {
    let query = format!("room={room}");
    let create = CREATE.replace("wait='60'", "wait='0'");
    let created = guest.bosh(&query, &create).await.text();
    let sid = sid_of(&created).to_owned();
    guest.bosh(&query, &poll(&sid, 101)).await;
    sid
}

fn poll(sid: &str, rid: u32) -> String {
    format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'/>")
}

/// The words of each line of a table.
fn lines(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[tokio::test]
async fn operators_see_the_occupants_of_rooms_with_their_roles() {
    let site = site().await;
    assert_eq!(
        json_of(&site, &["rooms", "list"]).await,
        json!({"rooms": []})
    );
    let mut max = site.signed_in("max").await;
    let _socket = max.socket("room=plan").await.unwrap();
    let mut mia = site.signed_in("mia").await;
    let created = mia.bosh("room=plan", CREATE).await.text();
    let mut guest = site.browser();
    let of_guest = enter_as_guest(&mut guest, "plan").await;
    let token = sign_with_secret(
        "",
        b"what only the school and the gateway know",
        &json!({
            "iss": "school", "aud": "jitsi", "sub": "meet.jitsi", "room": "school-7b",
            "iat": site.now().as_unix(), "exp": site.now().as_unix() + 600,
            "context": { "user": {"id": "t1", "name": "Tea\u{202e}\u{1b}[2J"} },
        }),
    );
    let mut tea = site.browser();
    tea.navigate(&format!("/school-7b?jwt={token}")).await;
    let _of_tea = tea.socket("room=school-7b").await.unwrap();

    site.wait_for("three people are in the room", async || {
        let rooms = json_of(&site, &["rooms", "list"]).await;
        rooms["rooms"][0]["occupants"] == 3
    })
    .await;
    let rooms = json_of(&site, &["rooms", "list"]).await;
    let names: Vec<_> = rooms["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["room"])
        .collect();
    assert_eq!(names, ["plan", "school-7b"]);
    let seen = |room: &Value| -> Vec<[String; 4]> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let streams = room["streams"].as_array().unwrap().iter();
        let one =
            |it: &Value| ["subject", "standing", "role", "transport"].map(|key| text(&it[key]));
        streams.map(one).collect()
    };
    assert_eq!(
        seen(&rooms["rooms"][0])[..2],
        [
            ["max", "member", "moderator", "websocket"],
            ["mia", "member", "participant", "bosh"],
        ]
    );
    let of_guest_stream = &seen(&rooms["rooms"][0])[2];
    assert_eq!(of_guest_stream[1..], ["guest", "participant", "bosh"]);
    assert_eq!(rooms["rooms"][0]["streams"][0]["client"], "127.0.0.1");
    let began = time_format::format_rfc3339(site.now().as_unix());
    assert_eq!(rooms["rooms"][0]["streams"][0]["since"], began);

    let (exit, table, _) = ask(&site, &["rooms", "list"]).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(lines(&table)[1], ["plan", "yes", "3", "3", &began]);
    // The name that an integration chose does not control the terminal.
    let (_, table, _) = ask(&site, &["rooms", "show", "School-7B"]).await;
    assert!(!table.contains(['\u{202e}', '\u{1b}']), "{table:?}");
    assert!(table.contains("embedded by school"), "{table}");
    let (exit, _, error) = ask(&site, &["rooms", "show", "empty"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(error.contains("no one is in room \"empty\""), "{error}");

    for (filter, subjects) in [
        (&["--room", "plan"][..], 3),
        (&["--integration", "school"], 1),
        (&["--subject", "mia"], 1),
        (&["--subject", "nn"], 0),
        (&["--room", "plan", "--subject", "max"], 1),
        (&["--room", "other", "--subject", "max"], 0),
        (&[], 4),
    ] {
        let listed = json_of(&site, &[&["sessions", "list"], filter].concat()).await;
        let count = listed["sessions"].as_array().unwrap().len();
        assert_eq!(count, subjects, "{filter:?}: {listed}");
    }

    // A stream that Prosody ended is not listed.
    let of_mia = sid_of(&created).to_owned();
    for (browser, sid, rid) in [(&mut mia, of_mia, 101), (&mut guest, of_guest, 102)] {
        let terminate = poll(&sid, rid).replace("/>", " type='terminate'/>");
        browser.bosh("room=plan", &terminate).await;
    }
    let rooms = json_of(&site, &["rooms", "list"]).await;
    assert_eq!(seen(&rooms["rooms"][0]).len(), 1, "{rooms}");
}

#[tokio::test]
async fn operators_revoke_a_session_or_everyone_in_a_room() {
    let site = site().await;
    let (mut max, mut mia) = (site.signed_in("max").await, site.signed_in("mia").await);
    let mut of_max = max.socket("room=plan").await.unwrap();
    let mut of_mia = mia.socket("room=plan").await.unwrap();
    let mut elsewhere = mia.socket("room=other").await.unwrap();
    let listed = json_of(&site, &["sessions", "list", "--subject", "max"]).await;
    let session = listed["sessions"][0]["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = json_of(&site, &["sessions", "show", &session]).await;
    assert_eq!(shown["streams"][0]["room"], "plan");

    let (exit, output, _) = ask(&site, &["sessions", "revoke", "--session", &session]).await;
    assert_eq!(exit, Exit::Done);
    let revoked: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(revoked["revoked"], json!({"session": session}));
    assert_eq!(closed_with(&mut of_max).await, 1008);

    let mut guest = site.browser();
    let sid = enter_as_guest(&mut guest, "plan").await;
    site.wait_for("the guest is in the room", async || {
        let rooms = json_of(&site, &["rooms", "list"]).await;
        rooms["rooms"][1]["occupants"] == 2
    })
    .await;
    let (_, output, _) = ask(&site, &["sessions", "revoke", "--room", "Plan"]).await;
    let revoked: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(revoked["revoked"], json!({"room": "plan", "sessions": 2}));
    // A session is revoked in all rooms.
    assert_eq!(closed_with(&mut of_mia).await, 1008);
    assert_eq!(closed_with(&mut elsewhere).await, 1008);
    let answer = guest.bosh("room=plan", &poll(&sid, 102)).await.text();
    assert!(answer.contains("terminate"), "{answer}");
    site.wait_for("no stream is listed", async || {
        json_of(&site, &["sessions", "list"]).await == json!({"sessions": []})
    })
    .await;

    for words in [&["--session", ""][..], &["--room", ""], &["--subject", " "]] {
        let (exit, _, error) = ask(&site, &[&["sessions", "revoke"], words].concat()).await;
        assert_eq!(exit, Exit::Failed, "{words:?}");
        assert!(error.contains("answers 400"), "{error}");
    }
    for words in [&[][..], &["--session", "a", "--room", "b"]] {
        let (exit, ..) = ask(&site, &[&["sessions", "revoke"], words].concat()).await;
        assert_eq!(exit, Exit::Refused, "{words:?}");
    }
}

#[tokio::test]
async fn only_operators_on_this_host_see_names() {
    let site = site().await;
    let admin = site.running.addresses.admin.clone();
    for path in ["/rooms", "/sessions"] {
        let get = async |name: &'static str, value: &'static str| {
            let url = format!("http://{admin}{path}").parse().unwrap();
            let headers = http::HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )]);
            let mut sender = site.browser();
            let sent = sender.send(http::Method::GET, &url, headers, bytes::Bytes::new());
            sent.await.status
        };
        assert_eq!(get("accept", "*/*").await, StatusCode::OK);
        assert_eq!(
            get("origin", "https://evil.example").await,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            get("sec-fetch-site", "cross-site").await,
            StatusCode::FORBIDDEN
        );
        let posted = site.order(path, "{}", &[]).await;
        assert_eq!(posted, StatusCode::METHOD_NOT_ALLOWED);
    }
}
