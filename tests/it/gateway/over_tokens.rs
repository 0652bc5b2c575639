//! Tokens that were good once: their bearers are led to the room or to the sign-in.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::support::{
    logs::Logs,
    signing_key::sign_with_secret,
    site::{Site, SiteOptions},
};

const SECRET: &str = "what only the school and the gateway know";

async fn site(rule: &str) -> Site {
    let rules = format!(
        "[[integration]]\nid = \"school\"\nrooms = [\"school-*\"]\nsecret = \"{SECRET}\"\n\
         [[room]]\nmatch = \"*\"\n{rule}\n"
    );
    let options = SiteOptions::default().rules(&rules);
    Site::with(options).await.ready().await
}

/// A path with a token that is good for ten minutes, of its own person.
fn path(site: &Site, id: &str) -> String {
    let now = site.now().as_unix();
    let claims = json!({
        "iss": "school", "room": "school-7b", "iat": now, "exp": now + 600,
        "context": { "user": { "id": id, "name": "Mia", "moderator": true } },
    });
    let token = sign_with_secret("", SECRET.as_bytes(), &claims);
    format!("/school-7b?lang=de&jwt={token}")
}

#[tokio::test]
async fn a_token_that_is_over_leads_to_the_next_step_of_the_rule() {
    for (enter, expected) in [
        (r#"["integration", "member"]"#, "sign in"),
        (r#"["integration", "guest"]"#, "name"),
        (r#"["integration", "open"]"#, "room"),
        (r#"["integration"]"#, "open it again"),
        (r#"["integration", "link"]"#, "open it again"),
        (r#""closed""#, "refused"),
    ] {
        let site = site(&format!("enter = {enter}\nstart = \"anyone\"")).await;
        let path = path(&site, "t1");
        site.clock_control.advance(Duration::from_mins(11));
        let page = site.browser().navigate(&path).await;
        let text = page.text();
        let shown = match (page.url.path(), page.status) {
            ("/_gateway/login", _) => "sign in",
            (_, StatusCode::FORBIDDEN) if text.contains("Open the meeting again") => {
                "open it again"
            }
            (_, StatusCode::FORBIDDEN) => "refused",
            ("/school-7b", StatusCode::OK) if text.contains("/_gateway/join") => "name",
            ("/school-7b", StatusCode::OK) => "room",
            other => panic!("{enter}: {other:?}"),
        };
        assert_eq!(shown, expected, "{enter}: {text}");
        let has_token = page.url.query().unwrap_or_default().contains("jwt=");
        assert_eq!(
            has_token,
            expected == "open it again",
            "{enter}: {}",
            page.url
        );
    }
}

#[tokio::test]
async fn a_token_that_is_over_takes_nothing_away() {
    let site = site("enter = [\"integration\", \"member\"]\nstart = \"anyone\"").await;
    // A pass of an earlier visit, by another token.
    let mut browser = site.browser();
    let earlier = path(&site, "t1");
    let page = browser.navigate(&path(&site, "t2")).await;
    assert_eq!(page.status, StatusCode::OK);
    site.clock_control.advance(Duration::from_hours(2));
    let page = browser.navigate(&earlier).await;
    let shown = (page.status, page.url.path(), page.url.query());
    assert_eq!(shown, (StatusCode::OK, "/school-7b", Some("lang=de")));
    assert!(browser.socket("room=school-7b").await.is_ok());
    // A member, as this member.
    let mut member = site.signed_in("max").await;
    let page = member.navigate(&earlier).await;
    let shown = (page.status, page.url.path(), page.url.query());
    assert_eq!(shown, (StatusCode::OK, "/school-7b", Some("lang=de")));
    // Programs get the reason.
    let url = page.url.join(&earlier).unwrap();
    let get = http::Method::GET;
    let headers = http::HeaderMap::new();
    let answer = site.browser().send(get, &url, headers, "".into()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refusal_is_audited_with_the_claim_and_what_would_be_accepted() {
    let logs = Logs::keep();
    let site = site("enter = [\"integration\"]").await;
    let now = site.now().as_unix();
    let claims = json!({
        "iss": "school", "room": "school-7b", "exp": now + 7200, "context": {"user": {"id": "t1"}},
    });
    let token = sign_with_secret("", SECRET.as_bytes(), &claims);
    let refused = site
        .browser()
        .navigate(&format!("/school-7b?jwt={token}"))
        .await;
    assert!(refused.text().contains("lifetime_too_long (exp)"));
    let lines = logs.audit();
    let line = lines.lines().find(|line| line.contains("\"in 2h\""));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    for (field, expected) in [
        ("event", "token_refused"),
        ("reason", "lifetime_too_long"),
        ("integration", "school"),
        ("room", "school-7b"),
        ("claim", "exp"),
        ("allowed", "at most 1h from now"),
    ] {
        assert_eq!(line[field], expected, "{line}");
    }
}

#[tokio::test]
async fn a_system_with_free_names_has_only_rooms_that_nothing_names() {
    let rules = format!(
        "[[integration]]\nid = \"chat\"\nunnamed_rooms = true\nsecret = \"{SECRET}\"\n\
         [[integration]]\nid = \"shop\"\nrooms = [\"shop-*\"]\nsecret = \"another secret, of the shop alone, 32\"\n\
         [[integration]]\nid = \"wiki\"\ntenant = \"wiki\"\nrooms = [\"*\"]\nsecret = \"another secret, of the wiki alone, 32\"\n\
         [[room]]\nmatch = \"board\"\nenter = [\"integration\", \"group:board\"]\n\
         [[room]]\nmatch = \"team-*\"\nenter = [\"integration:chat\"]\n\
         [[room]]\nmatch = \"*\"\nenter = [\"integration\", \"member\"]\n"
    );
    let options = SiteOptions::default().rules(&rules);
    let site = Site::with(options).await.ready().await;
    let now = site.now().as_unix();
    for (issuer, secret, room, path, expected) in [
        ("chat", SECRET, "any-name", "any-name", true),
        ("chat", SECRET, "team-7", "team-7", true),
        ("chat", SECRET, "board", "board", false),
        ("chat", SECRET, "Board", "board", false),
        ("chat", SECRET, "shop-1", "shop-1", false),
        (
            "wiki",
            "another secret, of the wiki alone, 32",
            "x",
            "wiki/x",
            true,
        ),
        (
            "wiki",
            "another secret, of the wiki alone, 32",
            "x",
            "x",
            false,
        ),
        ("chat", SECRET, "x", "wiki/x", false),
    ] {
        // As systems write it, whatever the tenant.
        let claims = json!({
            "iss": issuer, "sub": "meet.example.org", "room": room, "exp": now + 600,
            "context": {"user": {"id": "1"}},
        });
        let token = sign_with_secret("", secret.as_bytes(), &claims);
        let page = site
            .browser()
            .navigate(&format!("/{path}?jwt={token}"))
            .await;
        let entered = page.status == StatusCode::OK && page.url.query().is_none();
        assert_eq!(entered, expected, "{issuer} {path}: {}", page.text());
    }
}
