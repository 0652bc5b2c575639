//! Integrations: people identified by another system's token.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{CREATE, sid_of};
use crate::support::{
    signing_key::sign_with_secret,
    site::{Site, SiteOptions},
};

const SECRET: &str = "what only the school and the gateway know";

const SCHOOL: &str = r#"
[[integration]]
id = "school"
rooms = ["school-*"]
secret = "what only the school and the gateway know"
emails_verified = true
"#;

const RULES: &str = r#"
[[room]]
match = "*"
enter = ["member", "integration", "email:hanna@example.org"]
host = ["owner", "integration", "subject:hanna", "group:staff"]
start = "host"
"#;

async fn site() -> Site {
    let rules = format!("{RULES}{SCHOOL}");
    let options = SiteOptions::default().rules(&rules);
    Site::with(options).await.ready().await
}

/// A token of the integration `school` for its room.
fn token(site: &Site, user: &Value) -> String {
    let now = site.now().as_unix();
    let claims = json!({
        "iss": "school", "aud": "jitsi", "sub": "meet.jitsi", "room": "school-7b",
        "iat": now, "exp": now + 600, "context": { "user": user },
    });
    sign_with_secret("", SECRET.as_bytes(), &claims)
}

#[tokio::test]
async fn removing_an_integration_disconnects_its_users() {
    let site = site().await;
    let teacher = json!({"id": "t1", "name": "Tea", "moderator": true});
    let token = token(&site, &teacher);
    let mut tea = site.browser();
    let page = tea.navigate(&format!("/school-7b?jwt={token}")).await;
    assert_eq!((page.status, page.url.query()), (StatusCode::OK, None));
    let mut socket = tea.socket("room=school-7b").await.unwrap();
    let created = tea.bosh("room=school-7b", CREATE).await.text();
    let sid = sid_of(&created).to_owned();
    // The operator removes the integration.
    site.reload(|configuration| {
        configuration.remove("integration");
    });
    // The reloaded configuration is applied to open connections.
    assert_eq!(super::revocation::closed_with(&mut socket).await, 1008);
    let refused = StatusCode::FORBIDDEN;
    assert_eq!(tea.socket("room=school-7b").await.unwrap_err(), refused);
    let request =
        format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let poll = tea.bosh("room=school-7b", &request).await.text();
    assert!(poll.contains("policy-violation"), "{poll}");
    assert_eq!(
        tea.navigate("/school-7b").await.url.path(),
        "/_gateway/login"
    );
}

#[tokio::test]
async fn moderators_of_an_integration_are_hosts_of_its_rooms_only() {
    let site = site().await;
    let refused = StatusCode::FORBIDDEN;
    // None of these is a host, so all wait.
    for user in [
        json!({"id": "hanna", "name": "Hanna Host"}),
        json!({"id": "a", "groups": ["staff"], "subject": "hanna"}),
        json!({"id": "b", "moderator": "yes"}),
        json!({"id": "c", "moderator": 1, "affiliation": "member"}),
        json!({"name": "recorder", "email": "hanna@example.org"}),
    ] {
        let token = token(&site, &user);
        let mut browser = site.browser();
        let page = browser.navigate(&format!("/school-7b?jwt={token}")).await;
        assert!(page.text().contains("/_gateway/events"), "{user}: {page:?}");
        let socket = browser.socket("room=school-7b").await;
        assert_eq!(socket.unwrap_err(), refused, "{user}");
        // The pass opens no other room, and the token no other page.
        let other = browser.socket("room=school-8b").await;
        assert_eq!(other.unwrap_err(), refused, "{user}");
        let other = browser.navigate(&format!("/school-8b?jwt={token}")).await;
        assert_eq!(other.status, refused, "{user}");
    }
    let host = token(&site, &json!({"id": "t1", "moderator": true}));
    let query = format!("room=school-7b&token={host}");
    assert!(site.browser().socket_of_app(&query).await.is_ok());
    let mut foreign = site.browser();
    let foreign = foreign.socket_from(&query, "https://evil.test").await;
    assert_eq!(foreign.unwrap_err(), refused);
}

#[tokio::test]
async fn an_unreplaced_variable_in_place_of_a_token_counts_as_no_token() {
    let site = site().await;
    let mut max = site.signed_in("max").await;
    for nothing in ["undefined", "null", "%20", "a.b"] {
        let path = format!("/school-7b?jwt={nothing}");
        let page = site.browser().navigate(&path).await;
        assert_eq!(page.url.path(), "/_gateway/login", "{nothing}");
        let page = max.navigate(&path).await;
        assert!(page.text().contains("/_gateway/events"), "{nothing}: waits");
    }
    // What has the form of a token is judged.
    let page = max.navigate("/school-7b?jwt=a.b.c").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stream_continues_after_its_token_expired() {
    let site = site().await;
    let host = token(&site, &json!({"id": "t1", "moderator": true}));
    // An app sends the token with each request.
    let query = format!("room=school-7b&token={host}");
    let mut app = site.browser();
    let created = app.bosh_of_app(&query, CREATE).await.text();
    let sid = sid_of(&created).to_owned();
    site.clock_control.advance(Duration::from_mins(11));
    let bye = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}' type='terminate'/>"
    );
    let answer = app.bosh_of_app(&query, &bye).await.text();
    assert!(!answer.contains("policy-violation"), "{answer}");
    // The expired token is refused.
    let late = app.bosh_of_app(&query, CREATE).await.text();
    assert!(late.contains("policy-violation"), "{late}");
    let late = app.socket_of_app(&query).await;
    assert_eq!(late.unwrap_err(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_issued_before_the_revocation_of_its_person_is_refused() {
    let site = site().await;
    let teacher = json!({"id": "t1", "moderator": true});
    let earlier = token(&site, &teacher);
    let query = format!("room=school-7b&token={earlier}");
    assert!(site.browser().socket_of_app(&query).await.is_ok());
    let order = r#"{"subject":"integration:school:t1"}"#;
    assert_eq!(site.order("/revoke", order, &[]).await, StatusCode::OK);
    site.clock_control.advance(Duration::from_secs(5));
    let refused = site.browser().socket_of_app(&query).await;
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
    let created = site.browser().bosh_of_app(&query, CREATE).await.text();
    assert!(created.contains("policy-violation"), "{created}");
    let mut browser = site.browser();
    browser.navigate(&format!("/school-7b?jwt={earlier}")).await;
    let refused = browser.socket("room=school-7b").await;
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
    // The school vouches for the person anew.
    let query = format!("room=school-7b&token={}", token(&site, &teacher));
    assert!(site.browser().socket_of_app(&query).await.is_ok());
}
