//! Sessions are revalidated with the provider by refresh tokens.

use std::time::Duration;

use devkit::provider::DevAccount;
use http::StatusCode;
use tokio_tungstenite::tungstenite::Message;

use super::{handoff::handoff, revocation::closed_with};
use crate::support::{
    browser::Socket,
    logs::Logs,
    site::{Site, SiteOptions},
};

/// Past the time at which a session in use is asked for, before the interval ends.
pub(super) const DUE: Duration = Duration::from_secs(505);

/// The default of `oidc.revalidate`.
const INTERVAL: Duration = Duration::from_mins(10);

const RULES: &str = r#"
[[room]]
match = "board"
enter = ["group:board"]
[[room]]
match = "*"
enter = "member"
moderators = ["group:staff"]
"#;

async fn site() -> Site {
    let options = SiteOptions::default().refresh_tokens().rules(RULES);
    Site::with(options).await.ready().await
}

/// Waits until so many revalidations had a result.
pub(super) async fn counted(site: &Site, result: &str, count: usize) {
    let line =
        format!("jitsi_auth_gateway_session_revalidations_total{{result=\"{result}\"}} {count}\n");
    site.wait_for(&line, async || site.metrics().await.contains(&line))
        .await;
}

/// Whether a WebSocket still answers.
pub(super) async fn is_open(socket: &mut Socket) -> bool {
    use futures_util::{SinkExt, StreamExt};
    let ping = Message::Ping(bytes::Bytes::from_static(b"?"));
    if socket.send(ping).await.is_err() {
        return false;
    }
    matches!(socket.next().await, Some(Ok(Message::Pong(_))))
}

#[tokio::test]
async fn a_session_in_use_is_refreshed_again_and_again() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    for round in 1..=3 {
        site.clock_control.advance(DUE);
        // Each refresh token is accepted once, so the gateway has to keep the next one.
        counted(&site, "unchanged", round).await;
    }
    assert!(is_open(&mut socket).await);
    // Nobody has used the second session, and so nobody asks.
    let _unused = site.signed_in("mia").await;
    site.clock_control.advance(INTERVAL);
    counted(&site, "unchanged", 4).await;
}

