//! Lifetimes of tokens that clients present.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::{CREATE, revocation::closed_with, sid_of};
use crate::support::{
    browser::{Browser, Page},
    site::{ORIGIN, Site, SiteOptions},
};

/// The handoff token of the deep link, for a signed-in browser.
pub(super) async fn handoff_token(browser: &mut Browser) -> String {
    let state = json!({ "room": "planning", "ios": true }).to_string();
    let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
    let page = browser
        .navigate(&format!("/_gateway/login?state={state}"))
        .await;
    let text = page.text();
    let link = "org.jitsi.meet://meet.example.org/planning?jwt=";
    let (_, rest) = text
        .split_once(link)
        .unwrap_or_else(|| panic!("no {link} in {text}"));
    let plain = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
    rest.split(plain).next().unwrap().to_owned()
}

fn query(token: &str) -> String {
    format!("room=planning&token={token}")
}

#[tokio::test]
async fn a_handoff_token_is_good_for_its_room_if_it_was_used_in_time() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let (used, bosh, late) = (
        handoff_token(&mut max).await,
        handoff_token(&mut max).await,
        handoff_token(&mut max).await,
    );
    let mut app = site.browser();
    app.socket_of_app(&query(&used)).await.unwrap();
    let created = app.bosh_of_app(&query(&bosh), CREATE).await.text();
    let sid = sid_of(&created);

    site.clock_control.advance(Duration::from_mins(20));
    let status = |outcome: Result<_, _>| outcome.map(|_| ());
    let refused = Err(StatusCode::FORBIDDEN);
    assert_eq!(status(app.socket_of_app(&query(&late)).await), refused);
    let text = app.bosh_of_app(&query(&late), CREATE).await.text();
    assert!(text.contains("policy-violation"), "{text}");
    // From any address, to resume and to enter anew.
    for query in [
        query(&used),
        format!("{}&previd=x", query(&used)),
        query(&bosh),
    ] {
        let mut elsewhere = site.browser();
        assert_eq!(
            status(elsewhere.socket_of_app(&query).await),
            Ok(()),
            "{query}"
        );
    }
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let before = site.bosh_requests();
    let polling = async { app.clone().bosh_of_app(&query(&bosh), &poll).await };
    let reached = site.wait_for("the poll reaches the meeting", async || {
        site.bosh_requests() > before
    });
    tokio::select! {
        answer = polling => assert!(!answer.text().contains("terminate"), "{answer:?}"),
        () = reached => {}
    }
}

#[tokio::test]
async fn a_handoff_token_that_was_not_used_in_time_can_only_resume() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let token = handoff_token(&mut max).await;
    site.clock_control.advance(Duration::from_mins(5));
    let resumed = format!("{}&previd=made-up", query(&token));
    let mut socket = site.browser().socket_of_app(&resumed).await.unwrap();
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
    let bind = "<iq xmlns='jabber:client' type='set' id='1'>\
        <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    for message in [open, auth, open, bind] {
        socket.send(Message::text(message)).await.unwrap();
        if message == auth {
            let answers = socket.by_ref().filter(|answer| {
                let text = answer.as_ref().map(ToString::to_string);
                std::future::ready(text.is_ok_and(|text| text.starts_with("<success")))
            });
            assert!(pin!(answers).next().await.is_some());
        }
    }
    assert_eq!(closed_with(&mut socket).await, 1008);
}

#[tokio::test]
async fn a_branded_app_is_opened_by_its_own_names() {
    let apps = "[apps]\nios_scheme = \"org.brand.ios\"\nandroid_scheme = \"org.brand\"\n\
        android_package = \"org.brand.Meet\"\ndesktop_scheme = \"brand-meet\"\n\
        [[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    let site = Site::with(SiteOptions::default().rules(apps)).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    for (app, begins, ends) in [
        (
            "ios",
            "org.brand.ios://meet.example.org/planning?jwt=",
            "#config.a=1",
        ),
        (
            "android",
            "intent://meet.example.org/planning?jwt=",
            "#config.a=1#Intent;scheme=org.brand;package=org.brand.Meet;end",
        ),
        (
            "electron",
            "brand-meet://meet.example.org/planning?jwt=",
            "#config.a=1",
        ),
    ] {
        let state = json!({ "room": "planning", app: true, "config.a": 1 }).to_string();
        let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
        let page = max
            .navigate(&format!("/_gateway/login?state={state}"))
            .await;
        let text = page.text();
        let (_, link) = text
            .split_once("id=\"open\"")
            .unwrap_or_else(|| panic!("{text}"));
        let (_, link) = link.split_once("href=\"").unwrap();
        let (link, _) = link.split_once('"').unwrap();
        assert!(link.starts_with(begins) && link.ends_with(ends), "{link}");
    }
}

const SCHOOL: &str = r#"
[[integration]]
id = "school"
secret = "the school's own secret, long enough for HS256"
rooms = ["school-*"]
embed = ["https://school.test"]
[[room]]
match = "*"
enter = "member"
"#;

/// Loads a page in a frame of another site.
async fn load_in_frame(browser: &mut Browser, url: &Url) -> Page {
    let headers = [
        (header::ACCEPT.as_str(), "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "iframe"),
    ];
    let headers: HeaderMap = headers
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
    browser.send(Method::GET, url, headers, Bytes::new()).await
}

#[tokio::test]
async fn a_frame_reloads_after_its_token_expired() {
    let rules = SiteOptions::default().rules(SCHOOL);
    let site = Site::with(rules).await.ready().await;
    let claims = json!({
        "iss": "school",
        "room": "school-a",
        "exp": 1_800_000_000 + 600,
        "context": { "user": { "id": "7", "name": "Tina" } },
    });
    let key = EncodingKey::from_secret(b"the school's own secret, long enough for HS256");
    let token = encode(&Header::default(), &claims, &key).unwrap();
    let url = Url::parse(&format!("{ORIGIN}/school-a?jwt={token}")).unwrap();
    let mut frame = site.browser();
    let page = load_in_frame(&mut frame, &url).await;
    assert_eq!(page.status, StatusCode::OK);

    site.clock_control.advance(Duration::from_mins(11));
    let again = load_in_frame(&mut frame, &url).await;
    assert_eq!(again.status, StatusCode::OK);
    // Another browser is shown the way to the sign-in, in the frame.
    let mut other = site.browser();
    let next = load_in_frame(&mut other, &url).await;
    assert_eq!(next.status, StatusCode::SEE_OTHER);
    let location = next.headers[header::LOCATION].to_str().unwrap();
    assert!(location.starts_with("/_gateway/login?"), "{location}");
    let shown = load_in_frame(&mut other, &url.join(location).unwrap()).await;
    assert!(!location.contains("jwt"), "{location}");
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text());
    let policy = shown.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("frame-ancestors 'self' https://school.test;"),
        "{policy}"
    );

    // Beyond the guest lifetime.
    site.clock_control.advance(Duration::from_hours(12));
    let over = load_in_frame(&mut frame, &url).await;
    assert_eq!(over.status, StatusCode::SEE_OTHER);
}
