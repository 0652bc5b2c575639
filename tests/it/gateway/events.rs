//! Server-sent events for waiting visitors and for meetings at 8x8.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::support::{
    browser::Events,
    school::{self, Link},
    site::{Site, SiteOptions},
};

/// The events within a second, without comments, until the stream ends.
async fn received_events(events: &mut Events) -> Vec<String> {
    let mut received = Vec::new();
    let listening = async {
        while let Some(event) = events.next().await {
            let named = event.lines().find_map(|line| line.strip_prefix("event: "));
            received.extend(named.map(ToOwned::to_owned));
        }
    };
    tokio::time::timeout(Duration::from_secs(1), listening)
        .await
        .expect("the stream ends within a second");
    received
}

#[tokio::test]
async fn event_streams_are_no_presence_with_an_upstream() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    // A host need not wait, and an event stream is no presence.
    for path in ["/_gateway/events?room=x", "/_gateway/events?room=x&call=1"] {
        assert_eq!(
            received_events(&mut max.listen(path).await).await,
            ["open"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn proxies_pass_events_on_at_once() {
    let rules =
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\nhost = \"group:staff\"\nstart = \"host\"\n";
    let site = Site::with(SiteOptions::default().rules(rules));
    let site = site.await.ready().await;
    let max = site.signed_in("max").await;
    let mut waiting = max.listen("/_gateway/events?room=x").await;
    let field = |name: &str| waiting.headers[name].to_str().unwrap().to_owned();
    assert_eq!(field("content-type"), "text/event-stream");
    // nginx buffers answers unless they say otherwise; caches and compression would hold them, too.
    assert_eq!(field("x-accel-buffering"), "no");
    assert_eq!(field("cache-control"), "no-store");
    assert!(!waiting.headers.contains_key("content-encoding"));
    assert!(!waiting.headers.contains_key("content-length"));
    // The first bytes arrive while nothing has happened, the event when the host is there.
    assert_eq!(waiting.next().await.as_deref(), Some("retry: 2000\n\n"));
    let mut hanna = site.signed_in("hanna").await;
    let host = hanna.socket("room=x").await.unwrap();
    assert_eq!(received_events(&mut waiting).await, ["open"]);
    drop(host);
}

#[tokio::test]
async fn sign_out_closes_the_event_stream_of_a_jaas_meeting() {
    let site = Site::with(SiteOptions::default().jaas());
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let page = max.navigate("/x").await;
    assert!(page.text().contains("/_gateway/events?room=x"), "{page:?}");
    let mut events = max.listen("/_gateway/events?room=x&call=1").await;
    assert_eq!(events.next().await.as_deref(), Some("retry: 2000\n\n"));
    max.navigate("/_gateway/logout").await;
    assert_eq!(received_events(&mut events).await, ["close"]);
}

#[tokio::test]
async fn a_revoked_link_closes_the_event_streams_of_its_guests() {
    let site = Site::with(SiteOptions::default().rules(school::RULES));
    let site = site.await.ready().await;
    let link = Link::make(&site, "guest", json!({"name": "Mia"})).await;
    let mut mia = site.browser();
    assert_eq!(mia.navigate(&link.path).await.status, StatusCode::OK);
    let mut events = mia.listen("/_gateway/events?room=school-7b").await;
    assert_eq!(events.status, StatusCode::OK);
    assert!(events.next().await.is_some());
    link.revoke(&site).await;
    assert_eq!(received_events(&mut events).await, ["close"]);
    let anew = mia.listen("/_gateway/events?room=school-7b").await;
    assert_eq!(anew.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn event_streams_per_session_are_limited() {
    let site = Site::with(SiteOptions::default().jaas());
    let site = site.await.ready().await;
    let max = site.signed_in("max").await;
    let mut open = Vec::new();
    // The limit is 16 per worker, and there are two workers.
    let refused = loop {
        let path = format!("/_gateway/events?room=r{}&call=1", open.len());
        let events = max.listen(&path).await;
        if events.status != StatusCode::OK {
            break events.status;
        }
        open.push(events);
        assert!(open.len() <= 32);
    };
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    let limited = "jitsi_auth_gateway_limits_total{limit=\"event_streams\"} 1\n";
    assert!(site.metrics().await.contains(limited));
    let mia = site.signed_in("mia").await;
    let other = mia.listen("/_gateway/events?room=x&call=1").await;
    assert_eq!(other.status, StatusCode::OK);
    open.clear();
    site.wait_for("the streams are forgotten", async || {
        max.listen("/_gateway/events?room=x&call=1").await.status == StatusCode::OK
    })
    .await;
}
