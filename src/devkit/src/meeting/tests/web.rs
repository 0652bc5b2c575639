//! The web server and the log of requests.

use super::*;

#[tokio::test]
async fn requests_are_logged_without_their_tokens() {
    let setup = start().await;
    let opening = format!("<body xmlns='{BOSH}' rid='1' to='meet.test'/>");
    setup.bosh("room=team&prefix=acme", &opening).await;
    setup
        .bosh("", &format!("<body xmlns='{BOSH}' rid='2' sid='x'/>"))
        .await;
    setup
        .log_in("room=a%20b", Some("secret-token"))
        .await
        .0
        .0
        .close(None)
        .await
        .unwrap();
    setup.get("/team").await;
    let received = setup.meeting.received();
    let kinds: Vec<_> = received.iter().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [
            RequestKind::BoshSession,
            RequestKind::BoshRequest,
            RequestKind::WebSocket,
            RequestKind::Web
        ]
    );
    assert_eq!(received[0].query.as_deref(), Some("room=team&prefix=acme"));
    assert_eq!(received[2].query.as_deref(), Some("room=a%20b"));
    assert_eq!(received[2].headers["authorization"], "Bearer secret-token");
    assert!(!format!("{received:?}").contains("secret"));
}

#[tokio::test]
async fn pages_resemble_jitsis_and_contain_nothing_of_the_request() {
    let setup = start().await;
    for path in [
        "/",
        "/team",
        "/acme/team",
        "/%3Cscript%3Ealert(1)%3C%2Fscript%3E?x=%3Cb%3E",
    ] {
        let page = setup.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let config = page.body.find("var config = {").unwrap();
        let library = page
            .body
            .find("<script src=\"libs/lib-jitsi-meet.min.js\">");
        assert!(config < library.unwrap(), "{path}");
        assert!(!page.body.contains("alert"), "{path}");
    }
    for path in ["/config.js", "/acme/config.js"] {
        let script = setup.get(path).await;
        assert!(
            script.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/javascript")
        );
        assert!(
            script.body.contains("\"domain\":\"meet.test\""),
            "{}",
            script.body
        );
    }
    for path in [
        "/libs/lib-jitsi-meet.min.js",
        "/libs/app.bundle.min.js",
        "/external_api.js",
    ] {
        assert_eq!(setup.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/static/x.html", "/a/static/x", "/a/", "/favicon.ico"] {
        assert_eq!(
            setup.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn addresses_of_other_machines_are_refused() {
    let settings = start().await.meeting.settings.clone();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = DevMeeting::bind(everywhere, settings, Clock::system(), Random::system()).await;
    assert!(matches!(refused, Err(DevkitError::NotLoopback(_))));
}
