//! TLS and HTTP versions of client connections.

use std::{collections::HashMap, sync::Arc};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ProtocolVersion, SupportedProtocolVersion, pki_types::ServerName, version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::site::{Site, SiteOptions};
use model::clock::{Clock, Timestamp};

async fn connect(
    site: &Site,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> TlsStream<TcpStream> {
    let mut config = site.browser().tls_config(&[version]);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(site.running.addresses.https.unwrap())
        .await
        .unwrap();
    let name = ServerName::try_from("meet.example.org").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

#[tokio::test]
async fn tls_12_and_13_with_http_1_and_2() {
    let site = Site::start().await;
    for (version, expected) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let stream = connect(&site, version, &[alpn]).await;
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(expected));
            assert_eq!(session.alpn_protocol(), Some(alpn));
        }
    }
}

#[tokio::test]
async fn requests_over_http_2_are_answered() {
    let site = Site::start().await;
    let stream = connect(&site, &version::TLS13, &[b"h2", b"http/1.1"]).await;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for (path, expected) in [
        ("https://meet.example.org/config.js", StatusCode::OK),
        ("https://meet.example.org/room", StatusCode::UNAUTHORIZED),
        ("https://meet.example.org/http-bind/", StatusCode::NOT_FOUND),
        (
            "https://other.example.org/config.js",
            StatusCode::MISDIRECTED_REQUEST,
        ),
    ] {
        let request = Request::get(path)
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
        assert_eq!(
            answer.headers()["strict-transport-security"],
            "max-age=63072000"
        );
        answer.into_body().collect().await.unwrap();
    }
    connection.abort();
}

/// The settings that the server announces, by identifier (RFC 9113 § 6.5).
async fn announced_settings(stream: &mut TlsStream<TcpStream>) -> HashMap<u16, u32> {
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS: {head:?}");
    let length = usize::from(head[1]) * 256 + usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    let settings = payload.chunks_exact(6).map(|setting| {
        let (id, value) = setting.split_at(2);
        let id = u16::from_be_bytes(id.try_into().unwrap());
        (id, u32::from_be_bytes(value.try_into().unwrap()))
    });
    settings.collect()
}

#[tokio::test]
async fn browsers_may_open_web_sockets_by_either_http() {
    let site = Site::start().await.ready().await;
    // What browsers offer: pages are loaded by HTTP/2.
    let mut stream = connect(&site, &version::TLS13, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Without this setting, no browser tries extended CONNECT (RFC 8441 § 3).
    let settings = announced_settings(&mut stream).await;
    assert_eq!(settings.get(&ENABLE_CONNECT_PROTOCOL), Some(&1));
    // Others offer HTTP/1.1 alone for a WebSocket, on a connection of its own.
    let stream = connect(&site, &version::TLS13, &[b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut max = site.signed_in("max").await;
    assert!(max.socket("room=x").await.is_ok());
}

const ENABLE_CONNECT_PROTOCOL: u16 = 8;

#[tokio::test]
async fn an_expired_certificate_is_a_reason_in_readyz() {
    let before = Site::start().await.ready().await;
    let (_, body) = before.readiness().await;
    assert!(!body.to_string().contains("expired"), "{body}");
    // The certificate of the tests is valid until 4096-01-01T00:00:00Z.
    let (clock, control) = Clock::manual(Timestamp::from_unix(67_090_118_401));
    let site = Site::with(SiteOptions::default().clock(clock, control)).await;
    let site = site.ready().await;
    let (status, body) = site.readiness().await;
    assert_eq!(status, StatusCode::OK);
    let expected =
        "the certificate for meet.example.org expired at 4096-01-01T00:00:00Z; browsers refuse it";
    let reasons = body["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason == expected), "{body}");
}
