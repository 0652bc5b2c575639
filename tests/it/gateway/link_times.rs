//! Lifetimes of links and passes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    browser::{Browser, Page, encode},
    site::{ORIGIN, Site, SiteOptions},
};

const KEY: &str = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b";

const RULES: &str = r#"
[guests]
lifetime = "2h"
[[room]]
match = "*"
enter = "link"
start = "anyone"
[[integration]]
id = "desk"
rooms = ["talk", "talk-*"]
[[integration.api_key]]
id = "main"
key = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b"
"#;

async fn site() -> Site {
    Site::with(SiteOptions::default().rules(RULES)).await
}

/// The API's answer to a new meeting.
async fn create(site: &Site, path: &str, body: &Value) -> Value {
    let url = Url::parse(&format!("{ORIGIN}/_gateway/api/v1/{path}")).unwrap();
    let bearer = HeaderValue::try_from(format!("Bearer {KEY}")).unwrap();
    let json_type = HeaderValue::from_static("application/json");
    let headers = [
        (header::AUTHORIZATION, bearer),
        (header::CONTENT_TYPE, json_type),
    ];
    let headers = HeaderMap::from_iter(headers);
    let body = Bytes::from(body.to_string());
    let page = site.browser().send(Method::POST, &url, headers, body).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text());
    serde_json::from_str(&page.text()).unwrap()
}

fn address(made: &Value, name: &str) -> Url {
    Url::parse(made[name].as_str().unwrap()).unwrap()
}

/// Submits the form of a link's page.
async fn join(browser: &mut Browser, link: &Url) -> Page {
    let invite = link.query().unwrap();
    let body = format!(
        "room={}&name=Ann&{invite}",
        encode(link.path().trim_start_matches('/'))
    );
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = [
        (header::ORIGIN, HeaderValue::from_static(ORIGIN)),
        (header::CONTENT_TYPE, form),
        (header::ACCEPT, HeaderValue::from_static("text/html")),
    ];
    let url = Url::parse(&format!("{ORIGIN}/_gateway/join")).unwrap();
    let headers = HeaderMap::from_iter(headers);
    browser.send(Method::POST, &url, headers, body.into()).await
}

#[tokio::test]
async fn an_expired_link_is_refused() {
    let site = site().await;
    let minute = json!({"room": "talk", "role": "guest", "ttl_seconds": 60});
    let link = address(&create(&site, "links", &minute).await, "url");
    site.clock_control.advance(Duration::from_secs(59));
    assert_eq!(site.browser().load(&link).await.status, StatusCode::OK);
    let mut early = site.browser();
    assert_eq!(join(&mut early, &link).await.status, StatusCode::SEE_OTHER);
    site.clock_control.advance(Duration::from_secs(1));
    let page = site.browser().load(&link).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text().contains("The link has expired."));
    let page = join(&mut site.browser(), &link).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(!page.headers.contains_key(header::SET_COOKIE));
    // A pass from a link lasts for the guest lifetime.
    assert!(early.socket("room=talk").await.is_ok());
    site.clock_control.advance(Duration::from_hours(2));
    let late = early.socket("room=talk").await;
    assert_eq!(late.unwrap_err(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn links_of_a_meeting_are_valid_from_its_start() {
    let site = site().await;
    // An hour later by the site's clock.
    let begins = "2027-01-15T09:00:00Z";
    let owner = json!({"subject": "1"});
    let meeting = json!({"owner": owner, "slug": "talk", "guests": true, "not_before": begins});
    let made = create(&site, "meetings", &meeting).await;
    let links = ["host_url", "guest_url"].map(|name| address(&made, name));
    for link in &links {
        let page = site.browser().load(link).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.text().contains("This room is not open yet."));
        // Trying again opens the same link.
        let again = format!("href=\"{}?{}\"", link.path(), link.query().unwrap());
        assert!(page.text().contains(&again), "{again}: {}", page.text());
        let page = join(&mut site.browser(), link).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(!page.headers.contains_key(header::SET_COOKIE));
    }
    site.clock_control.advance(Duration::from_hours(1));
    for link in &links {
        let page = join(&mut site.browser(), link).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
    }
}
