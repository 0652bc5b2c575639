//! The limits of one client address: rates of pages and sign-ins, and a share of the connections to the web
//! server. Meetings do not count.

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use crate::support::{
    asset_server::{AssetServer, Script},
    browser::{Browser, Page},
    logs::Logs,
    site::{ORIGIN, Site, SiteOptions},
};

/// One worker, as each has rates of its own.
async fn site(limits: &str, listen: &str) -> Site {
    let listen = format!("workers = 1\n{listen}");
    let options = SiteOptions::default().limits(limits).listen(&listen);
    Site::with(options).await.ready().await
}

/// One page, without those that it leads to.
async fn get(browser: &mut Browser, path: &str) -> Page {
    let url = Url::parse(&format!("{ORIGIN}{path}")).unwrap();
    browser.load(&url).await
}

async fn counted(site: &Site, limit: &str) -> bool {
    let metrics = site.metrics().await;
    let zero = format!("jitsi_auth_gateway_limits_total{{limit=\"{limit}\"}} 0\n");
    assert!(metrics.contains(&zero[..zero.len() - 3]), "{metrics}");
    !metrics.contains(&zero)
}

#[tokio::test]
async fn an_address_with_too_many_requests_keeps_its_meetings() {
    let logs = Logs::keep();
    let site = site("requests_per_minute = 20", "").await;
    let mut max = site.signed_in("max").await;
    let socket = max.socket("room=x").await.unwrap();
    let limited = loop {
        let page = max.navigate("/_gateway/signed-out").await;
        if page.status != StatusCode::OK {
            break page;
        }
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers["retry-after"], "5");
    assert!(
        limited.text().contains("requests_too_many"),
        "{}",
        limited.text()
    );
    assert!(counted(&site, "requests_per_address").await);
    // Another refusal within the minute writes no line.
    let page = max.navigate("/_gateway/signed-out").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    let lines = logs.lines_with("limit=\"requests_per_address\" client.addr=127.0.0.1 ");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("remedy=\"limits.requests_per_minute"),
        "{lines:?}"
    );
    // Streams are not requests for pages.
    assert!(max.socket("room=y").await.is_ok());
    drop(socket);
}

#[tokio::test]
async fn an_address_begins_so_many_sign_ins() {
    let site = site("sign_ins_per_minute = 4", "").await;
    let mut browser = site.browser();
    for _ in 0..3 {
        let page = get(&mut browser, "/_gateway/login").await;
        assert_ne!(page.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let callback = "/_gateway/callback?state=made-up&code=x";
    assert_eq!(
        get(&mut browser, callback).await.status,
        StatusCode::BAD_REQUEST
    );
    for path in [callback, "/_gateway/login"] {
        let page = get(&mut browser, path).await;
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    assert!(counted(&site, "sign_ins_per_address").await);
    assert!(!counted(&site, "requests_per_address").await);
    assert_eq!(
        get(&mut browser, "/_gateway/signed-out").await.status,
        StatusCode::OK
    );
}

/// A proxy that names no client stands for all of them.
#[tokio::test]
async fn a_trusted_proxy_has_no_rate() {
    let site = site(
        "requests_per_minute = 3",
        "trusted_proxies = [\"127.0.0.1/32\"]",
    )
    .await;
    let mut browser = site.browser();
    for _ in 0..9 {
        let page = get(&mut browser, "/_gateway/signed-out").await;
        assert_eq!(page.status, StatusCode::OK);
    }
}

/// Sends a GET as a proxy in front does, and reads nothing.
async fn forward(site: &Site, client: &str, path: &str) -> TcpStream {
    let address = site.http_address();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: meet.example.org\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-For: {client}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

async fn status_line(mut connection: TcpStream) -> String {
    let mut line = vec![0; "HTTP/1.1 200".len()];
    connection.read_exact(&mut line).await.unwrap();
    String::from_utf8(line).unwrap()
}

/// One worker with four connections to the web server, behind a proxy that names its clients.
async fn site_with_shares(server: &AssetServer, sections: &str) -> Site {
    let rules = format!(
        "[upstream]\nweb = \"{}\"\n{sections}[[room]]\nmatch = \"*\"\nenter = \"member\"\n",
        server.url()
    );
    let options = SiteOptions::default()
        .rules(&rules)
        .limits("upstream_connections = 4")
        .listen("workers = 1\ntrusted_proxies = [\"127.0.0.1/32\"]");
    Site::with(options).await
}

/// Responses that are not read keep their connections to the web server.
#[tokio::test]
async fn a_client_that_reads_nothing_leaves_the_web_server_to_others() {
    let logs = Logs::keep();
    let server = AssetServer::start().await;
    server.script("/libs/a.js", Script::new(&[]).body(vec![b'x'; 8 << 20]));
    server.script("/libs/b.js", Script::new(&[]));
    let site = site_with_shares(&server, "").await;
    let held = [
        forward(&site, "192.0.2.1", "/libs/a.js").await,
        forward(&site, "192.0.2.1", "/libs/a.js").await,
    ];
    site.wait_for("both are forwarded", async || server.count() == 2)
        .await;
    let further = forward(&site, "192.0.2.1", "/libs/a.js").await;
    let other = forward(&site, "192.0.2.2", "/libs/b.js").await;
    assert_eq!(status_line(other).await, "HTTP/1.1 200");
    assert_eq!(status_line(further).await, "HTTP/1.1 429");
    assert!(counted(&site, "upstream_connections").await);
    let lines = logs.lines_with("limit=\"upstream_connections\" client.addr=192.0.2.1 ");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("remedy=\"limits.upstream_connections"),
        "{lines:?}"
    );
    drop(held);
    site.wait_for("their connections are free", async || {
        let again = forward(&site, "192.0.2.1", "/libs/b.js").await;
        status_line(again).await == "HTTP/1.1 200"
    })
    .await;
}

/// Requests that the web server holds: of made-up versions of a file, which are fetched by requests of the gateway's own
/// that go on without their client, and to a location.
#[tokio::test]
async fn a_client_whose_requests_are_held_leaves_the_web_server_to_others() {
    for target in ["/libs/a.js?v=", "/board/?poll="] {
        let server = AssetServer::start().await;
        let sections = "[cache]\n[[location]]\npath = \"/board/\"\nwho = \"anybody\"\n";
        let site = site_with_shares(&server, sections).await;
        server.hold();
        let mut held = Vec::new();
        for number in 0..6 {
            held.push(forward(&site, "192.0.2.1", &format!("{target}{number}")).await);
        }
        site.wait_for("the share is taken", async || server.count() >= 2)
            .await;
        let other = forward(&site, "192.0.2.2", "/libs/b.js?v=1").await;
        site.wait_for(
            &format!("another client's request beside {target}"),
            async || {
                let received = server.received();
                received.iter().any(|it| it.uri.path() == "/libs/b.js")
            },
        )
        .await;
        server.release();
        assert_eq!(status_line(other).await, "HTTP/1.1 200");
    }
}
