//! Deployments without `[oidc]`: open rooms and integrations.

use http::{Method, StatusCode};
use serde_json::json;

use super::CREATE;
use crate::support::{
    school::{self, Link},
    site::{Site, SiteOptions},
};

const OPEN: &str = "[[room]]\nmatch = \"named-*\"\nenter = \"guest\"\nstart = \"anyone\"\n\
                    [[room]]\nmatch = \"*\"\nenter = \"open\"\n";

async fn site(rules: &str) -> Site {
    Site::with(SiteOptions::default().rules(rules).without_provider()).await
}

#[tokio::test]
async fn open_rooms_need_no_provider() {
    let site = site(OPEN).await;
    let (status, ready) = site.readiness().await;
    assert_eq!(
        (status, &ready["status"], &ready["provider"]),
        (StatusCode::OK, &json!("ready"), &json!("none"))
    );
    let mut visitor = site.browser();
    let page = visitor.navigate("/tea").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    // Jitsi's page offers no sign-in.
    assert!(
        page.text().contains(r#"delete config["tokenAuthUrl"]"#),
        "{page:?}"
    );
    assert!(
        visitor
            .bosh("room=tea", CREATE)
            .await
            .text()
            .contains("sid=")
    );
    assert!(visitor.socket("room=tea").await.is_ok());
}

#[tokio::test]
async fn without_a_provider_no_app_is_sent_to_a_sign_in() {
    let site = site(school::RULES).await;
    let mut app = site.browser();
    let waiting = app.socket_of_app("room=school-7b").await.unwrap_err();
    assert_eq!(waiting, StatusCode::FORBIDDEN);
    let text = app.bosh_of_app("room=school-7b", CREATE).await.text();
    assert!(text.contains("policy-violation"), "{text}");
}

#[tokio::test]
async fn without_a_provider_no_page_links_to_sign_in() {
    let site = site(OPEN).await;
    let mut visitor = site.browser();
    for path in ["/", "/named-tea"] {
        let page = visitor.navigate(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page:?}");
        assert!(
            !page.text().contains("href=\"/_gateway/login"),
            "{path}: {page:?}"
        );
    }
    for path in [
        "/_gateway/login?return_to=/tea",
        "/_gateway/callback?code=x&state=y",
        "/_gateway/frontchannel-logout?iss=x&sid=y",
        "/_gateway/meeting?room=tea",
        "/etherpad/p/tea",
        "/transcripts/tea",
    ] {
        let page = visitor.navigate(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {page:?}");
    }
    let url = visitor.navigate("/").await.url;
    let logout = url.join("/_gateway/backchannel-logout").unwrap();
    let answer = visitor
        .send(Method::POST, &logout, http::HeaderMap::new(), "".into())
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    // Sign-out ends the pass.
    let fields = [("room", "named-tea"), ("name", "Tea")];
    visitor.submit("/_gateway/join", &fields).await;
    assert_eq!(visitor.cookie_values().len(), 1);
    let out = visitor.navigate("/_gateway/logout").await;
    assert_eq!(out.url.path(), "/_gateway/signed-out", "{out:?}");
    assert!(visitor.cookie_values().is_empty());
}

#[tokio::test]
async fn without_a_provider_integrations_identify_people() {
    let site = site(&school::RULES.replace("\"guest\"", "\"link\"")).await;
    let mut stranger = site.browser();
    let refused = stranger.navigate("/school-7b").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert!(!refused.text().contains("/_gateway/login"), "{refused:?}");
    let link = Link::make(&site, "host", json!({"name": "Mia"})).await;
    let mut mia = site.browser();
    let page = mia.navigate(&link.path).await;
    assert_eq!(
        (page.status, page.url.query()),
        (StatusCode::OK, None),
        "{page:?}"
    );
    assert!(mia.socket("room=school-7b").await.is_ok());
}
