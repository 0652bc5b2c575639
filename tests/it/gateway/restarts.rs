//! A restart restores nothing that was revoked or used up.

use std::{fs, os::unix::fs::PermissionsExt};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::{handoff::handoff, links::enter};
use crate::support::{
    browser::{KeepAliveClient, encode},
    school::{self, Link},
    site::{CLIENT_ID, ORIGIN, Site, SiteOptions},
};

const STATE: &str = "state/revocations.journal";
const SESSION: &str = "__Host-gateway-session";

async fn school() -> Site {
    let rules = format!(
        "[[room]]\nmatch = \"x\"\nenter = \"member\"\n{}",
        school::RULES
    );
    let options = SiteOptions::default().rules(&rules).durable();
    Site::with(options).await.ready().await
}

#[tokio::test]
async fn a_saved_cookie_stays_signed_out_after_a_restart() {
    let site = Site::with(SiteOptions::default().durable())
        .await
        .ready()
        .await;
    let mut max = site.signed_in("max").await;
    let mut mia = site.signed_in("mia").await;
    let saved = max.clone();
    max.navigate("/_gateway/logout").await;

    let site = site.restart().await;
    let mut thief = site.again(&saved);
    assert_eq!(thief.navigate("/x").await.url.path(), "/_gateway/login");
    let socket = thief.socket("room=x").await;
    assert_eq!(socket.unwrap_err(), StatusCode::FORBIDDEN);
    // Others stay signed in.
    mia = site.again(&mia);
    assert_eq!(mia.navigate("/x").await.url.path(), "/x");
    assert!(mia.socket("room=x").await.is_ok());
    let mode = fs::metadata(site.file(STATE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn links_stay_used_up_and_revoked_after_a_restart() {
    let site = school().await;
    let [once, revoked, open] = [json!({"uses": 1}), json!({}), json!({"uses": 1})];
    let once = Link::make(&site, "host", once).await;
    let revoked = Link::make(&site, "host", revoked).await;
    let open = Link::make(&site, "host", open).await;
    let entered = enter(&mut site.browser(), &once.path, "Ann").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    revoked.revoke(&site).await;

    let site = site.restart().await;
    let again = site.browser().navigate(&once.path).await;
    assert_eq!(again.status, StatusCode::GONE, "used up");
    let page = site.browser().navigate(&revoked.path).await;
    assert_eq!(page.status, StatusCode::GONE, "revoked");
    let entered = enter(&mut site.browser(), &open.path, "Ben").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "not used");
}

#[tokio::test]
async fn a_used_handoff_token_opens_no_page_after_a_restart() {
    let site = school().await;
    let mut max = site.signed_in("max").await;
    let (used, unused) = (handoff(&mut max, "x").await, handoff(&mut max, "x").await);
    let page = site.browser().navigate(&format!("/x?jwt={used}")).await;
    assert_eq!(page.url.path(), "/x");

    let site = site.restart().await;
    for (token, path) in [(used, "/_gateway/login"), (unused, "/x")] {
        let page = site.browser().navigate(&format!("/x?jwt={token}")).await;
        assert_eq!(page.url.path(), path);
    }
}

#[tokio::test]
async fn what_an_operator_or_the_provider_revokes_stays_so_after_a_restart() {
    let site = Site::with(SiteOptions::default().durable())
        .await
        .ready()
        .await;
    let max = site.signed_in("max").await;
    let answer = site.order("/revoke", r#"{"subject": "max"}"#, &[]).await;
    assert_eq!(answer, StatusCode::OK);
    let site = site.restart().await;
    let page = site.again(&max).navigate("/x").await;
    assert_eq!(page.url.path(), "/_gateway/login");
    // A second restart reads what the first one compacted.
    let site = site.restart().await;
    let page = site.again(&max).navigate("/x").await;
    assert_eq!(page.url.path(), "/_gateway/login");
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_reported_and_what_it_cannot_keep_is_refused() {
    let site = school().await;
    let once = Link::make(&site, "host", json!({"uses": 1})).await;
    let open = Link::make(&site, "host", json!({})).await;
    let max = site.signed_in("max").await;
    // The successor of the file cannot be created.
    fs::create_dir_all(site.file("state/revocations.journal.new/obstacle")).unwrap();
    let site = site.restart().await;
    let (status, body) = site.readiness().await;
    assert_eq!(status, StatusCode::OK);
    let reasons = body["reasons"].to_string();
    assert!(
        reasons.contains("the journal of revocations cannot be written"),
        "{reasons}"
    );
    let metrics = site.metrics().await;
    assert!(
        metrics.contains("jitsi_auth_gateway_journal_ready 0"),
        "{metrics}"
    );
    // A sign-out is in effect nevertheless.
    let mut max = site.again(&max);
    let mut socket = max.socket("room=x").await.unwrap();
    let page = max.clone().navigate("/_gateway/logout").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("a restart may undo it"), "{page:?}");
    assert_eq!(super::revocation::closed_with(&mut socket).await, 1008);
    assert_eq!(max.navigate("/x").await.url.path(), "/_gateway/login");
    // The sender is told to send it again later.
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let order = site.order("/revoke", r#"{"subject": "mia"}"#, &[]);
    assert_eq!(order.await, unavailable);
    assert_eq!(open.delete(&site).await, unavailable);
    let token = site.provider.logout_token(CLIENT_ID, Some("mia"), None);
    let url = format!("{ORIGIN}/_gateway/backchannel-logout")
        .parse()
        .unwrap();
    let body = format!("logout_token={}", encode(&token));
    let mut provider = site.browser();
    // A provider repeats the same token.
    for _ in 0..2 {
        let body = body.clone().into();
        let answer = provider.send(Method::POST, &url, HeaderMap::new(), body);
        assert_eq!(answer.await.status, unavailable);
    }
    let refused = enter(&mut site.browser(), &once.path, "Ann").await;
    assert_eq!(refused.status, unavailable);
}

/// Sends sign-outs without a credential, with one that is signed out, with made-up ones, and with forged
/// logout tokens: `each` of a kind.
pub(super) async fn send_made_up_credentials(site: &Site, signed_out: &str, each: usize) {
    let made_up = "x".repeat(signed_out.len());
    let genuine = site.provider.logout_token(CLIENT_ID, Some("max"), None);
    let requests = [
        ("logout", Method::GET, String::new(), ""),
        ("logout", Method::GET, format!("{SESSION}={signed_out}"), ""),
        ("logout", Method::GET, format!("{SESSION}={made_up}"), ""),
        (
            "logout",
            Method::GET,
            format!("__Host-gateway-pass-x={signed_out}"),
            "",
        ),
        (
            "backchannel-logout",
            Method::POST,
            String::new(),
            &genuine[..genuine.len() - 1],
        ),
    ];
    for (path, method, cookie, token) in requests {
        let url = format!("{ORIGIN}/_gateway/{path}").parse().unwrap();
        let cookie = HeaderValue::try_from(cookie).unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
        let mut line = KeepAliveClient::new(site.browser());
        for n in 0..each {
            let body = format!("logout_token={token}{n}").into();
            let answer = line.send_body(method.clone(), &url, &headers, body).await;
            assert_ne!(answer.status, StatusCode::OK, "{path} {n}");
        }
    }
}

#[tokio::test]
async fn made_up_credentials_add_no_revocation() {
    let site = school().await;
    let mut max = site.signed_in("max").await;
    let own = max.cookie(SESSION).unwrap().to_owned();
    max.navigate("/_gateway/logout").await;
    let noted = fs::metadata(site.file(STATE)).unwrap().len();
    send_made_up_credentials(&site, &own, 2_000).await;
    assert_eq!(fs::metadata(site.file(STATE)).unwrap().len(), noted);
    let metrics = site.metrics().await;
    let one = "jitsi_auth_gateway_journal_entries 1\n";
    assert!(metrics.contains(one), "{metrics}");
}
