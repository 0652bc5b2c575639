//! Recorders: identified by address, without access for cross-origin pages.

use devkit::meeting::RequestKind;
use http::{StatusCode, header};

use url::Url;

use super::CREATE;
use crate::support::site::{ORIGIN, Site, SiteOptions};

#[tokio::test]
async fn cross_origin_pages_get_no_recorder_access() {
    let site = Site::with(
        SiteOptions::default()
            .rules("[[room]]\nmatch = \"*\"\nenter = \"closed\"\n")
            .listen("recorders = [\"127.0.0.1/32\"]"),
    );
    let site = site.await;
    let mut recorder = site.browser();
    for origin in ["https://evil.test", "null"] {
        let refused = recorder.socket_from("room=x", origin).await.unwrap_err();
        assert_eq!(refused, StatusCode::FORBIDDEN, "{origin}");
    }
    let untouched = |kind| {
        let received = site.meeting.received();
        let mut of_kind = received.iter().filter(|request| request.kind == kind);
        let first = of_kind.next()?;
        Some(first.headers.contains_key(header::AUTHORIZATION))
    };
    assert_eq!(
        untouched(RequestKind::WebSocket),
        None,
        "nothing reached the meeting"
    );
    // The stand-in for Prosody refuses connections without a token, so check what it received.
    let _ = recorder.socket("room=x").await;
    let refused = recorder.bosh("room=x", CREATE).await;
    assert!(
        refused.text().contains("policy-violation"),
        "the members' domain"
    );
    assert_eq!(untouched(RequestKind::BoshSession), None);
    let create = CREATE.replace("'meet.jitsi'", "'hidden.meet.jitsi'");
    let _ = recorder.bosh("room=x", &create).await;
    assert_eq!(untouched(RequestKind::WebSocket), Some(false));
    assert_eq!(untouched(RequestKind::BoshSession), Some(false));
    let page = recorder.navigate("/x").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        !page.text().contains("history.replaceState"),
        "the page is bare"
    );
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    let policy = &page.headers[header::CONTENT_SECURITY_POLICY];
    assert_eq!(policy, "frame-ancestors 'self'");
}

/// Jibri writes to the local storage of `/` before it opens the room.
#[tokio::test]
async fn a_recorder_opens_a_page_of_this_origin_before_the_room() {
    let options = SiteOptions::default().listen("recorders = [\"127.0.0.1/32\"]");
    let site = Site::with(options).await.ready().await;
    let start = Url::parse(ORIGIN).unwrap();
    let page = site.browser().load(&start).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(
        page.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    let policies = page.headers.get_all(header::CONTENT_SECURITY_POLICY);
    for policy in policies {
        assert!(!policy.to_str().unwrap().contains("sandbox"), "{policy:?}");
    }
}
