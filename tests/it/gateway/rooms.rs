//! A backend token names one room, never the wildcard.

use devkit::meeting::RequestKind;
use http::StatusCode;

use super::CREATE;
use crate::support::site::Site;

#[tokio::test]
async fn no_spelling_of_a_room_name_becomes_a_wildcard() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    // Prosody accepts the claim `*` for any room (`verify_room`).
    for room in ["*", "%2A", "%252A", "%252a", "%EF%BC%8A", "%EF%B9%A1"] {
        let query = format!("room={room}");
        let answer = max.bosh(&query, CREATE).await;
        assert!(answer.text().contains("bad-request"), "{room}: {answer:?}");
        let refused = max.socket(&query).await.unwrap_err();
        assert_eq!(refused, StatusCode::BAD_REQUEST, "{room}");
    }
    let page = max.navigate("/%2A").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let received = site.meeting.received();
    assert!(
        received
            .iter()
            .all(|request| request.kind == RequestKind::Web)
    );
}
