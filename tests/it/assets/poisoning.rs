//! Nothing that a client sends changes what another client gets, and nothing personal is stored.

use http::{Method, StatusCode};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Client, SCRIPT, outcomes, site, site_at};
use crate::support::asset_server::Script;

/// Fields that must not reach the fetch of a file, nor change what is stored.
const UNKEYED: [&str; 24] = [
    "x-forwarded-host: evil.test",
    "x-forwarded-scheme: http",
    "x-forwarded-proto: http",
    "x-forwarded-prefix: /evil",
    "x-forwarded-port: 1",
    "x-forwarded-for: 203.0.113.9",
    "forwarded: host=evil.test",
    "x-host: evil.test",
    "x-original-url: /libs/evil.js",
    "x-rewrite-url: /libs/evil.js",
    "x-http-method-override: POST",
    "x-method-override: POST",
    "x-http-method: HEAD",
    "origin: https://evil.test",
    "referer: https://evil.test/",
    "cookie: lang=evil; a=b",
    "user-agent: evil",
    "accept: text/html",
    "accept-language: xx",
    "accept-charset: utf-7",
    "range: bytes=0-0",
    "if-none-match: \"evil\"",
    "x-requested-with: evil",
    "evil: evil",
];

#[tokio::test]
async fn no_field_of_a_client_reaches_the_fetch() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    for (number, field) in UNKEYED.iter().enumerate() {
        let target = format!("{SCRIPT}{number}");
        client.get_with(&target, &[field]).await;
        let received = server.take_received();
        assert_eq!(received.len(), 1, "{field}");
        let mut names: Vec<_> = received[0]
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        let closed = [
            "accept",
            "accept-encoding",
            "host",
            "x-forwarded-host",
            "x-forwarded-proto",
        ];
        assert_eq!(names, closed, "{field}");
        let values: Vec<_> = received[0]
            .headers
            .values()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert!(
            !values.iter().any(|value| value.contains("evil")),
            "{field}: {values:?}"
        );
        assert_eq!(received[0].headers["host"], "meet.example.org");
        assert_eq!(received[0].headers["accept"], "*/*");
        assert_eq!(received[0].headers["x-forwarded-proto"], "https");
        assert_eq!(received[0].uri, *target, "{field}");
        // Another client gets the whole file.
        let page = Client::of(&site).get(&target).await;
        assert_eq!(
            (page.status, page.text().as_str()),
            (StatusCode::OK, "let answer = 42;"),
            "{field}"
        );
        assert_eq!(server.count(), 0, "{field}");
    }
}

