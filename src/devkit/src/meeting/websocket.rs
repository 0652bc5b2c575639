//! A server of XMPP over WebSocket (RFC 7395).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    upgrade::{Upgraded, on},
};
use hyper_util::rt::TokioIo;
use model::xml::Element;
use tokio::sync::mpsc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    DevMeetingState, MAX_MESSAGE_BYTES,
    namespaces::{FRAMING, STREAM, STREAM_ERROR},
    rooms::Outbox,
    stream::{Flow, Stream},
};
use crate::http::{self as server, HttpResponse};

/// A client's socket and its stream.
struct Socket {
    meeting: Arc<DevMeetingState>,
    stream: Stream,
    outbox: Outbox,
    stanzas: mpsc::Receiver<String>,
    overflow: CancellationToken,
}

/// Handles a request for `/xmpp-websocket`. A request without an upgrade is a client's keep-alive.
pub(super) fn upgrade(
    meeting: &Arc<DevMeetingState>,
    token: Option<String>,
    mut request: Request<Incoming>,
) -> HttpResponse {
    let headers = request.headers();
    if request.method() != Method::GET {
        return server::text(StatusCode::METHOD_NOT_ALLOWED, "GET only");
    }
    if !lists(headers, &header::UPGRADE, "websocket") {
        return server::text(StatusCode::OK, "connect a WebSocket client to this address");
    }
    if !lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, "xmpp") {
        return server::text(StatusCode::NOT_IMPLEMENTED, "the subprotocol is xmpp");
    }
    let versioned = lists(headers, &header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let (true, Some(key)) = (versioned, key) else {
        return server::text(StatusCode::BAD_REQUEST, "not a WebSocket handshake");
    };
    let accept = derive_accept_key(key.as_bytes());
    let socket = Socket::new(Arc::clone(meeting), token);
    let upgraded = on(&mut request);
    meeting.tasks().spawn(async move {
        match upgraded.await {
            Ok(upgraded) => socket.run(upgraded).await,
            Err(error) => debug!(%error, "WebSocket handshake failed"),
        }
    });
    switching_protocols(&accept)
}

// === impl Socket ===

impl Socket {
    fn new(meeting: Arc<DevMeetingState>, token: Option<String>) -> Self {
        let overflow = CancellationToken::new();
        let (outbox, stanzas) = Outbox::new(overflow.clone());
        Self {
            stream: Stream::new(Arc::clone(&meeting), token, outbox.clone()),
            meeting,
            outbox,
            stanzas,
            overflow,
        }
    }

    async fn run(mut self, upgraded: Upgraded) {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let stopped = self.meeting.stop().clone();
        loop {
            let sent = tokio::select! {
                () = stopped.cancelled() => break,
                () = self.overflow.cancelled() => break,
                Some(stanza) = self.stanzas.recv() => socket.send(Message::text(stanza)).await,
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => match self.receive(&text) {
                        Flow::Continue => Ok(()),
                        Flow::End => break,
                    },
                    // Flushing sends the library's replies to pings and closes.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {
                        socket.flush().await
                    }
                    _ => return,
                },
            };
            if sent.is_err() {
                return;
            }
        }
        self.close(socket).await;
    }

    fn receive(&mut self, text: &str) -> Flow {
        let Ok(element) = Element::parse(text) else {
            return self.fail("not-well-formed");
        };
        match (element.name(), element.namespace()) {
            ("open", FRAMING) => {
                let domain = self.meeting.domain();
                let open = Element::new("open", FRAMING)
                    .with("from", domain)
                    .with("id", &self.meeting.random().text::<12>())
                    .with("version", "1.0")
                    .with("xml:lang", "en");
                let known = element.attribute("to") == Some(domain);
                self.outbox.send(&open);
                if !known {
                    return self.fail("host-unknown");
                }
                self.outbox.send(&self.stream.features());
                Flow::Continue
            }
            ("close", FRAMING) => Flow::End,
            _ => match self.stream.receive(&element) {
                Flow::Continue => Flow::Continue,
                Flow::End => self.fail("not-authorized"),
            },
        }
    }

    fn fail(&self, condition: &str) -> Flow {
        let error = Element::prefixed("stream", "error", STREAM)
            .with_child(Element::new(condition, STREAM_ERROR));
        self.outbox.send(&error);
        Flow::End
    }

    /// Sends queued stanzas, then closes the stream (RFC 7395 § 3.6).
    async fn close(mut self, mut socket: WebSocketStream<TokioIo<Upgraded>>) {
        drop(self.stream);
        drop(self.outbox);
        let closing = async {
            while let Ok(stanza) = self.stanzas.try_recv() {
                socket.feed(Message::text(stanza)).await?;
            }
            let close = Element::new("close", FRAMING).to_string();
            socket.send(Message::text(close)).await?;
            socket.close(None).await
        };
        // A client that no longer reads is dropped.
        if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
            debug!(%error, "WebSocket client left before the close");
        }
    }
}

/// Whether a comma-separated header contains a token.
fn lists(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

fn switching_protocols(accept: &str) -> HttpResponse {
    let mut response = http::Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static("xmpp"),
    );
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// A loopback connection closes within milliseconds.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