#[tokio::test]
async fn a_removed_account_is_put_out_of_its_meeting() {
    let logs = Logs::keep();
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    let mut mia = site.signed_in("mia").await;
    let mut of_mia = mia.socket("room=x").await.unwrap();
    site.provider.remove_account("max");
    site.clock_control.advance(DUE);
    counted(&site, "ended", 1).await;
    assert_eq!(closed_with(&mut socket).await, 1008);
    assert!(is_open(&mut of_mia).await);
    // The cookie counts no more.
    let refused = max.socket("room=x").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert_eq!(max.navigate("/x").await.url.path(), "/_gateway/login");
    let audit = logs.audit();
    let lines: Vec<_> = audit
        .lines()
        .filter(|line| line.contains("\"revalidation_refused\""))
        .collect();
    assert!(
        lines.iter().any(|line| line.contains("grant_refused")),
        "{lines:?}"
    );
    let cut = "jitsi_auth_gateway_cuts_total{transport=\"websocket\",reason=\"revalidation\"} 1";
    site.wait_for("the cut is counted", async || {
        site.metrics().await.contains(cut)
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_provider_ends_no_session() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    site.provider.set_overloaded(true);
    for round in 1..=3 {
        site.clock_control.advance(INTERVAL);
        counted(&site, "failed", round).await;
    }
    assert!(is_open(&mut socket).await);
    // Nor does a page wait for a provider that did not answer.
    let page = tokio::time::timeout(Duration::from_secs(2), max.navigate("/x"));
    assert_eq!(page.await.unwrap().status, StatusCode::OK);
    site.provider.set_overloaded(false);
    site.clock_control.advance(Duration::from_secs(61));
    counted(&site, "unchanged", 1).await;
    assert!(is_open(&mut socket).await);
}

/// The provider redeems a token, and its response with the next one is lost.
#[tokio::test]
async fn a_lost_response_of_the_provider_ends_no_session() {
    let logs = Logs::keep();
    let site = site().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max.socket("room=x").await.unwrap();
    site.provider.set_loses_tokens(true);
    site.clock_control.advance(DUE);
    counted(&site, "failed", 1).await;
    site.provider.set_loses_tokens(false);
    // The provider refuses the token that it redeemed.
    site.clock_control.advance(Duration::from_secs(61));
    counted(&site, "no_grant", 1).await;
    assert!(is_open(&mut socket).await);
    assert_eq!(max.navigate("/x").await.status, StatusCode::OK);
    assert!(!logs.audit().contains("revalidation_refused"));
    // Another sign-in is revalidated again.
    let mut mia = site.signed_in("mia").await;
    let _socket = mia.socket("room=x").await.unwrap();
    site.clock_control.advance(DUE);
    counted(&site, "unchanged", 1).await;
}

#[tokio::test]
async fn a_lost_group_puts_out_of_its_rooms_only() {
    let site = site().await;
    let board = |groups: &[&str]| DevAccount::new("bea", "Bea Board", groups);
    site.provider.set_account(board(&["board"]));
    let mut bea = site.signed_in("bea").await;
    let mut in_board = bea.socket("room=board").await.unwrap();
    let mut in_x = bea.socket("room=x").await.unwrap();
    site.provider.set_account(board(&[]));
    site.clock_control.advance(DUE);
    counted(&site, "changed", 1).await;
    assert_eq!(closed_with(&mut in_board).await, 1008);
    assert!(is_open(&mut in_x).await);
    let refused = bea.socket("room=board").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    // The next response renews the cookie, which then has the identity of now.
    let before = bea.cookie("__Host-gateway-session").unwrap().to_owned();
    assert_eq!(bea.navigate("/x").await.status, StatusCode::OK);
    assert_ne!(bea.cookie("__Host-gateway-session").unwrap(), before);
    // The group comes back: no sign-in is needed.
    site.provider.set_account(board(&["board"]));
    site.clock_control.advance(DUE);
    counted(&site, "changed", 2).await;
    assert!(bea.socket("room=board").await.is_ok());
    assert!(is_open(&mut in_x).await);
}

#[tokio::test]
async fn a_lost_role_makes_the_moderator_join_anew() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    let mut socket = hanna.socket("room=x").await.unwrap();
    let plain = DevAccount::new("hanna", "Hanna Host", &[]);
    site.provider.set_account(plain);
    site.clock_control.advance(DUE);
    counted(&site, "changed", 1).await;
    assert_eq!(closed_with(&mut socket).await, 1008);
    // As a participant.
    let mut again = hanna.socket("room=x").await.unwrap();
    // A role that was added ends nothing.
    let staff = DevAccount::new("hanna", "Hanna Host", &["staff"]);
    site.provider.set_account(staff);
    site.clock_control.advance(DUE);
    counted(&site, "changed", 2).await;
    assert!(is_open(&mut again).await);
}

#[tokio::test]
async fn a_member_in_an_app_is_revalidated_too() {
    let site = site().await;
    let board = |groups: &[&str]| DevAccount::new("bea", "Bea Board", groups);
    site.provider.set_account(board(&["board"]));
    let mut bea = site.signed_in("bea").await;
    let token = handoff(&mut bea, "board").await;
    drop(bea);
    let mut app = site.browser();
    let query = format!("room=board&token={token}");
    let mut socket = app.socket_of_app(&query).await.unwrap();
    // The last request of the browser is longer ago than an interval.
    for round in 1..=2 {
        site.clock_control.advance(DUE);
        counted(&site, "unchanged", round).await;
    }
    site.provider.set_account(board(&[]));
    site.clock_control.advance(DUE);
    counted(&site, "changed", 1).await;
    assert_eq!(closed_with(&mut socket).await, 1008);
    let refused = app.socket_of_app(&query).await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_that_comes_back_is_revalidated_before_its_page() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    // Not in use for so long that nobody asks any more.
    for _ in 0..3 {
        site.clock_control.advance(INTERVAL);
    }
    site.provider.remove_account("max");
    assert_eq!(max.navigate("/x").await.url.path(), "/_gateway/login");
}

#[tokio::test]
async fn revalidation_can_be_switched_off_and_needs_a_refresh_token() {
    for options in [
        SiteOptions::default()
            .refresh_tokens()
            .rules("[oidc]\nrevalidate = \"0s\"\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n"),
        SiteOptions::default(),
    ] {
        let site = Site::with(options).await.ready().await;
        let mut max = site.signed_in("max").await;
        let mut socket = max.socket("room=x").await.unwrap();
        site.provider.remove_account("max");
        site.clock_control.advance(INTERVAL);
        assert_eq!(max.navigate("/x").await.status, StatusCode::OK);
        assert!(is_open(&mut socket).await);
    }
}