#[tokio::test]
async fn every_spelling_has_a_key_of_its_own_or_is_refused() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    client.get(SCRIPT).await;
    server.take_received();
    // The status, and the target that the web server is asked for, if it is.
    for (target, status, asked) in [
        (SCRIPT, 200, None),
        // The canonical spelling is that of the key.
        ("/%6cibs/app.bundle%2Emin.js?v=1", 200, None),
        ("/libs/app.bundle.min.js?v=1&jwt=evil", 200, None),
        ("/libs/app.bundle.min.js?v=1&%74oken=evil", 200, None),
        (
            "/libs/app.bundle.min.js?v=%31",
            200,
            Some("/libs/app.bundle.min.js?v=%31"),
        ),
        (
            "/libs/app.bundle.min.js?v=1&",
            200,
            Some("/libs/app.bundle.min.js?v=1&"),
        ),
        (
            "/libs/app.bundle.min.js?v=1&a=b",
            200,
            Some("/libs/app.bundle.min.js?v=1&a=b"),
        ),
        (
            "/libs/app.bundle.min.js?a=b&v=1",
            200,
            Some("/libs/app.bundle.min.js?a=b&v=1"),
        ),
        (
            "/libs/app.bundle.min.js?V=1",
            200,
            Some("/libs/app.bundle.min.js?V=1"),
        ),
        (
            "/libs/app.bundle.min.js?v=1?v=1",
            200,
            Some("/libs/app.bundle.min.js?v=1?v=1"),
        ),
        (
            "/libs/app.bundle.min.js;x?v=1",
            200,
            Some("/libs/app.bundle.min.js;x?v=1"),
        ),
        (
            "/libs/app.bundle.min.js/?v=1",
            200,
            Some("/libs/app.bundle.min.js/?v=1"),
        ),
        (
            "/libs/APP.bundle.min.js?v=1",
            200,
            Some("/libs/APP.bundle.min.js?v=1"),
        ),
        (
            "/acme/libs/app.bundle.min.js?v=1",
            200,
            Some("/acme/libs/app.bundle.min.js?v=1"),
        ),
        ("/libs%2Fapp.bundle.min.js?v=1", 400, None),
        ("/libs//app.bundle.min.js?v=1", 400, None),
        ("/libs/app.bundle.min.js%00?v=1", 400, None),
        (
            "/libs/app.bundle.min.js%3Fv=1",
            200,
            Some("/libs/app.bundle.min.js%3Fv=1"),
        ),
    ] {
        let page = client.get(target).await;
        assert_eq!(page.status.as_u16(), status, "{target}");
        let received = server.take_received();
        let found: Vec<_> = received.iter().map(|head| head.uri.to_string()).collect();
        assert_eq!(found, Vec::from_iter(asked), "{target}");
    }
}

#[tokio::test]
async fn only_reading_requests_without_a_body_use_the_cache() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    client.get(SCRIPT).await;
    server.take_received();
    let body = client.send(Method::GET, SCRIPT, &[], "evil").await;
    assert!(
        !body.headers.contains_key("age"),
        "a GET with a body is forwarded"
    );
    assert_eq!(server.take_received().len(), 1);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "get"] {
        let method: Method = method.parse().unwrap();
        let page = client.send(method.clone(), SCRIPT, &[], "").await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let other = client.get_with(SCRIPT, &["host: evil.test"]).await;
    assert_ne!(other.status, StatusCode::OK);
    assert_eq!(client.get(SCRIPT).await.headers["age"], "0");
    assert_eq!(server.count(), 0);
}

/// The web server gives every path a lifetime, as a careless one does.
#[tokio::test]
async fn pages_and_signalling_are_never_stored() {
    let (site, server) = site("").await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    let state = async || (outcomes(&site).await, super::gauge(&site, "entries").await);
    let before = state().await;
    let lived = ["cache-control: public, max-age=600", "etag: \"a\""];
    for target in [
        "/tea",
        "/tea?v=1",
        "/acme/tea?v=1",
        "/tea/x.css?v=1",
        "/acme/tea/x.css?v=1",
        "/acme/tea/libs.js?v=1",
        "/tea.js?v=1",
        "/config.js?v=1",
        "/acme/config.js?v=1",
        "/static/close.html?v=1",
        "/index.html?v=1",
        "/pwa-worker.js?v=1",
        "/_unlock?v=1",
        "/.well-known/libs/x.js?v=1",
        "/transcripts/libs/x.js?v=1",
        "/_gateway/events.js?v=1",
        "/_gateway/libs/x.js?v=1",
        "/http-bind?v=1",
        "/http-bind/libs/x.js?v=1",
        "/xmpp-websocket?v=1",
    ] {
        let path = target.split('?').next().unwrap();
        server.script(path, Script::new(&lived).body("of max"));
        max.navigate(target).await;
        max.navigate(target).await;
        let mut stranger = Client::of(&site);
        let page = stranger.get(target).await;
        let aged = page.headers.contains_key("age");
        assert!(!aged, "{target}: {page:?}");
    }
    assert_eq!(state().await, before);
    let mut stranger = Client::of(&site);
    for target in [
        "/libs/x.js?v=1",
        "/acme/images/x.png?v=1",
        "/external_api.js?v=1",
    ] {
        let page = stranger.get(target).await;
        assert!(page.headers.contains_key("age"), "{target} is a control");
    }
}

