//! Hostile requests: every path with every method, query, kind of client and form.

use bytes::Bytes;
use devkit::meeting::RequestKind;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::support::{
    browser::{KeepAliveClient, encode, navigation},
    site::{ORIGIN, Site, SiteOptions},
};

/// Rules that read links and integration tokens.
const RULES: &str = r#"
[[room]]
match = "*"
enter = "guest"
moderators = ["group:staff"]
[[integration]]
id = "school"
rooms = ["school-*"]
secret = "what only the school and the gateway know"
"#;

/// The gateway's own paths, and a room.
pub(super) const PATHS: &[&str] = &[
    "/",
    "/x",
    "/_gateway/login",
    "/_gateway/callback",
    "/_gateway/callback/school",
    "/_gateway/logout",
    "/_gateway/signed-out",
    "/_gateway/frontchannel-logout",
    "/_gateway/join",
    "/_gateway/events",
    "/_gateway/go",
    "/_gateway/meetings",
    "/_gateway/meeting",
    "/_gateway/meeting.ics",
    "/_gateway/api/v1/meetings",
    "/_gateway/api/v1/rooms/x",
    "/_gateway/none",
    "/etherpad/p/x",
    "/socket.io/",
    "/transcripts/x",
];

/// The query parameters that each path reads.
const READ: &[(&str, &str)] = &[
    ("/x?", "invite"),
    ("/x?", "jwt"),
    ("/x?", "other"),
    ("/_gateway/login?", "return_to"),
    ("/_gateway/login?", "state"),
    ("/_gateway/login?", "provider"),
    ("/_gateway/login?", "email"),
    ("/_gateway/login?", "iss"),
    ("/_gateway/login?iss=x&", "login_hint"),
    ("/_gateway/login?iss=x&", "target_link_uri"),
    ("/_gateway/callback?code=x&", "state"),
    ("/_gateway/callback?state=x&", "code"),
    ("/_gateway/frontchannel-logout?iss=x&", "sid"),
    ("/_gateway/frontchannel-logout?sid=x&", "iss"),
    ("/_gateway/events?", "room"),
    ("/_gateway/go?", "room"),
    ("/_gateway/meeting?", "room"),
    ("/_gateway/meeting?room=x&", "start"),
    ("/_gateway/meeting.ics?room=x&", "start"),
    (
        "/_gateway/meeting.ics?room=x&start=9999-12-31T23:59&",
        "minutes",
    ),
    ("/_gateway/meeting.ics?room=x&", "title"),
];

/// Unexpected values, percent-encoded.
fn values() -> Vec<String> {
    let long = "a".repeat(9000);
    let nested = "[".repeat(3000);
    let plain = [
        "",
        "%",
        "%0d%0aSet-Cookie:%20x=y",
        "%00",
        "%ff%fe",
        "\u{7f}",
        "é",
        "a/b/c",
        "..%2f..",
        "//evil.test",
        "/%5cevil.test",
        "https://evil.test/x",
        "-1",
        "1e300",
        "99999999999999999999",
        "9999-12-31T23:59",
        "0000-01-01T00:00",
        "18446744073709551615",
        "{}",
        "null",
        "{\"room\":\"x\",\"ios\":true,\"config.a\":\"%0d%0a\"}",
        "<script>alert(1)</script>",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "....",
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.e30.Zm9y",
    ];
    let plain = plain.iter().map(ToString::to_string);
    plain.chain([long, encode(&nested)]).collect()
}

async fn site() -> Site {
    let options = SiteOptions::default().rules(RULES);
    Site::with(options).await.ready().await
}

fn address(target: &str) -> Url {
    Url::parse(ORIGIN).unwrap().join(target).unwrap()
}

#[tokio::test]
async fn no_query_causes_a_5xx_or_a_redirect_to_another_site() {
    let site = site().await;
    // A moderator, so that every parameter is read.
    let mut line = KeepAliveClient::new(site.signed_in("hanna").await);
    for (before, name) in READ {
        for value in values() {
            let url = address(&format!("{before}{name}={value}"));
            // An event stream does not end.
            let method = if before.contains("events") {
                Method::HEAD
            } else {
                Method::GET
            };
            let page = line.send(method, &url, &navigation()).await;
            let what = format!("{before}{name}={value:.60}");
            assert!(!page.status.is_server_error(), "{what}: {page:?}");
            if let Some(location) = page.headers.get(header::LOCATION) {
                let location = url.join(location.to_str().unwrap()).unwrap();
                assert_eq!(location.host_str(), Some("meet.example.org"), "{what}");
            }
            let html = page.headers.get(header::CONTENT_TYPE);
            let html = html.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
            assert!(!html || !page.text().contains("<script>alert"), "{what}");
        }
    }
}

