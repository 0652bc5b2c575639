//! Conference requests over HTTP: for whom, for which room, and what Jicofo gets.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use devkit::meeting::{ReceivedRequest, RequestKind};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::apps::handoff_token;
use crate::support::{
    browser::{Browser, Page},
    site::{ORIGIN, Site, SiteOptions},
};

/// Sends a conference request with this `Origin` and `Authorization`.
async fn request_from(
    browser: &mut Browser,
    path: &str,
    body: &str,
    (origin, token): (Option<&'static str>, Option<&str>),
) -> Page {
    let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
    }
    if let Some(token) = token {
        let value = format!("Bearer {token}");
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    browser.send(Method::POST, &url, headers, body).await
}

/// Sends a conference request as a page of the site does.
async fn request(browser: &mut Browser, path: &str, body: &Value) -> Page {
    request_from(browser, path, &body.to_string(), (Some(ORIGIN), None)).await
}

fn conference(room: &str) -> Value {
    json!({ "room": format!("{room}@muc.meet.jitsi"), "properties": {"rtcstatsEnabled": false} })
}

fn received(site: &Site) -> Vec<ReceivedRequest> {
    let all = site.meeting.received();
    let of_kind = |request: &ReceivedRequest| request.kind == RequestKind::ConferenceRequest;
    all.into_iter().filter(of_kind).collect()
}

/// The claims of the token that Jicofo got.
fn claims(request: &ReceivedRequest) -> Value {
    let token = request.headers[header::AUTHORIZATION].to_str().unwrap();
    let token = token.strip_prefix("Bearer ").unwrap();
    let claims = token.split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn jicofo_gets_the_request_and_the_backend_token_of_admitted_people() {
    let site = Site::with(SiteOptions::default().jicofo()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let path = "/conference-request/v1?room=Team%20Call&token=x&prefix=y";
    let token = "eyJhbGciOiJub25lIn0.e30.";
    let body = json!({"room": "team%20call@muc.meet.jitsi", "machineUid": "abc", "vnode": "v1",
        "properties": {"visitors-version": 1}});
    let sender = (Some(ORIGIN), Some(token));
    let answer = request_from(&mut max, path, &body.to_string(), sender).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["ready"], true);
    assert_eq!(told["focusJid"], "focus@auth.meet.jitsi");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");

    let [request] = &received(&site)[..] else {
        panic!("one request");
    };
    assert_eq!(request.query, None);
    let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
    let expected = json!({"room": "team%20call@muc.meet.jitsi", "machineUid": "abc",
        "properties": {"visitors-version": "1"}});
    assert_eq!(body, expected);
    let claims = claims(request);
    assert_eq!(claims["room"], "team%20call");
    let mut names: Vec<&str> = request
        .headers
        .keys()
        .map(header::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["authorization", "content-length", "content-type", "host"]
    );
}

#[tokio::test]
async fn only_admitted_people_open_a_room_at_jicofo() {
    let rules = "[[room]]\nmatch = \"board\"\nenter = \"group:board\"\n\
        [[room]]\nmatch = \"hosted\"\nenter = \"guest\"\nstart = \"host\"\n\
        [[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    let site = Site::with(SiteOptions::default().rules(rules).jicofo()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let (mut nobody, own) = (site.browser(), Some(ORIGIN));
    let large = conference("plan").to_string() + &" ".repeat(16 * 1024);
    let plan = conference("plan").to_string();
    let hosted = conference("hosted").to_string();
    let board = conference("board").to_string();
    for (member, room, body, origin, expected) in [
        // Who may not enter.
        (false, "plan", &*plan, own, StatusCode::FORBIDDEN),
        (false, "hosted", &*hosted, own, StatusCode::FORBIDDEN),
        (true, "board", &*board, own, StatusCode::FORBIDDEN),
        // Another room than that of the address, whose rule decides.
        (true, "plan", &*board, own, StatusCode::FORBIDDEN),
        (true, "acme/plan", &*plan, own, StatusCode::FORBIDDEN),
        // Pages of other sites.
        (
            true,
            "plan",
            &*plan,
            Some("https://evil.test"),
            StatusCode::FORBIDDEN,
        ),
        (true, "plan", "{}", own, StatusCode::BAD_REQUEST),
        (true, "plan", &*large, own, StatusCode::PAYLOAD_TOO_LARGE),
        (
            true,
            "plan&room=board",
            &*board,
            own,
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let browser = if member { &mut max } else { &mut nobody };
        let path = match room.split_once('/') {
            Some((tenant, room)) => format!("/{tenant}/conference-request/v1?room={room}"),
            None => format!("/conference-request/v1?room={room}"),
        };
        let answer = request_from(browser, &path, body, (origin, None)).await;
        assert_eq!(answer.status, expected, "{member} {room}: {answer:?}");
    }
    assert_eq!(received(&site).len(), 0, "nothing reached Jicofo");
    let path = "/conference-request/v1?room=plan";
    let answer = request(&mut max, path, &conference("plan")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let get = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    let refused = max.load(&get).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn an_app_shows_its_token_where_jicofo_reads_it() {
    let site = Site::with(SiteOptions::default().jicofo()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let token = handoff_token(&mut max).await;
    let path = "/conference-request/v1?room=planning";
    let body = conference("planning").to_string();
    let mut app = site.browser();
    let answer = request_from(&mut app, path, &body, (None, None)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    let answer = request_from(&mut app, path, &body, (None, Some(&token))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let all = received(&site);
    assert_eq!(claims(&all[0])["context"]["user"]["name"], "Max Member");
    // The app connects afterwards, with the same token.
    let query = format!("room=planning&token={token}");
    app.socket_of_app(&query).await.unwrap();
}

#[tokio::test]
async fn without_jicofo_clients_ask_over_xmpp_whatever_config_js_says() {
    let site = Site::with(SiteOptions::default().jicofo()).await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let removed = "delete config[\"conferenceRequestUrl\"];";
    let path = "/conference-request/v1?room=plan";
    for reload in [false, true] {
        if reload {
            site.reload(|configuration| {
                configuration["upstream"]
                    .as_table_mut()
                    .unwrap()
                    .remove("jicofo");
            });
        }
        for file in ["/config.js?room=plan", "/plan"] {
            let text = max.navigate(file).await.text();
            assert!(text.contains("tokenAuthUrl"), "{file}: {text}");
            assert_eq!(text.contains(removed), reload, "{file}: {text}");
        }
        let answer = request(&mut max, path, &conference("plan")).await;
        let expected = if reload {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        assert_eq!(answer.status, expected, "{answer:?}");
    }
}