#[tokio::test]
async fn cookies_of_answers_and_of_people_are_never_stored() {
    let (site, server) = site("").await;
    let site = site.ready().await;
    let mut max = site.signed_in("max").await;
    server.take_received();
    // Without a version: the first request is forwarded with the cookies of its sender.
    let path = "/libs/own.js";
    let lived = [
        "cache-control: max-age=600",
        "set-cookie: person=max; Path=/",
    ];
    server.script(path, Script::new(&lived).body("of max"));
    max.navigate(path).await;
    max.navigate(path).await;
    let cookies = |head: &http::HeaderMap| head.contains_key("cookie");
    let received = server.take_received();
    assert!(received.iter().skip(1).all(|head| cookies(&head.headers)));
    // The next ones have no cookie; what is stored is the answer to a request of nobody.
    server.script(path, Script::new(&lived[..1]).body("of all"));
    for _ in 0..3 {
        max.navigate(path).await;
    }
    let received = server.take_received();
    let asked: Vec<_> = received.iter().map(|head| cookies(&head.headers)).collect();
    assert_eq!(asked, [true, false]);
    let page = Client::of(&site).get(path).await;
    assert_eq!((page.text().as_str(), server.count()), ("of all", 0));
    assert!(!page.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn an_operator_and_a_reload_of_other_shards_empty_the_cache() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    client.get(SCRIPT).await;
    client.get(SCRIPT).await;
    let purge = async |headers| site.order("/cache/purge", "{}", headers).await;
    assert_eq!(
        purge(&[("origin", "https://evil.test")]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        site.order("/cache/purge", "[1]", &[]).await,
        StatusCode::BAD_REQUEST
    );
    client.get(SCRIPT).await;
    assert_eq!(server.count(), 1);
    assert_eq!(purge(&[]).await, StatusCode::OK);
    assert_eq!(super::gauge(&site, "entries").await, 0);
    client.get(SCRIPT).await;
    assert_eq!(server.count(), 2);
    // Rules only: the files stay.
    site.reload(|_| {});
    client.get(SCRIPT).await;
    assert_eq!(server.count(), 2);
    let web = server.url().replace("127.0.0.1", "localhost");
    site.reload(|table| {
        let upstream = table["upstream"].as_table_mut().unwrap();
        upstream.insert("xmpp".to_owned(), web.into());
    });
    client.get(SCRIPT).await;
    assert_eq!(server.count(), 3);
}

/// A fetch that began before a purge stores nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_reaches_fetches_under_way() {
    let (site, server) = site("").await;
    server.hold();
    let mut early = Client::of(&site);
    let fetching = tokio::spawn(async move { early.get(SCRIPT).await });
    site.wait_for("the fetch began", async || server.count() == 1)
        .await;
    assert_eq!(site.order("/cache/purge", "{}", &[]).await, StatusCode::OK);
    server.release();
    assert_eq!(fetching.await.unwrap().text(), "let answer = 42;");
    server.script(
        "/libs/app.bundle.min.js",
        Script::new(&["cache-control: max-age=60"]).body("new"),
    );
    assert_eq!(Client::of(&site).get(SCRIPT).await.text(), "new");
}

/// A body that ends with its connection may have been cut off.
#[tokio::test]
async fn bodies_without_a_length_are_not_stored() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _: usize = stream.read(&mut head).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\
                Content-Type: text/javascript\r\n\r\nlet answ";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let site = site_at(&web, "", "").await;
    let mut client = Client::of(&site);
    for _ in 0..3 {
        let page = client.get(SCRIPT).await;
        assert_eq!(page.text(), "let answ");
        assert!(!page.headers.contains_key("age"));
    }
    assert_eq!(outcomes(&site).await, ["bypass 3"]);
}
