//! A server beside the meetings: records heads, echoes bodies and WebSocket messages.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
    upgrade,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

type EchoBody = BoxBody<Bytes, Infallible>;

/// A request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct EchoedRequest {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// The server; it runs until the test ends.
pub(crate) struct EchoServer {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<EchoedRequest>>>,
}

// === impl EchoServer ===

impl EchoServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let service = service_fn(move |request| respond(request, Arc::clone(&log)));
                let io = TokioIo::new(stream);
                tokio::spawn(
                    http1::Builder::new()
                        .serve_connection(io, service)
                        .with_upgrades(),
                );
            }
        });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call.
    pub(crate) fn take_received(&self) -> Vec<EchoedRequest> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// How many requests came since the last call of [`take_received`](Self::take_received).
    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

/// `…/held` is never answered, `…/endless` sends a first part only, anything else is echoed.
async fn respond(
    mut request: Request<Incoming>,
    log: Arc<Mutex<Vec<EchoedRequest>>>,
) -> Result<Response<EchoBody>, Infallible> {
    // The page to which sign-ins of tests return.
    if request.uri().path() != "/robots.txt" {
        log.lock().unwrap().push(EchoedRequest {
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        });
    }
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        let upgraded = upgrade::on(&mut request);
        tokio::spawn(async move {
            let io = TokioIo::new(upgraded.await.unwrap());
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
            let (write, read) = socket.split();
            let _: Result<_, _> = read
                .filter(|message| {
                    std::future::ready(message.as_ref().is_ok_and(|it| !it.is_close()))
                })
                .forward(write)
                .await;
        });
        let mut answer = Response::new(body(Bytes::new()));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_ACCEPT,
            HeaderValue::try_from(accept).unwrap(),
        );
        return Ok(answer);
    }
    let path = request.uri().path().to_owned();
    if path.ends_with("/held") {
        return std::future::pending().await;
    }
    if path.ends_with("/endless") {
        let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
        let rest = futures_util::stream::pending();
        return Ok(Response::new(BodyExt::boxed(StreamBody::new(
            first.chain(rest),
        ))));
    }
    let received = request.into_body().collect().await;
    let received = received
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut answer = Response::new(body(received));
    let cookie = HeaderValue::from_static("__Host-gateway-session=planted; Path=/; Secure");
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    let cookie = HeaderValue::from_static("express_sid=1; Path=/");
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}

fn body(bytes: Bytes) -> EchoBody {
    http_body_util::Full::new(bytes).boxed()
}
