//! TLS and HTTP versions of client connections.

use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ProtocolVersion, SupportedProtocolVersion, pki_types::ServerName, version};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::site::Site;

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
