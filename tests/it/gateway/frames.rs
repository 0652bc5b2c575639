//! Rooms in frames of other sites, where browsers may block cookies.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use url::Url;

use crate::support::{
    browser::{Browser, Page, navigation},
    school::{self, Link},
    site::{ORIGIN, Site, SiteOptions},
};

async fn site() -> Site {
    let options = SiteOptions::default().rules(school::RULES);
    Site::with(options).await.ready().await
}

fn of_frame() -> HeaderMap {
    let mut headers = navigation();
    headers.insert("sec-fetch-dest", HeaderValue::from_static("iframe"));
    headers
}

/// Loads a path in a frame.
async fn load(browser: &mut Browser, path: &str) -> Page {
    let url = Url::parse(ORIGIN).unwrap().join(path).unwrap();
    browser.send(Method::GET, &url, of_frame(), "".into()).await
}

/// The token that the injected script gives to Jitsi's client.
fn injected_token(page: &Page) -> String {
    let text = page.text();
    let (_, rest) = text
        .split_once("(\"eyJ")
        .unwrap_or_else(|| panic!("no token in {text}"));
    format!("eyJ{}", rest.split('"').next().unwrap())
}

#[tokio::test]
async fn a_link_works_in_a_frame_without_cookies() {
    let site = site().await;
    let link = Link::make(&site, "host", json!({"name": "Mia"})).await;
    // With an option of Jitsi in the query.
    let framed = link.path.replace('?', "?lang=de&");
    let answer = load(&mut site.browser(), &framed).await;
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    assert!(
        location.starts_with("/school-7b?lang=de&jwt="),
        "{location}"
    );
    // A browser without cookies.
    let page = load(&mut site.browser(), location).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let token = injected_token(&page);
    let query = format!("room=school-7b&token={token}");
    assert!(site.browser().socket(&query).await.is_ok());
    let elsewhere = format!("room=school-8b&token={token}");
    let refused = site.browser().socket(&elsewhere).await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    let mut foreign = site.browser();
    let refused = foreign.socket_from(&query, "https://evil.test").await;
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
}
