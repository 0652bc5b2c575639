//! WebSockets over HTTP/2, by the extended CONNECT of RFC 8441.

use std::time::Duration;

use bytes::Bytes;
use devkit::meeting::RequestKind;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    ext::Protocol,
    upgrade::{self, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use super::locations;
use crate::support::{
    browser::{Browser, Http2Sender},
    site::{ORIGIN, Site},
};

type Http2Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection of HTTP/2, with the cookies of a browser.
struct Client {
    sender: Http2Sender,
    connection: JoinHandle<hyper::Result<()>>,
    cookies: HeaderMap,
}

impl Client {
    async fn of(browser: &Browser) -> Self {
        let (sender, connection) = browser.connect_http2().await.unwrap();
        let origin = url::Url::parse(ORIGIN).unwrap();
        let mut client = Self {
            sender,
            connection,
            cookies: browser.cookie_header(&origin).into_iter().collect(),
        };
        // As a browser has, a client has got the server's settings before it opens a WebSocket.
        client.send(Method::GET, "/images/a.png", None, &[]).await;
        client
    }

    /// Sends a request and returns the answer.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        protocol: Option<&'static str>,
        fields: &[(HeaderName, &'static str)],
    ) -> http::Response<hyper::body::Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{ORIGIN}{path}"))
            .body(Full::new(Bytes::new()))
            .unwrap();
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        request.headers_mut().extend(self.cookies.clone());
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name.clone(), value);
        }
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    async fn open(&mut self, path: &str) -> Result<Http2Socket, StatusCode> {
        let answer = self.connect(path, &HANDSHAKE).await;
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        let protocol = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        assert_eq!(protocol.unwrap(), "xmpp");
        for name in [header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT] {
            assert!(!answer.headers().contains_key(&name), "{name}");
        }
        Ok(socket_of(answer).await)
    }

    async fn connect(
        &mut self,
        path: &str,
        fields: &[(HeaderName, &'static str)],
    ) -> http::Response<hyper::body::Incoming> {
        self.send(Method::CONNECT, path, Some("websocket"), fields)
            .await
    }
}

async fn socket_of(answer: http::Response<hyper::body::Incoming>) -> Http2Socket {
    let upgraded = upgrade::on(answer).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

const HANDSHAKE: [(HeaderName, &str); 4] = [
    (header::SEC_WEBSOCKET_VERSION, "13"),
    (header::SEC_WEBSOCKET_PROTOCOL, "xmpp"),
    (header::ORIGIN, ORIGIN),
    (header::USER_AGENT, "Mozilla/5.0"),
];

const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>";

/// The code of the close frame, behind which the stream ends.
async fn closed_with(socket: &mut Http2Socket) -> u16 {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("ended without a close frame: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_member_is_in_a_room_by_the_connection_of_the_page() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    let mut client = Client::of(&max).await;
    let page = client.send(Method::GET, "/plan", None, &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    page.into_body().collect().await.unwrap();
    let mut socket = client.open("/xmpp-websocket?room=plan").await.unwrap();
    socket.send(Message::text(OPEN)).await.unwrap();
    let opened = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(opened.contains("<open"), "{opened}");
    let received = site.meeting.received();
    let handshake = received
        .iter()
        .find(|request| request.kind == RequestKind::WebSocket)
        .unwrap();
    assert!(handshake.headers.contains_key("authorization"));
    assert!(handshake.headers.contains_key("sec-websocket-key"));
    // Other requests of the connection are answered meanwhile.
    let asset = client.send(Method::GET, "/libs/app.bundle.min.js", None, &[]);
    assert_eq!(asset.await.status(), StatusCode::OK);

    let mut second = client.open("/xmpp-websocket?room=other").await.unwrap();
    let revoked = site.order("/revoke", r#"{"subject":"max"}"#, &[]).await;
    assert_eq!(revoked, StatusCode::OK);
    assert_eq!(closed_with(&mut socket).await, 1008);
    assert_eq!(closed_with(&mut second).await, 1008);
    // The stream ends; the connection does not.
    drop((socket, second));
    let refused = client.open("/xmpp-websocket?room=plan").await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    assert!(!client.connection.is_finished());
    site.wait_for("no stream is open", async || {
        let none = "\njitsi_auth_gateway_streams_open{kind=\"websocket\"} 0\n";
        site.metrics().await.contains(none)
    })
    .await;
}

#[tokio::test]
async fn handshakes_are_checked_as_those_of_http_1() {
    let site = Site::start().await.ready().await;
    let member = site.signed_in("max").await;
    let mut client = Client::of(&member).await;
    let without = |name: &HeaderName| -> Vec<_> {
        let fields = HANDSHAKE.into_iter();
        fields.filter(|(field, _)| field != name).collect()
    };
    let with = |name: HeaderName, value: &'static str| {
        let mut fields = without(&name);
        fields.push((name, value));
        fields
    };
    let path = "/xmpp-websocket?room=plan";
    for (path, fields, expected) in [
        (path, HANDSHAKE.to_vec(), StatusCode::OK),
        (
            path,
            with(header::ORIGIN, "https://evil.example"),
            StatusCode::FORBIDDEN,
        ),
        (
            path,
            without(&header::SEC_WEBSOCKET_PROTOCOL),
            StatusCode::BAD_REQUEST,
        ),
        (
            path,
            with(header::SEC_WEBSOCKET_PROTOCOL, "chat"),
            StatusCode::BAD_REQUEST,
        ),
        (
            path,
            with(header::SEC_WEBSOCKET_VERSION, "8"),
            StatusCode::UPGRADE_REQUIRED,
        ),
        (
            path,
            with(header::CONTENT_LENGTH, "0"),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/xmpp-websocket",
            HANDSHAKE.to_vec(),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let answer = client.connect(path, &fields).await;
        assert_eq!(answer.status(), expected, "{path} {fields:?}");
    }
    // Nothing else is a tunnel.
    for (path, protocol) in [
        ("/plan", Some("websocket")),
        ("/", Some("websocket")),
        ("/_gateway/login", Some("websocket")),
        ("/libs/app.bundle.min.js", Some("websocket")),
        ("/http-bind?room=plan", Some("websocket")),
        ("/plan", Some("connect-udp")),
        ("/libs/app.bundle.min.js", Some("connect-udp")),
        (path, Some("connect-udp")),
    ] {
        let answer = client
            .send(Method::CONNECT, path, protocol, &HANDSHAKE)
            .await;
        assert!(
            !answer.status().is_success(),
            "{path} {protocol:?}: {}",
            answer.status()
        );
    }
    let mut stranger = Client::of(&site.browser()).await;
    let refused = stranger.open(path).await.unwrap_err();
    assert_eq!(refused, StatusCode::FORBIDDEN);
    // An app gets a stream whose authentication fails.
    let app = stranger.connect(path, &without(&header::USER_AGENT)).await;
    assert_eq!(app.status(), StatusCode::OK);
    let mut refused = socket_of(app).await;
    refused.send(Message::text(OPEN)).await.unwrap();
    for part in ["id='sign-in-first'", "<mechanism>"] {
        let message = refused.next().await.unwrap().unwrap();
        let message = message.into_text().unwrap();
        assert!(message.contains(part), "{message}");
    }
    // The connection has survived all of it.
    let page = client.send(Method::GET, "/plan", None, &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_socket_of_a_whiteboard_passes_as_over_http_1() {
    let (site, echo) = locations::site("[[room]]\nmatch = \"*\"\nenter = \"member\"\n").await;
    let max = site.signed_in("max").await;
    let mut client = Client::of(&max).await;
    let fields = [
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::ORIGIN, ORIGIN),
    ];
    let answer = client.connect(locations::BOARD, &fields).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut socket = socket_of(answer).await;
    socket.send(Message::text("a line")).await.unwrap();
    let echoed = socket.next().await.unwrap().unwrap();
    assert_eq!(echoed, Message::text("a line"));
    let received = echo.take_received();
    let handshake = received.last().unwrap();
    assert!(handshake.headers.contains_key("sec-websocket-key"));
    let cookies = handshake.headers.get_all("cookie").iter();
    for cookie in cookies {
        assert!(!cookie.to_str().unwrap().contains("gateway"), "{cookie:?}");
    }
}

#[tokio::test]
async fn a_shutdown_closes_the_socket_and_then_the_connection() {
    let site = Site::start().await.ready().await;
    let max = site.signed_in("max").await;
    let mut client = Client::of(&max).await;
    let mut socket = client.open("/xmpp-websocket?room=plan").await.unwrap();
    let Site { running, .. } = site;
    let stopping = tokio::spawn(running.stop(CancellationToken::new()));
    assert_eq!(closed_with(&mut socket).await, 1001);
    drop(socket);
    let ended = tokio::time::timeout(Duration::from_secs(30), client.connection);
    ended.await.expect("the connection ends").unwrap().unwrap();
    stopping.await.unwrap();
}
