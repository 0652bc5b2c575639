//! What stands beside the meetings: who gets in, and what arrives there.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use toml::{Table, Value};
use url::Url;

use crate::{
    documents::markdown::pages,
    support::{
        beside::EchoServer,
        browser::{Browser, Page, navigation},
        school::{self, Link},
        signing_key::sign_with_secret,
        site::{ORIGIN, Site, SiteOptions},
    },
};

/// A deployment whose web server, and every server of a location, is the echo server. The locations are
/// those of the document.
pub(super) async fn site(rules: &str) -> (Site, EchoServer) {
    let echo = EchoServer::start().await;
    let mut settings: Table = rules.parse().unwrap();
    let upstream = Table::from_iter([("web".to_owned(), echo.url().into())]);
    settings.insert("upstream".to_owned(), upstream.into());
    settings.insert("location".to_owned(), documented_locations(&echo).into());
    let options = SiteOptions::default().rules(&settings.to_string());
    (Site::with(options).await.ready().await, echo)
}

fn documented_locations(echo: &EchoServer) -> Vec<Value> {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.path == "docs/beside-a-meeting.md");
    let blocks = page.unwrap().blocks.iter();
    let tables = blocks.filter(|block| block.language == "toml");
    let rows = tables.flat_map(|block| {
        let table: Table = block.text.parse().unwrap();
        table["location"].as_array().unwrap().clone()
    });
    let rows: Vec<Value> = rows
        .map(|mut row| {
            if let Some(upstream) = row.get_mut("upstream") {
                // `localhost` is another server than the web server, at the same address.
                *upstream = format!("http://localhost:{}", echo.address.port()).into();
            }
            row
        })
        .collect();
    assert!(rows.len() >= 6, "{rows:?}");
    rows
}

pub(super) fn address(target: &str) -> Url {
    Url::parse(&format!("{ORIGIN}{target}")).unwrap()
}

pub(super) fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    pairs.collect()
}

/// A request of a page of this site.
pub(super) async fn fetch(browser: &mut Browser, method: Method, target: &str) -> Page {
    let headers = fields(&[("origin", ORIGIN), ("sec-fetch-mode", "cors")]);
    browser
        .send(
            method,
            &address(target),
            headers,
            Bytes::from_static(b"0{}"),
        )
        .await
}

/// Whether a WebSocket of a page of this site opens, and carries a message.
pub(super) async fn socket_status(browser: &mut Browser, target: &str) -> StatusCode {
    match browser.open_websocket_at(target, None, Some(ORIGIN)).await {
        Ok(mut socket) => {
            socket.send(Message::text("a line")).await.unwrap();
            let echoed = socket.next().await.unwrap().unwrap();
            assert_eq!(echoed, Message::text("a line"));
            StatusCode::SWITCHING_PROTOCOLS
        }
        Err(status) => status,
    }
}

pub(super) const BOARD: &str = "/socket.io/?EIO=4&transport=websocket";
const NOTES: &str = "/etherpad/socket.io/?EIO=4&transport=polling";
const STATISTICS: &str = "/rtcstats-ws";

/// Guests, holders of links and people of an integration, each with a pass to their room.
pub(super) async fn people_in_rooms(site: &Site) -> Vec<(&'static str, Browser)> {
    let member = site.signed_in("max").await;
    let mut guest = site.browser();
    guest.navigate("/open-tea").await;
    guest
        .submit("/_gateway/join", &[("room", "open-tea"), ("name", "Zoe")])
        .await;
    let mut invited = site.browser();
    let link = Link::make(site, "host", json!({"name": "Ida"})).await;
    invited.navigate(&link.path).await;
    let mut embedded = site.browser();
    let now = site.now().as_unix();
    let claims = json!({
        "iss": "club", "aud": "jitsi", "sub": "meet.jitsi", "room": "club-1", "iat": now, "exp": now + 600,
        "context": { "user": { "id": "t1", "name": "Tea", "moderator": true } },
    });
    let token = sign_with_secret("", CLUB_SECRET.as_bytes(), &claims);
    embedded.navigate(&format!("/club-1?jwt={token}")).await;
    vec![
        ("a member", member),
        ("a guest", guest),
        ("the holder of a link", invited),
        ("a person of an integration", embedded),
    ]
}

const CLUB_SECRET: &str = "what only the club and the gateway know";

/// Guests may enter open rooms without a host; other rooms want one.
pub(super) fn rules() -> String {
    let open = "[[room]]\nmatch = \"open-*\"\nenter = \"guest\"\nstart = \"anyone\"\n";
    let planning = "[[room]]\nmatch = \"planning\"\nenter = \"guest\"\nstart = \"host\"\nhost = [\"group:staff\"]\n";
    let club = format!(
        "[[integration]]\nid = \"club\"\nrooms = [\"club-*\"]\nsecret = \"{CLUB_SECRET}\"\n"
    );
    format!("{open}{planning}{}{club}", school::RULES)
}

