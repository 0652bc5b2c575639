//! People whom another system vouches for.

use http::StatusCode;
use serde_json::{Value, json};

use super::{CREATE, sid_of};
use crate::support::{
    signing_key::sign_with_secret,
    site::{Site, Wishes},
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
    let wishes = Wishes {
        rules: &rules,
        ..Wishes::default()
    };
    Site::with(wishes).await.ready().await
}

/// A token of the school for its room.
fn token(site: &Site, user: &Value) -> String {
    let now = site.now().as_unix();
    let claims = json!({
        "iss": "school", "aud": "jitsi", "sub": "meet.jitsi", "room": "school-7b",
        "iat": now, "exp": now + 600, "context": { "user": user },
    });
    sign_with_secret("", SECRET.as_bytes(), &claims)
}

#[tokio::test]
async fn whom_nobody_vouches_for_any_more_is_out() {
    let site = site().await;
    let teacher = json!({"id": "t1", "name": "Tea", "moderator": true});
    let token = token(&site, &teacher);
    let mut tea = site.browser();
    let page = tea.navigate(&format!("/school-7b?jwt={token}")).await;
    assert_eq!((page.status, page.url.query()), (StatusCode::OK, None));
    assert!(tea.socket("room=school-7b").await.is_ok());
    let created = tea.bosh("room=school-7b", CREATE).await.text();
    let sid = sid_of(&created).to_owned();
    // The school's secret is stolen, or the contract ends: its section is taken out.
    site.reload(SCHOOL, "");
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
