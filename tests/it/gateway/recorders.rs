//! The recorders' door: by where they are, and for no page of others.

use devkit::meeting::RequestKind;
use http::{StatusCode, header};

use super::CREATE;
use crate::support::site::{Site, Wishes};

#[tokio::test]
async fn no_page_of_others_uses_the_recorders_door() {
    let site = Site::with(Wishes {
        rules: "[[room]]\nmatch = \"*\"\nenter = \"closed\"\n",
        listen: "recorders = [\"127.0.0.1/32\"]",
        ..Wishes::default()
    });
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
    // The stand-in for Prosody takes nobody without a token; what counts is what reaches it.
    let _ = recorder.socket("room=x").await;
    let _ = recorder.bosh("room=x", CREATE).await;
    assert_eq!(untouched(RequestKind::WebSocket), Some(false));
    assert_eq!(untouched(RequestKind::BoshSession), Some(false));
    let page = recorder.navigate("/x").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        !page.text().contains("history.replaceState"),
        "the page is bare"
    );
}
