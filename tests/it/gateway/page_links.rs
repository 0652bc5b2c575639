//! Links on the gateway's own pages: they lead back to the address that the person opened, in its spelling.
//! Jitsi's page shows the room's name as its address has it, and the room's key has small letters only.

use http::StatusCode;
use serde_json::json;

use crate::support::{
    browser::{Page, encode},
    school,
    site::{ORIGIN, Site, SiteOptions},
};

/// `board` is for a group, `late` opens later, `host` waits for its host, guests may enter any other
/// once its host is there, and `plain` at once.
const RULES: &str = r#"
[[room]]
match = "board*"
tenant = "acme"
enter = ["group:board"]
[[room]]
match = "late*"
tenant = "acme"
enter = "guest"
opens = "2199-01-15T08:00:00Z"
[[room]]
match = "host*"
tenant = "acme"
enter = "member"
start = "host"
[[room]]
match = "plain*"
tenant = "acme"
enter = "guest"
start = "anyone"
"#;

fn rules() -> String {
    format!("{RULES}{}", school::RULES)
}

/// The address of a room whose name begins with a word, with capitals and encoded characters.
fn address(word: &str) -> String {
    format!("/Acme/{word}%20%26%20C%C3%A9")
}

/// The key of that room.
fn key(word: &str) -> String {
    format!("acme/{}%20%26%20c%c3%a9", word.to_lowercase())
}

fn login(page: &str, switch: bool) -> String {
    let switch = if switch { "&switch=1" } else { "" };
    format!("/_gateway/login?return_to={}{switch}", encode(page))
}

/// Asserts that a page has these targets, and no address of the room in another spelling.
fn assert_leads(page: &Page, status: u16, word: &str, targets: &[String]) {
    let text = page.text().replace("&#38;", "&");
    assert_eq!(page.status.as_u16(), status, "{word}: {text}");
    for target in targets {
        let link = text.contains(&format!("href=\"{target}\""));
        let field = text.contains(&format!("value=\"{target}\""));
        assert!(link || field, "{word}: no {target} in {text}");
    }
    let respelled = format!("/{}", key(word));
    for respelled in [encode(&respelled), respelled] {
        let links = ["href=\"", "return_to=", "name=\"page\" value=\""];
        let lost = |start| text.contains(&format!("{start}{respelled}"));
        assert!(
            !links.into_iter().any(lost),
            "{word}: {respelled} in {text}"
        );
    }
}

#[tokio::test]
async fn links_of_pages_keep_the_spelling_of_the_address() {
    let site = Site::with(SiteOptions::default().rules(&rules()));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut guest = site.browser();
    let (board, late, host, open) = (
        address("Board"),
        address("Late"),
        address("Host"),
        address("Open"),
    );

    let refused = max.navigate(&board).await;
    assert_leads(&refused, 403, "Board", &[login(&board, true)]);
    let early = guest.navigate(&late).await;
    assert_leads(&early, 403, "Late", &[late.clone(), login(&late, true)]);
    let waiting = max.navigate(&host).await;
    assert_leads(&waiting, 200, "Host", &[login(&host, true)]);
    let choice = guest.navigate(&open).await;
    assert_leads(&choice, 200, "Open", &[open.clone(), login(&open, false)]);
    let refused = guest.navigate(&format!("{open}?invite=x")).await;
    assert_leads(&refused, 400, "Open", std::slice::from_ref(&open));
    let signed_out = format!("/_gateway/signed-out?return_to={}", encode(&open));
    let signed_out = guest.navigate(&signed_out).await;
    assert_leads(&signed_out, 200, "Open", std::slice::from_ref(&open));

    // The form of a guest's name, which posts to another address.
    for (word, name, invite, status, targets) in [
        (
            "Late",
            "Zoë",
            "",
            403,
            vec![late.clone(), login(&late, true)],
        ),
        ("Open", "", "", 422, vec![open.clone(), login(&open, false)]),
        ("Open", "Zoë", "x", 400, vec![open.clone()]),
    ] {
        let fields = [
            ("room", key(word)),
            ("page", address(word)),
            ("invite", invite.to_owned()),
            ("name", name.to_owned()),
        ];
        let fields = fields
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let page = guest.submit("/_gateway/join", &fields).await;
        assert_leads(&page, status, word, &targets);
    }

    // A sign-in that fails, and one that an app began.
    let authorization = guest.begin(&open).await;
    let state = authorization
        .query_pairs()
        .find(|(name, _)| name == "state");
    let (_, state) = state.unwrap();
    let failed = format!("/_gateway/callback?state={state}&code=x");
    let failed = guest.navigate(&failed).await;
    assert_leads(&failed, 502, "Open", &[login(&open, false)]);
    for (word, status, target) in [
        ("Open", 200, open.clone()),
        ("Board", 403, login(&board, true)),
    ] {
        let room = address(word).replacen("/Acme/", "", 1);
        let state = json!({"electron": true, "room": room, "tenant": "Acme"}).to_string();
        let path = format!("/_gateway/login?state={}", encode(&state));
        let page = max.navigate(&path).await;
        assert_leads(&page, status, word, &[target]);
    }

    // A meeting's page, whose address has the room's key; its links lead to that room.
    let refused = max.navigate("/_gateway/meeting?room=acme/board").await;
    let text = refused.text();
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(text.contains("return_to=%2Facme%2Fboard"), "{text}");

    site.reload(|configuration| configuration["upstream"]["web"] = "http://127.0.0.1:9".into());
    let member = address("Plain");
    let entered = [
        ("room", key("Plain")),
        ("page", member.clone()),
        ("name", "Zoë".to_owned()),
    ];
    let entered = entered
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let entered = guest.submit("/_gateway/join", &entered).await;
    assert_eq!(entered.headers["location"], member.as_str());
    let unavailable = guest.navigate(&member).await;
    assert_leads(&unavailable, 502, "Plain", &[member]);
}

#[tokio::test]
async fn a_page_about_the_provider_leads_back_to_the_room() {
    let options = SiteOptions::default().issuer("http://127.0.0.1:9");
    let site = Site::with(options).await;
    let room = address("Open");
    let page = site.browser().navigate(&login(&room, false)).await;
    assert_leads(&page, 503, "Open", &[room]);
}

#[tokio::test]
async fn a_hosted_meeting_is_entered_again_at_its_address() {
    let site = Site::with(SiteOptions::default().jaas())
        .await
        .ready()
        .await;
    let mut max = site.signed_in("max").await;
    let room = address("Open");
    let page = max.navigate(&room).await;
    assert_eq!(page.url.as_str(), format!("{ORIGIN}{room}"));
    assert_leads(&page, 200, "Open", &[room]);
}