#[tokio::test]
async fn every_method_gets_an_answer_for_its_kind_of_client() {
    let site = site().await;
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW",
    ];
    for path in PATHS {
        let mut line = KeepAliveClient::new(site.browser());
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let url = address(&format!("{path}?room=x"));
            for person in [true, false] {
                let headers = if person {
                    navigation()
                } else {
                    HeaderMap::new()
                };
                let page = line.send(method.clone(), &url, &headers).await;
                let what = format!("{method} {path}, navigating: {person}");
                assert!(!page.status.is_server_error(), "{what}: {page:?}");
                let kind = page.headers.get(header::CONTENT_TYPE);
                let html = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
                assert!(
                    person || !html || page.status.is_success(),
                    "{what}: {page:?}"
                );
                // Only navigations are redirected to sign-in.
                let redirected = page.headers.get(header::LOCATION);
                let redirected =
                    redirected.is_some_and(|to| to.as_bytes().starts_with(b"/_gateway/login"));
                assert!(person || !redirected, "{what}: {page:?}");
                let allow = page.headers.contains_key(header::ALLOW);
                assert_eq!(
                    page.status == StatusCode::METHOD_NOT_ALLOWED,
                    allow,
                    "{what}"
                );
                let foreign = page.headers.contains_key("access-control-allow-origin");
                assert!(!foreign, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn cross_site_forms_are_refused() {
    let site = site().await;
    let mut hanna = site.signed_in("hanna").await;
    for path in ["/_gateway/join", "/_gateway/meetings"] {
        for origin in [
            None,
            Some("null"),
            Some("https://evil.test"),
            Some("http://meet.example.org"),
        ] {
            let mut headers = navigation();
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, kind);
            let url = address(path);
            let body = Bytes::from_static(b"room=x&name=Zoe");
            let page = hanna.send(Method::POST, &url, headers, body).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {origin:?}");
            assert!(
                page.headers.get(header::SET_COOKIE).is_none(),
                "{path} {origin:?}"
            );
        }
    }
}

#[tokio::test]
async fn signalling_requests_never_get_html_or_a_redirect() {
    let site = site().await;
    let forged = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzY2hvb2wiLCJyb29tIjoieCJ9.AA";
    let long = "a".repeat(9000);
    let queries = [
        String::new(),
        "room=".to_owned(),
        "room=*".to_owned(),
        "room=a&room=b".to_owned(),
        "room=%00".to_owned(),
        format!("room={long}"),
        format!("room=x&token={forged}"),
        format!("room=x&token={forged}&token={forged}"),
        format!("room=x&jwt={forged}"),
        "room=x&invite=abc".to_owned(),
        "room=x&previd=%0d%0a".to_owned(),
    ];
    // A navigation, a page of this site, a page of another site, and an app.
    let mut senders = vec![HeaderMap::new(), navigation()];
    for origin in [ORIGIN, "https://evil.test", "null"] {
        let mut headers = navigation();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        senders.push(headers);
    }
    let mut line = KeepAliveClient::new(site.browser());
    for path in [
        "/http-bind",
        "/acme/http-bind",
        "/xmpp-websocket",
        "/http-bind/",
    ] {
        for query in &queries {
            let url = address(&format!("{path}?{query}"));
            for headers in &senders {
                for method in [Method::POST, Method::PUT, Method::OPTIONS] {
                    let page = line.send(method.clone(), &url, headers).await;
                    let what = format!("{method} {path}?{query:.40} {headers:?}");
                    assert!(!page.status.is_redirection(), "{what}: {page:?}");
                    assert!(!page.status.is_server_error(), "{what}: {page:?}");
                    let kind = page.headers.get(header::CONTENT_TYPE);
                    let html = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
                    // Not a signalling path.
                    assert!(!html || path.ends_with('/'), "{what}: {page:?}");
                    let cookie = page.headers.contains_key(header::SET_COOKIE);
                    assert!(!cookie, "{what}: {page:?}");
                }
            }
        }
    }
    let received = site.meeting.received();
    assert!(
        received
            .iter()
            .all(|request| request.kind == RequestKind::Web)
    );
}