#[tokio::test]
async fn people_of_a_room_use_its_locations() {
    let (site, echo) = site(&rules()).await;
    for (who, mut browser) in people_in_rooms(&site).await {
        for target in [
            BOARD,
            "/etherpad/socket.io/?EIO=4&transport=websocket",
            STATISTICS,
        ] {
            let status = socket_status(&mut browser, target).await;
            assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS, "{who}, {target}");
        }
        for method in [Method::GET, Method::POST] {
            let page = fetch(&mut browser, method, NOTES).await;
            assert_eq!(
                (page.status, page.text().as_str()),
                (StatusCode::OK, "0{}"),
                "{who}"
            );
        }
        let pad = browser.navigate("/etherpad/p/x").await;
        assert_eq!(pad.status, StatusCode::OK, "{who}: {pad:?}");
    }
    echo.take_received();
    let mut stranger = site.browser();
    for target in [BOARD, STATISTICS, "/acme/etherpad/socket.io/"] {
        let status = socket_status(&mut stranger, target).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{target}");
    }
    for target in [NOTES, "/transcripts/x", "/etherpad/p/x", "/etherpad"] {
        let page = fetch(&mut stranger, Method::GET, target).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{target}: {page:?}");
    }
    let page = stranger.load(&address("/etherpad/p/x")).await;
    let location = page.headers[header::LOCATION].to_str().unwrap();
    assert!(
        location.starts_with("/_gateway/login?return_to="),
        "{location}"
    );
    assert_eq!(echo.count(), 0);
}

#[tokio::test]
async fn a_person_without_a_room_is_a_stranger_with_a_session() {
    let closed = "[[room]]\nmatch = \"board\"\nenter = [\"group:nobody\"]\n\
                  [[room]]\nmatch = \"*\"\nenter = [\"group:staff\"]\n";
    let (site, echo) = site(closed).await;
    // Hanna is of the staff.
    let mut hanna = site.signed_in("hanna").await;
    assert_eq!(
        socket_status(&mut hanna, BOARD).await,
        StatusCode::SWITCHING_PROTOCOLS
    );
    echo.take_received();
    let mut max = site.signed_in("max").await;
    assert_eq!(socket_status(&mut max, BOARD).await, StatusCode::FORBIDDEN);
    let page = fetch(&mut max, Method::GET, NOTES).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    assert_eq!(echo.count(), 0);
}

#[tokio::test]
async fn a_guest_who_waits_and_a_room_of_others_open_nothing() {
    let (site, echo) = site(&rules()).await;
    let mut waiting = site.browser();
    waiting
        .submit("/_gateway/join", &[("room", "planning"), ("name", "Zoe")])
        .await;
    assert_eq!(
        socket_status(&mut waiting, BOARD).await,
        StatusCode::FORBIDDEN
    );
    let mut hanna = site.signed_in("hanna").await;
    // A host opens the room, and the guest gets in.
    let _open = hanna.socket("room=planning").await.unwrap();
    assert_eq!(
        socket_status(&mut waiting, BOARD).await,
        StatusCode::SWITCHING_PROTOCOLS
    );
    echo.take_received();
    for (named, expected) in [
        ("room=planning", StatusCode::SWITCHING_PROTOCOLS),
        ("ro%6Fm=PLANNING", StatusCode::SWITCHING_PROTOCOLS),
        ("room=open-tea", StatusCode::FORBIDDEN),
        ("room=planning&room=open-tea", StatusCode::BAD_REQUEST),
        ("room=", StatusCode::BAD_REQUEST),
        ("room=*", StatusCode::BAD_REQUEST),
    ] {
        let target = format!("/socket.io/?{named}");
        assert_eq!(
            socket_status(&mut waiting, &target).await,
            expected,
            "{named}"
        );
    }
    assert_eq!(echo.count(), 2);
}

