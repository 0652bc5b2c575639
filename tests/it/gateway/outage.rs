//! A store outage: counted uses are refused, everything else works.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::{CREATE, handoff::handoff, links::enter};
use crate::support::{
    school::{self, Link},
    site::{Site, SiteOptions},
};

#[tokio::test]
async fn counted_uses_are_refused_while_the_store_is_down() {
    let unreachable_store = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:9\"\n";
    let members = "[[room]]\nmatch = \"x\"\nenter = \"member\"\n";
    let rules = format!("{unreachable_store}{members}{}", school::RULES);
    let site = Site::with(SiteOptions::default().rules(&rules));
    let site = site.await.ready().await;
    let once = Link::make(&site, "host", json!({"uses": 1})).await;
    let mut mia = site.browser();
    let refused = enter(&mut mia, &once.path, "Mia").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers.get("set-cookie").is_none());
    let refused = StatusCode::FORBIDDEN;
    assert_eq!(mia.socket("room=school-7b").await.unwrap_err(), refused);
    let mut max = site.signed_in("max").await;
    let token = handoff(&mut max, "x").await;
    let query = format!("room=x&token={token}");
    // In time it needs no store; later the store knows whether it was used in time.
    let socket = site.browser().socket_of_app(&query).await;
    assert!(socket.is_ok(), "{socket:?}");
    site.clock_control.advance(Duration::from_mins(5));
    let socket = site.browser().socket_of_app(&query).await;
    assert_eq!(socket.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    let bosh = site.browser().bosh_of_app(&query, CREATE).await.text();
    assert!(bosh.contains("remote-connection-failed"), "{bosh}");
    // A stream that Prosody still has is resumed.
    let resumed = format!("{query}&previd=abc");
    assert!(site.browser().socket_of_app(&resumed).await.is_ok());
    // Uncounted links and sign-ins need no store.
    let open = Link::make(&site, "host", json!({})).await;
    let entered = enter(&mut mia, &open.path, "Mia").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    assert!(mia.socket("room=school-7b").await.is_ok());
}

#[tokio::test]
async fn connections_wait_for_the_first_answer_of_the_provider() {
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", provider.local_addr().unwrap());
    let options = SiteOptions::default().issuer(&issuer);
    let site = Site::with(options).await;
    // The discovery is under way, and nothing answers.
    let discovery = provider.accept().await.unwrap();
    let (status, body) = site.readiness().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["status"], "starting", "{body}");
    // A refused connection ends the discovery.
    drop((discovery, provider));
    let page = site.browser().navigate("/x").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, body) = site.readiness().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["status"], "degraded", "{body}");
}
