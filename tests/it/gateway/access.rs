//! Access to rooms and paths: rules, cookies, origins, hosts, plain HTTP.

use bytes::Bytes;
use devkit::meeting::RequestKind;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::CREATE;
use crate::support::{
    beside::EchoServer,
    site::{ORIGIN, Site, SiteOptions},
};

const RULES: &str = r#"
[[room]]
match = "board *"
enter = ["group:staff"]
moderators = ["email:hanna@example.org"]
[[room]]
match = "old-*"
enter = "closed"
[[room]]
match = "*"
tenant = ""
enter = "member"
"#;

#[tokio::test]
async fn room_rules_admit_and_refuse_as_configured() {
    let site = Site::with(SiteOptions::default().rules(RULES))
        .await
        .ready()
        .await;
    let mut hanna = site.signed_in("hanna").await;
    let mut max = site.signed_in("max").await;
    assert_eq!(
        hanna.navigate("/Board%20Meeting").await.status,
        StatusCode::OK
    );
    for (path, words) in [
        ("/Board%20Meeting", "not allowed to enter this room"),
        ("/old-room", "closed to everyone"),
        ("/acme/room", "no rule for rooms with this name"),
    ] {
        let page = max.navigate(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        let text = page.text();
        assert!(
            text.contains(words) && text.contains("Max Member"),
            "{text}"
        );
        assert!(text.contains("Request ID"), "{text}");
    }
    assert_eq!(
        max.socket("room=board%20meeting").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    let refused = max.bosh("room=board%20meeting", CREATE).await.text();
    assert!(refused.contains("policy-violation"), "{refused}");
    let metrics = site.metrics().await;
    assert!(
        metrics.contains(
            "jitsi_auth_gateway_admissions_total{outcome=\"refused\",reason=\"not_allowed\"} 3"
        ),
        "{metrics}"
    );
    assert!(
        metrics.contains(
            "jitsi_auth_gateway_admissions_total{outcome=\"admitted\",reason=\"moderator\"} 1"
        ),
        "{metrics}"
    );
}

#[tokio::test]
async fn only_navigations_are_redirected_to_sign_in() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    let url = format!("{ORIGIN}/room").parse().unwrap();
    let navigation = browser.load(&url).await;
    assert_eq!(navigation.status, StatusCode::SEE_OTHER);
    let plain = browser
        .send(Method::GET, &url, HeaderMap::new(), Bytes::new())
        .await;
    assert_eq!(plain.status, StatusCode::UNAUTHORIZED);
    assert!(plain.headers.contains_key(header::WWW_AUTHENTICATE));
    let mut fetch = HeaderMap::new();
    fetch.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
    fetch.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    let fetched = browser.send(Method::GET, &url, fetch, Bytes::new()).await;
    assert_eq!(fetched.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        browser.socket("room=x").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    let bosh = browser.bosh("room=x", CREATE).await;
    assert_eq!(bosh.status, StatusCode::OK);
    assert!(
        bosh.text()
            .contains("type='terminate' condition='policy-violation'")
    );
    let alive = format!("{ORIGIN}/xmpp-websocket?room=x").parse().unwrap();
    let alive = browser
        .send(Method::GET, &alive, HeaderMap::new(), Bytes::new())
        .await;
    assert_eq!(alive.status, StatusCode::NO_CONTENT);
    // No request reached the meeting.
    assert!(
        site.meeting
            .received()
            .iter()
            .all(|request| request.kind == RequestKind::Web)
    );
}

#[tokio::test]
async fn cookies_count_only_with_an_origin_of_this_site() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    for origin in [
        "https://evil.test",
        "null",
        "https://meet.example.org.evil.test",
    ] {
        let refused = max.socket_from("room=x", origin).await.unwrap_err();
        assert_eq!(refused, StatusCode::FORBIDDEN, "{origin}");
    }
    let url = format!("{ORIGIN}/http-bind?room=x").parse().unwrap();
    let body = Bytes::from_static(CREATE.as_bytes());
    let unnamed = max.send(Method::POST, &url, HeaderMap::new(), body).await;
    // No origin, no cookie: an app that has to sign in.
    assert!(unnamed.text().contains("sid='sign-in-first'"));
    assert!(
        site.meeting
            .received()
            .iter()
            .all(|request| request.kind == RequestKind::Web)
    );
}

#[tokio::test]
async fn each_connection_gets_its_own_token_and_no_client_credentials() {
    let site = Site::start().await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut socket = max
        .socket("room=x&token=planted&prefix=other&previd=p&%74oken=planted")
        .await
        .unwrap();
    futures_util::SinkExt::send(
        &mut socket,
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>".into(),
    )
    .await
    .unwrap();
    assert!(
        socket
            .next()
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap()
            .contains("<open")
    );
    let url = format!("{ORIGIN}/http-bind?room=x").parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::from_static(ORIGIN));
    headers.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
    headers.insert("x-proxy-region", HeaderValue::from_static("planted"));
    let body = Bytes::from_static(CREATE.as_bytes());
    let created = max.send(Method::POST, &url, headers, body).await;
    assert_eq!(created.status, StatusCode::OK);
    let received = site.meeting.received();
    let connections: Vec<_> = received
        .iter()
        .filter(|request| {
            matches!(
                request.kind,
                RequestKind::WebSocket | RequestKind::BoshSession
            )
        })
        .collect();
    assert_eq!(connections.len(), 2);
    let mut tokens = Vec::new();
    for connection in connections {
        let query = connection.query.as_deref().unwrap_or_default();
        assert!(
            !query.contains("planted") && !query.contains("other"),
            "{query}"
        );
        let authorization = connection.headers[header::AUTHORIZATION].to_str().unwrap();
        assert!(authorization.starts_with("Bearer eyJ"));
        tokens.push(authorization.to_owned());
        assert_eq!(connection.headers[header::HOST], "meet.jitsi");
        assert!(!connection.headers.contains_key(header::COOKIE));
        assert!(!connection.headers.contains_key(header::ORIGIN));
        assert_eq!(connection.headers["x-forwarded-for"], "127.0.0.1");
        for name in connection.headers.keys() {
            let name = name.as_str();
            assert!(
                !name.starts_with("sec-fetch") && !name.starts_with("x-proxy"),
                "{name}"
            );
        }
    }
}