#[tokio::test]
async fn a_location_gets_no_credentials_of_the_gateway() {
    let (site, echo) = site(&rules()).await;
    let mut max = site.signed_in("max").await;
    for (target, keeps) in [
        (
            "/file-service/v1/documents?jwt=a&token=b&prefix=c&keep=d",
            true,
        ),
        ("/etherpad/p/x?jwt=a&token=b&keep=d", false),
        ("/conference-mapper?keep=d", false),
    ] {
        let mut headers = fields(&[
            ("origin", ORIGIN),
            ("authorization", "Bearer of-the-service"),
            ("connection", "close, x-named"),
            ("x-named", "1"),
            ("x-remote-user", "root"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x_forwarded_for", "192.0.2.1"),
            ("te", "trailers"),
        ]);
        headers.insert(header::COOKIE, HeaderValue::from_static("lang=de"));
        let page = max
            .send(Method::GET, &address(target), headers, Bytes::new())
            .await;
        assert_eq!(page.status, StatusCode::OK, "{target}: {page:?}");
        let [request] = &*echo.take_received() else {
            panic!("{target} arrived not once");
        };
        let (path, _) = target.split_once('?').unwrap();
        assert_eq!(request.uri.to_string(), format!("{path}?keep=d"));
        let authorization = request.headers.get(header::AUTHORIZATION);
        assert_eq!(authorization.is_some(), keeps, "{target}");
        for value in request.headers.values() {
            let text = String::from_utf8_lossy(value.as_bytes());
            assert!(
                !text.contains("__Host-") && text != "root",
                "{target}: {text}"
            );
        }
        for name in ["x-named", "x_forwarded_for", "te", "connection"] {
            assert!(!request.headers.contains_key(name), "{target}: {name}");
        }
        assert_eq!(request.headers[header::HOST], "meet.example.org");
        assert_ne!(request.headers["x-forwarded-for"], "192.0.2.1");
        let cookies: Vec<_> = page.headers.get_all(header::SET_COOKIE).iter().collect();
        assert!(
            cookies
                .iter()
                .all(|it| !it.as_bytes().starts_with(b"__Host-gateway-session=p"))
        );
        assert!(
            cookies
                .iter()
                .any(|it| it.as_bytes().starts_with(b"express_sid"))
        );
    }
}

#[tokio::test]
async fn each_location_has_its_methods_and_its_audience() {
    let (site, echo) = site(&rules()).await;
    let mut stranger = site.browser();
    let mut guest = people_in_rooms(&site).await.remove(1).1;
    for (target, of_stranger, of_guest, allow) in [
        ("/file-service/v1/x", 401, 200, "GET, POST, DELETE, HEAD"),
        ("/phone-numbers.json", 200, 200, "GET, HEAD"),
        ("/conference-mapper", 200, 200, "GET, HEAD"),
        ("/_api/room-info?room=x", 200, 200, "GET, HEAD"),
        ("/acme/_api/room-info?room=x", 200, 200, "GET, HEAD"),
        ("/transcripts/x", 401, 200, "GET, HEAD"),
        ("/rtc-visualizer/", 401, 401, "GET, POST, HEAD"),
    ] {
        let page = fetch(&mut stranger, Method::GET, target).await;
        assert_eq!(page.status, of_stranger, "{target}: {page:?}");
        let page = fetch(&mut guest, Method::GET, target).await;
        assert_eq!(page.status, of_guest, "{target}: {page:?}");
        echo.take_received();
        for method in [
            "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PURGE", "get",
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            if method == Method::CONNECT {
                continue;
            }
            let page = fetch(&mut guest, method.clone(), target).await;
            assert_eq!(
                page.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {target}: {page:?}"
            );
            assert_eq!(page.headers[header::ALLOW], allow, "{target}");
        }
        assert_eq!(echo.count(), 0, "{target}");
    }
    let page = fetch(&mut guest, Method::DELETE, "/file-service/v1/x").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let status = socket_status(&mut guest, "/transcripts/x").await;
    assert_eq!(
        status,
        StatusCode::BAD_REQUEST,
        "no WebSocket is at transcripts"
    );
}

#[tokio::test]
async fn pages_of_other_sites_use_no_credentials() {
    let (site, echo) = site(&rules()).await;
    let mut max = site.signed_in("max").await;
    for (origin, expected) in [
        (Some("https://evil.test"), StatusCode::FORBIDDEN),
        (Some("null"), StatusCode::FORBIDDEN),
        // An app, which has no cookies.
        (None, StatusCode::FORBIDDEN),
    ] {
        let refused = max
            .open_websocket_at(BOARD, None, origin)
            .await
            .unwrap_err();
        assert_eq!(refused, expected, "{origin:?}");
    }
    for (method, headers) in [
        (Method::POST, fields(&[("origin", "https://evil.test")])),
        (Method::POST, fields(&[])),
        (
            Method::GET,
            fields(&[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ]),
        ),
        (Method::GET, fields(&[("origin", "https://evil.test")])),
    ] {
        let page = max
            .send(method, &address(NOTES), headers, Bytes::new())
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    }
    assert_eq!(echo.count(), 0);
    // A link to the notes, in a mail or on another site.
    let mut headers = navigation();
    headers.extend(fields(&[("sec-fetch-site", "cross-site")]));
    let page = max
        .send(
            Method::GET,
            &address("/etherpad/p/x"),
            headers,
            Bytes::new(),
        )
        .await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
}

#[tokio::test]
async fn one_session_has_a_bounded_number_of_sockets() {
    let (site, _echo) = site(&rules()).await;
    let mut max = site.signed_in("max").await;
    let mut open = Vec::new();
    let refused = loop {
        match max.open_websocket_at(BOARD, None, Some(ORIGIN)).await {
            Ok(socket) => open.push(socket),
            Err(status) => break status,
        }
        assert!(open.len() <= 64, "32 on each of two workers");
    };
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    assert!(open.len() >= 32, "{}", open.len());
    let counted = "jitsi_auth_gateway_limits_total{limit=\"location_sockets\"} 1";
    assert!(site.metrics().await.contains(counted));
    // Others are not affected.
    let mut mia = site.signed_in("mia").await;
    assert_eq!(
        socket_status(&mut mia, BOARD).await,
        StatusCode::SWITCHING_PROTOCOLS
    );
}
