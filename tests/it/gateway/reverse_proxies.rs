//! HTTP proxies in front of the gateway: the scheme and the host that they forward.

mod unix_socket;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::support::{
    logs::Logs,
    site::{ORIGIN, Site, SiteOptions},
};

async fn site(listen: &str) -> Site {
    Site::with(SiteOptions::default().listen(listen))
        .await
        .ready()
        .await
}

/// What a proxy at 127.0.0.1 receives for a request with these lines after the request line.
async fn forwarded(site: &Site, target: &str, lines: &[&str]) -> String {
    forwarded_from("127.0.0.1", site, target, lines).await
}

/// As [`forwarded`], for a proxy at any address of the loopback network.
async fn forwarded_from(proxy: &str, site: &Site, target: &str, lines: &[&str]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{proxy}:0").parse().unwrap()).unwrap();
    let address = site.http_address();
    let mut stream = socket.connect(address).await.unwrap();
    let mut head = format!("GET {target} HTTP/1.1\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 64 * 1024];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn status(answer: &str) -> &str {
    answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .unwrap_or_else(|| panic!("{answer}"))
}

/// Fields of a WebSocket handshake of Jitsi's page.
const HANDSHAKE: &[&str] = &[
    "User-Agent: Mozilla/5.0",
    "Origin: https://meet.example.org",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol: xmpp",
];

const HOST: &str = "Host: meet.example.org";
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]";

/// Fields of a page that a person opens.
const NAVIGATION: &[&str] = &["Accept: text/html", "Sec-Fetch-Mode: navigate"];

#[tokio::test]
async fn a_websocket_is_accepted_however_a_trusted_proxy_names_tls() {
    let site = site(TRUSTED).await;
    let member = site.signed_in("max").await;
    let (_, cookies) = member.cookie_header(&ORIGIN.parse().unwrap()).unwrap();
    let cookies = format!("Cookie: {}", cookies.to_str().unwrap());
    for (fields, expected) in [
        (&["X-Forwarded-Proto: https"][..], "101"),
        // Traefik's value for a WebSocket over TLS.
        (&["X-Forwarded-Proto: wss"], "101"),
        (&["X-Forwarded-Proto: WSS"], "101"),
        // Two proxies, of which the inner one appends.
        (
            &[
                "X-Forwarded-Proto: https, http",
                "X-Forwarded-For: 192.0.2.7, 10.0.0.2",
            ],
            "101",
        ),
        (&["X-Forwarded-Proto: ws"], "421"),
        (&["X-Forwarded-Proto: http"], "421"),
        (
            &[
                "X-Forwarded-Proto: https, http",
                "X-Forwarded-For: 192.0.2.7",
            ],
            "421",
        ),
        (&[], "421"),
    ] {
        let lines = [&[HOST, &cookies], HANDSHAKE, fields].concat();
        let answer = forwarded(&site, "/xmpp-websocket?room=x", &lines).await;
        assert_eq!(status(&answer), expected, "{fields:?}: {answer}");
        if expected == "421" {
            assert!(answer.contains("X-Forwarded-Proto: https"), "{answer}");
        }
    }
}

#[tokio::test]
async fn pages_are_redirected_to_https_only_while_the_client_is_without_tls() {
    let site = site(TRUSTED).await;
    for (fields, expected) in [
        (&["X-Forwarded-Proto: https"][..], "200"),
        (
            &[
                "X-Forwarded-Proto: https, http",
                "X-Forwarded-For: 192.0.2.7, 10.0.0.2",
            ],
            "200",
        ),
        (&["X-Forwarded-Proto: http"], "308"),
        (&[], "308"),
    ] {
        let lines = [&[HOST], NAVIGATION, fields].concat();
        let answer = forwarded(&site, "/", &lines).await;
        assert_eq!(status(&answer), expected, "{fields:?}: {answer}");
    }
}

#[tokio::test]
async fn a_proxy_that_names_no_scheme_is_named_in_the_log_once_a_minute() {
    let logs = Logs::keep();
    // An address that no other test has: all tests share the log.
    let site = site("trusted_proxies = [\"127.0.0.0/8\"]").await;
    let warnings = || {
        let lines = logs.lines_with("sends no X-Forwarded-Proto");
        lines
            .into_iter()
            .filter(|line| line.contains("WARN") && line.contains("127.9.9.1"))
            .count()
    };
    for (advance, expected) in [(0, 1), (10, 1), (60, 2)] {
        site.clock_control.advance(Duration::from_secs(advance));
        let answer = forwarded_from("127.9.9.1", &site, "/", &[HOST]).await;
        assert_eq!(status(&answer), "308", "{answer}");
        assert_eq!(warnings(), expected, "after {advance} s");
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused_with_both_names() {
    let logs = Logs::keep();
    let site = site(TRUSTED).await;
    let https = "X-Forwarded-Proto: https";
    for target in ["/", "/_gateway/login", "/libs/lib-jitsi-meet.min.js"] {
        let answer = forwarded(&site, target, &["Host: wrong-host.example", https]).await;
        assert_eq!(status(&answer), "421", "{answer}");
        assert!(answer.contains("wrong-host.example"), "{answer}");
        assert!(answer.contains("meet.example.org"), "{answer}");
    }
    let warned = logs.lines_with("for the host wrong-host.example");
    let warned = warned.iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warned, 1);
    let page = [&["Host: <b>.example", https], NAVIGATION].concat();
    let answer = forwarded(&site, "/", &page).await;
    assert!(!answer.contains("<b>.example"), "{answer}");
}
