//! Handoff tokens: from the browser into an app, for one room, once.

use std::time::Duration;

use http::{StatusCode, header};

use super::CREATE;
use crate::support::{
    browser::{Browser, encode},
    site::Site,
};

/// The token of the deep link at the end of an app's sign-in.
pub(super) async fn handoff(browser: &mut Browser, room: &str) -> String {
    let state = format!(r#"{{"room":"{room}","ios":true}}"#);
    let path = format!("/_gateway/login?state={}", encode(&state));
    let text = browser.navigate(&path).await.text();
    let (_, rest) = text
        .split_once(&format!("org.jitsi.meet://meet.example.org/{room}?jwt="))
        .unwrap_or_else(|| panic!("no deep link in {text}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_handoff_token_never_becomes_a_session_for_all_rooms() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    // Long enough for every response to renew the session cookie.
    site.clock_control.advance(Duration::from_hours(2));
    let token = handoff(&mut max, "x").await;
    let mut app = site.browser();
    let created = app
        .bosh_of_app(&format!("room=x&token={token}"), CREATE)
        .await;
    assert!(created.text().contains("sid="), "{created:?}");
    let given: Vec<_> = created.headers.get_all(header::SET_COOKIE).iter().collect();
    assert!(given.is_empty(), "{given:?}");
    // In a page it becomes a pass to the room.
    let token = handoff(&mut max, "x").await;
    let mut tab = site.browser();
    let page = tab.navigate(&format!("/x?jwt={token}")).await;
    assert_eq!(
        (page.status.as_u16(), page.url.as_str()),
        (200, "https://meet.example.org/x")
    );
    assert!(tab.cookie("__Host-gateway-session").is_none());
    assert_eq!(tab.navigate("/y").await.url.path(), "/_gateway/login");
}

#[tokio::test]
async fn a_handoff_token_opens_its_room_only() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let token = handoff(&mut max, "x").await;
    let mut app = site.browser();
    let refused = StatusCode::FORBIDDEN;
    let elsewhere = app.socket_of_app(&format!("room=y&token={token}")).await;
    assert_eq!(elsewhere.unwrap_err(), refused);
    // Cross-origin requests with it are refused, as with a cookie.
    let query = format!("room=x&token={token}");
    let foreign = app.socket_from(&query, "https://evil.test").await;
    assert_eq!(foreign.unwrap_err(), refused);
    assert!(app.socket_of_app(&query).await.is_ok());
    assert!(app.socket_of_app(&query).await.is_ok());
    let again = app.bosh_of_app(&query, CREATE).await.text();
    assert!(again.contains("sid="), "{again}");
    // It opens one page. Later it leads to the sign-in.
    for path in ["/x", "/_gateway/login"] {
        let page = site.browser().navigate(&format!("/x?jwt={token}")).await;
        assert_eq!(page.url.path(), path);
    }

    // Expired, or after sign-out, it is refused.
    let late = handoff(&mut max, "x").await;
    site.clock_control.advance(Duration::from_mins(5));
    let late = app.socket_of_app(&format!("room=x&token={late}")).await;
    assert_eq!(late.unwrap_err(), refused);
    let token = handoff(&mut max, "x").await;
    max.navigate("/_gateway/logout").await;
    let revoked = app.socket_of_app(&format!("room=x&token={token}")).await;
    assert_eq!(revoked.unwrap_err(), refused);
}
