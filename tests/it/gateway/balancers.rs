//! TCP load balancers with PROXY protocol headers.

use std::{sync::Arc, time::Duration};

use rustls::{pki_types::ServerName, version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::support::site::{Site, SiteOptions};

/// A site that only admits the recorder's address, so that the status shows the client address.
async fn site(trusted: &str) -> Site {
    let listen = format!(
        "proxy_protocol = true\ntrusted_proxies = [\"{trusted}\"]\nrecorders = [\"203.0.113.7/32\"]"
    );
    let options = SiteOptions::default()
        .rules("[[room]]\nmatch = \"*\"\nenter = \"closed\"\n")
        .listen(&listen);
    Site::with(options).await
}

/// The status of a room page on a connection that begins with `begin`; `None` without a response.
async fn status(site: &Site, begin: &[u8]) -> Option<u16> {
    status_with(site, begin, "").await
}

/// As [`status`], with further header lines.
async fn status_with(site: &Site, begin: &[u8], more: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(site.running.addresses.https.unwrap())
        .await
        .unwrap();
    stream.write_all(begin).await.unwrap();
    let config = site.browser().tls_config(&[&version::TLS13]);
    let name = ServerName::try_from("meet.example.org").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.ok()?;
    let request =
        format!("GET /x HTTP/1.1\r\nhost: meet.example.org\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

const V2_RECORDER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc0\0\x02\x01\x10\0\x01\xbb";

#[tokio::test]
async fn a_proxy_header_from_a_trusted_peer_sets_the_client_address() {
    let site = site("127.0.0.1/32").await;
    assert_eq!(
        status(&site, b"PROXY TCP4 203.0.113.7 192.0.2.1 4096 443\r\n").await,
        Some(200)
    );
    assert_eq!(status(&site, V2_RECORDER).await, Some(200));
    for stranger in [
        &b"PROXY TCP4 203.0.113.8 192.0.2.1 4096 443\r\n"[..],
        b"PROXY TCP6 ::ffff:203.0.113.8 ::ffff:192.0.2.1 4096 443\r\n",
        b"PROXY UNKNOWN\r\n",
    ] {
        assert_eq!(status(&site, stranger).await, Some(403), "{stranger:?}");
    }
    assert_eq!(status(&site, b"").await, None, "no header, no answer");
}

#[tokio::test]
async fn x_forwarded_for_behind_a_proxy_header_is_ignored() {
    let site = site("127.0.0.1/32").await;
    let claim = "x-forwarded-for: 203.0.113.7\r\n";
    for anonymous in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let status = status_with(&site, anonymous, claim).await;
        assert_eq!(status, Some(403), "{anonymous:?}");
    }
    let named = b"PROXY TCP4 203.0.113.8 192.0.2.1 4096 443\r\n";
    assert_eq!(status_with(&site, named, claim).await, Some(403));
}

#[tokio::test]
async fn proxy_headers_from_untrusted_peers_are_refused() {
    let site = site("192.0.2.0/24").await;
    assert_eq!(status(&site, b"").await, Some(403));
    assert_eq!(status(&site, V2_RECORDER).await, None);
    assert_eq!(
        status(&site, b"PROXY TCP4 203.0.113.7 192.0.2.1 4096 443\r\n").await,
        None
    );
}

#[tokio::test]
async fn an_incomplete_proxy_header_times_out() {
    let site = site("127.0.0.1/32").await;
    let address = site.running.addresses.https.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"PROXY TCP4 203.0.113.7").await.unwrap();
    let end = timeout(Duration::from_secs(9), silent.read_u8()).await;
    assert!(end.expect("the connection is ended").is_err());
}
