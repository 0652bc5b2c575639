//! A restart restores nothing that was revoked or used up.

use std::{fs, os::unix::fs::PermissionsExt};

use http::StatusCode;
use serde_json::json;

use super::{handoff::handoff, links::enter};
use crate::support::{
    school::{self, Link},
    site::{Site, SiteOptions},
};

const STATE: &str = "state/revocations.journal";

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
    let again = enter(&mut site.browser(), &once.path, "Eve").await;
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