/// The web server says nothing about caching of pages, as Jitsi's.
#[tokio::test]
async fn pages_that_depend_on_a_person_are_not_cached() {
    const MEMBER: usize = 0;
    const GUEST: usize = 1;
    let rules = "[[room]]\nmatch = \"open\"\nenter = \"guest\"\n\
                 [[room]]\nmatch = \"closed\"\nenter = [\"group:board\"]\n\
                 [[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    let site = Site::with(SiteOptions::default().rules(rules));
    let site = site.await.ready().await;
    let mut member = site.browser();
    member.sign_in("max", "/team").await;
    let mut browsers = [member, site.browser()];
    let cases = [
        (MEMBER, "/team", StatusCode::OK),
        (MEMBER, "/closed", StatusCode::FORBIDDEN),
        (MEMBER, "/_gateway/logout", StatusCode::SEE_OTHER),
        (GUEST, "/open", StatusCode::OK),
        (GUEST, "/team", StatusCode::SEE_OTHER),
        (GUEST, "/_gateway/login?room=team", StatusCode::OK),
        (GUEST, "/_gateway/signed-out", StatusCode::OK),
        (GUEST, "/_gateway/callback", StatusCode::BAD_REQUEST),
    ];
    let mut faults = Vec::new();
    for (browser, path, status) in cases {
        let url = format!("{ORIGIN}{path}").parse().unwrap();
        let page = browsers[browser].load(&url).await;
        let caching = page.headers.get(header::CACHE_CONTROL);
        let seen = (page.status, caching.map(|it| it.to_str().unwrap()));
        if seen != (status, Some("no-store")) {
            faults.push(format!("{path}: {seen:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn plain_http_redirects_to_https() {
    let site = Site::start().await.ready().await;
    let http = site.http_address();
    let mut browser = site.browser();
    let page = browser
        .get_plain(&format!("http://{http}/room?jwt=a.b.c"))
        .await;
    assert_eq!(page.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(
        page.headers[header::LOCATION],
        format!("{ORIGIN}/room?jwt=a.b.c")
    );
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    // Except the public keys, which Prosody fetches inside the deployment.
    let keys = browser
        .get_plain(&format!("http://{http}/_gateway/jwks.json"))
        .await;
    assert_eq!(keys.status, StatusCode::OK);
    assert_eq!(keys.text(), r#"{"keys":[]}"#);
}

#[tokio::test]
async fn other_hosts_and_closed_paths_are_refused() {
    let site = Site::start().await.ready().await;
    let mut browser = site.browser();
    for path in [
        "/conference-request/v1",
        "/colibri-ws/x/y",
        "/_api/room-info",
        "/kick-participant",
    ] {
        assert_eq!(
            browser.navigate(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in ["/a%2fb", "/a%00", "/%zz"] {
        assert_eq!(
            browser.navigate(path).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    let url = format!("{ORIGIN}/Caf%25C3%25A9").parse().unwrap();
    let respelled = browser.load(&url).await;
    assert_eq!(respelled.headers[header::LOCATION], "/Caf%C3%A9");
}

#[tokio::test]
async fn head_responses_have_no_body_on_any_http_version() {
    let site = Site::start().await.ready().await;
    let browser = site.signed_in("max").await;
    for path in [
        "/_gateway/signed-out",
        "/_gateway/jwks.json",
        "/http-bind",
        "/config.js",
        "/room",
        "/robots.txt",
        "/_gateway/nothing",
        "/",
        "/_gateway/go?room=x",
        "/_gateway/join",
        "/_gateway/meeting?room=x",
        "/_gateway/events?room=x",
        "/_gateway/frontchannel-logout?iss=x&sid=y",
    ] {
        let (head, body) = browser
            .send_by_http2(Method::HEAD, path)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error:?}"));
        assert!(body.is_empty(), "{path}: {body:?}");
        let (same, whole) = browser.send_by_http2(Method::GET, path).await.unwrap();
        assert_eq!(head.status, same.status, "{path}");
        // Refusals have a request id, and the ids differ.
        let length = head.headers.get(header::CONTENT_LENGTH);
        if let Some(length) = length.filter(|_| head.status.is_success()) {
            assert_eq!(length.to_str().unwrap(), whole.len().to_string(), "{path}");
        }
    }
}

/// Browsers fetch manifests and workers without cookies, and apps their links; Jitsi's scripts fetch the
/// numbers of a dial-in, which no location names here.
#[tokio::test]
async fn files_that_browsers_fetch_without_cookies_are_those_of_the_web_server() {
    let echo = EchoServer::start().await;
    let upstream = format!("[upstream]\nweb = \"{}\"\n", echo.url());
    let members = "[[room]]\nmatch = \"*\"\nenter = \"member\"\n";
    let options = SiteOptions::default().rules(&format!("{members}{upstream}"));
    let site = Site::with(options).await.ready().await;
    let mut browser = site.browser();
    for (path, status) in [
        ("/manifest.json", 200),
        ("/pwa-worker.js", 200),
        ("/.well-known/assetlinks.json", 200),
        ("/static/close.html", 200),
        ("/base.html", 200),
        ("/phoneNumberList", 401),
        ("/conferenceMapper?conference=x", 401),
    ] {
        let url = format!("{ORIGIN}{path}").parse().unwrap();
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let page = browser.send(Method::GET, &url, headers, Bytes::new()).await;
        assert_eq!(page.status, status, "{path}: {page:?}");
        let own = page.headers.get(header::CONTENT_TYPE);
        let own = own.is_some_and(|kind| kind == "application/json");
        assert_eq!(
            (own, echo.count()),
            (status == 401, usize::from(status == 200)),
            "{path}"
        );
        echo.take_received();
    }
}
