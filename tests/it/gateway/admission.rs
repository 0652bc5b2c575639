//! Admission to Prosody: when a session is renewed, when a use of a link is counted, and when an
//! entry is recorded.

use std::time::Duration;

use http::StatusCode;
use model::clock::{Clock, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CREATE, links::enter, sid_of};
use crate::support::{
    logs::Logs,
    school::{self, Link},
    site::{Site, SiteOptions},
};

/// A session that idles out after a quarter of an hour.
async fn site_with_short_sessions() -> Site {
    let start = Timestamp::parse("2027-01-15T08:00Z").unwrap();
    let (clock, clock_control) = Clock::manual(start);
    let options = SiteOptions::default()
        .rules(school::RULES)
        .session("idle = \"15m\"")
        .clock(clock, clock_control);
    Site::with(options).await.ready().await
}

#[tokio::test]
async fn bosh_polls_renew_a_member_who_opened_a_link() {
    let site = site_with_short_sessions().await;
    let mut max = site.signed_in("max").await;
    let link = Link::make(&site, "host", json!({})).await;
    max.navigate(&link.path).await;
    let create = CREATE.replace("wait='60'", "wait='0'");
    let created = max.bosh("room=school-7b", &create).await.text();
    let sid = sid_of(&created).to_owned();
    for rid in 101..105 {
        site.clock_control.advance(Duration::from_mins(10));
        let poll =
            format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'/>");
        let answer = max.bosh("room=school-7b", &poll).await;
        assert!(!answer.text().contains("terminate"), "{rid}: {answer:?}");
    }
    // Still the member, and not only the holder of a link.
    let page = max.navigate("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(max.cookie("__Host-gateway-session").is_some());
}

#[tokio::test]
async fn the_keep_alive_of_jitsis_page_renews_the_session() {
    let site = site_with_short_sessions().await;
    let mut max = site.signed_in("max").await;
    for _ in 0..4 {
        site.clock_control.advance(Duration::from_mins(10));
        max.navigate("/_unlock?room=school-7b").await;
    }
    let page = max.navigate("/school-7b").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        !page.text().contains("/_gateway/join"),
        "a stranger: {page:?}"
    );
}

#[tokio::test]
async fn a_refusal_does_not_use_up_a_link() {
    let site = Site::with(SiteOptions::default().rules(school::RULES)).await;
    let site = site.ready().await;
    let link = Link::make(&site, "host", json!({"uses": 1})).await;
    site.reload(|configuration| configuration["room"][0]["enter"] = "closed".into());
    let refused = enter(&mut site.browser(), &link.path, "Ann").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    site.reload(|configuration| configuration["room"][0]["enter"] = "link".into());
    let admitted = enter(&mut site.browser(), &link.path, "Ann").await;
    assert!(admitted.status.is_redirection() || admitted.status.is_success());
    let used_up = site.browser().navigate(&link.path).await;
    assert_eq!(used_up.status, StatusCode::GONE, "{used_up:?}");
}

#[tokio::test]
async fn an_entry_counts_only_when_prosody_has_answered() {
    const ROOM: &str = "entry-without-prosody";
    let logs = Logs::keep();
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    site.reload(|configuration| {
        configuration["upstream"]["xmpp"] = "http://127.0.0.1:9".into();
    });
    let query = format!("room={ROOM}");
    let answer = max.bosh(&query, CREATE).await.text();
    assert!(answer.contains("remote-connection-failed"), "{answer}");
    assert!(max.socket(&query).await.is_err());
    let entries = logs.audit();
    let entries: Vec<&str> = entries
        .lines()
        .filter(|line| line.contains("\"event\":\"admitted\"") && line.contains(ROOM))
        .collect();
    assert!(entries.is_empty(), "{entries:#?}");
    let metrics = site.metrics().await;
    let counted = metrics
        .lines()
        .any(|line| line.starts_with("jitsi_auth_gateway_entries_total") && !line.ends_with(" 0"));
    assert!(!counted, "{metrics}");
}

#[tokio::test]
async fn rules_that_changed_while_a_body_arrived_refuse_the_session() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    let (first, rest) = CREATE.split_at(20);
    let mut connection = max.open_bosh("room=x", CREATE.len()).await;
    connection.write_all(first.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
    // The rules are read once the gateway has the head of the request.
    site.wait_for("the request is in flight", async || {
        let metrics = site.metrics().await;
        metrics.contains("jitsi_auth_gateway_connections_open 1")
    })
    .await;
    site.reload(|configuration| configuration["room"][0]["enter"] = "closed".into());
    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("policy-violation"), "{answer}");
}
