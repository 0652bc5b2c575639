//! WebSocket handshakes as clients and proxies write them: header lines joined and apart, in any case, with blanks.

use std::sync::Arc;

use http::header;
use rustls::{pki_types::ServerName, version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::support::{
    browser::Browser,
    site::{ORIGIN, Site},
};

/// The lines of a browser.
const LINES: [&str; 5] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: xmpp",
];

/// The status, and lines in place of those of the same names; a name alone leaves its line out.
const HANDSHAKES: &[(u16, &[&str])] = &[
    (101, &[]),
    // Firefox.
    (101, &["Connection: keep-alive, Upgrade"]),
    (101, &["Connection: Upgrade, Keep-Alive"]),
    (101, &["connection:upgrade", "upgrade:WebSocket"]),
    (101, &["CONNECTION:\tUPGRADE \t", "UPGRADE:   WEBSOCKET  "]),
    (101, &["Connection: ,, Upgrade ,"]),
    (101, &["Sec-WebSocket-Version:13 "]),
    // Proxies that add a line of their own.
    (101, &["Connection: keep-alive", "Connection: Upgrade"]),
    (101, &["Connection: Upgrade", "Connection: close"]),
    (101, &["Upgrade: h2c, websocket"]),
    (101, &["Upgrade: h2c", "Upgrade: websocket"]),
    (101, &["Sec-WebSocket-Protocol: chat, xmpp"]),
    (101, &["Sec-WebSocket-Protocol: xmpp,chat"]),
    (101, &["Sec-WebSocket-Protocol:  XMPP "]),
    (
        101,
        &[
            "Sec-WebSocket-Protocol: chat",
            "Sec-WebSocket-Protocol: xmpp",
        ],
    ),
    (
        101,
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
    ),
    (
        101,
        &[
            "Keep-Alive: timeout=5",
            "TE: trailers",
            "Via: 1.1 edge",
            "Pragma: no-cache",
        ],
    ),
    (
        101,
        &[
            "Sec-Fetch-Mode: websocket",
            "Sec-Fetch-Dest: websocket",
            "Sec-Fetch-Site: same-origin",
        ],
    ),
    // Proxies that drop the hop-by-hop headers: Jitsi's page asks so to keep its session alive.
    (204, &["Connection", "Upgrade"]),
    (400, &["Connection"]),
    (400, &["Connection: keep-alive"]),
    (400, &["Connection: keep-alive Upgrade"]),
    (400, &["Connection: Upgraded"]),
    (400, &["Upgrade: websockets"]),
    (400, &["Sec-WebSocket-Key"]),
    (400, &["Sec-WebSocket-Key: c2hvcnQ="]),
    (
        400,
        &[
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ],
    ),
    (400, &["Sec-WebSocket-Protocol"]),
    (400, &["Sec-WebSocket-Protocol: chat"]),
    (400, &["Sec-WebSocket-Protocol: xmpp2, x-xmpp"]),
    (400, &["Content-Length: 0"]),
    (426, &["Sec-WebSocket-Version"]),
    (426, &["Sec-WebSocket-Version: 8"]),
    (426, &["Sec-WebSocket-Version: 13, 8"]),
    (
        426,
        &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"],
    ),
];

/// The header lines of a handshake.
fn lines<'l>(changes: &[&'l str]) -> Vec<&'l str> {
    let name = |line: &str| line.split(':').next().unwrap().to_lowercase();
    let unchanged = |line: &&str| !changes.iter().any(|change| name(change) == name(line));
    let kept = LINES.into_iter().filter(unchanged);
    kept.chain(changes.iter().copied().filter(|line| line.contains(':')))
        .collect()
}

/// The status of the response to a handshake with these lines.
async fn status(site: &Site, browser: &Browser, lines: &[&str]) -> u16 {
    let stream = TcpStream::connect(site.running.addresses.https.unwrap())
        .await
        .unwrap();
    let config = browser.tls_config(&[&version::TLS13]);
    let name = ServerName::try_from("meet.example.org").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let url = Url::parse(ORIGIN).unwrap();
    let (cookie, cookies) = browser.cookie_header(&url).unwrap();
    assert_eq!(cookie, header::COOKIE);
    let request = format!(
        "GET /xmpp-websocket?room=team HTTP/1.1\r\nHost: meet.example.org\r\nOrigin: {ORIGIN}\r\n\
         Cookie: {}\r\n{}\r\n\r\n",
        cookies.to_str().unwrap(),
        lines.join("\r\n"),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    let head = std::str::from_utf8(&head).unwrap();
    head.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

#[tokio::test]
async fn handshakes_are_understood_as_clients_and_proxies_write_them() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    let mut wrong = Vec::new();
    for (expected, changes) in HANDSHAKES {
        let status = status(&site, &max, &lines(changes)).await;
        if status != *expected {
            wrong.push((changes, *expected, status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
