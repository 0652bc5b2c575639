//! A client of XMPP over WebSocket (RFC 7395), up to the login.

use std::fmt::Display;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use model::xml::{Element, Escaped};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::{AUTH, ByteStream, HttpError, REPLY_TIMEOUT, Refusal, XmppServer, single_line};

/// A logged-in XMPP stream over WebSocket.
pub(crate) struct XmppSocket {
    stream: WebSocketStream<Box<dyn ByteStream>>,
    domain: String,
}

/// Why a WebSocket did not open, or did not carry the login.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WebSocketError {
    #[error(transparent)]
    Connect(#[from] HttpError),
    #[error("{} instead of 101: {}", .0.as_u16(), single_line(.1))]
    Http(StatusCode, String),
    #[error("101 without the subprotocol xmpp")]
    Protocol,
    #[error("the login is refused: {0}")]
    Refused(Refusal),
    #[error("the stream ended: {0}")]
    Closed(String),
    #[error("no reply within {REPLY_TIMEOUT:?}")]
    Timeout,
}

// === impl XmppSocket ===

impl XmppSocket {
    /// Opens a WebSocket, with a bearer token if there is one, and logs in.
    pub(crate) async fn log_in(
        server: &XmppServer,
        token: Option<&str>,
    ) -> Result<Self, WebSocketError> {
        timeout(REPLY_TIMEOUT, Self::connect(server, token))
            .await
            .map_err(|_| WebSocketError::Timeout)?
    }

    async fn connect(server: &XmppServer, token: Option<&str>) -> Result<Self, WebSocketError> {
        let path = server.path("/xmpp-websocket");
        let mut request = format!("ws://{}{path}", server.endpoint.address())
            .into_client_request()
            .map_err(|error| closed(&error))?;
        let headers = request.headers_mut();
        if let Some(token) = token {
            // Infallible: a JWT consists of base64url and dots.
            let mut authorization =
                HeaderValue::try_from(format!("Bearer {token}")).expect("a JWT is a header value");
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        server.set_headers(headers)?;
        let xmpp = HeaderValue::from_static("xmpp");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, xmpp.clone());
        let stream = server.endpoint.connect().await?;
        let (stream, response) = match client_async(request, stream).await {
            Ok(opened) => opened,
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(body).into_owned();
                return Err(WebSocketError::Http(response.status(), body));
            }
            Err(Error::Protocol(_)) => return Err(WebSocketError::Protocol),
            Err(error) => return Err(closed(&error)),
        };
        if response.headers().get(header::SEC_WEBSOCKET_PROTOCOL) != Some(&xmpp) {
            return Err(WebSocketError::Protocol);
        }
        let mut socket = Self {
            stream,
            domain: server.domain.clone(),
        };
        socket.open_stream().await?;
        socket.send(AUTH.to_owned()).await?;
        socket.receive("success").await?;
        Ok(socket)
    }

    /// Restarts the stream, as clients do after the login: shows that the server still responds.
    pub(crate) async fn restart(&mut self) -> Result<(), WebSocketError> {
        let restarting = async {
            self.open_stream().await?;
            self.receive("features").await.map(drop)
        };
        timeout(REPLY_TIMEOUT, restarting)
            .await
            .map_err(|_| WebSocketError::Timeout)?
    }

    /// Reads and drops messages until the connection ends; returns how it ended.
    ///
    /// # Cancel safety
    ///
    /// The socket can be used after this was cancelled.
    pub(crate) async fn wait_for_end(&mut self) -> String {
        loop {
            match self.stream.next().await {
                None => return "the connection was closed".to_owned(),
                Some(Err(error)) => return error.to_string(),
                Some(Ok(message)) if message.is_close() => {
                    return format!("the connection was closed ({message})");
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Closes the WebSocket without waiting for the peer.
    pub(crate) async fn close(mut self) {
        // An error means that the connection has ended already.
        let _ = self.stream.close(None).await;
    }

    async fn open_stream(&mut self) -> Result<(), WebSocketError> {
        let domain = Escaped(&self.domain);
        self.send(format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' version='1.0'/>"
        ))
        .await
    }

    async fn send(&mut self, text: String) -> Result<(), WebSocketError> {
        let sent = self.stream.send(Message::text(text)).await;
        sent.map_err(|error| closed(&error))
    }

    /// The next element of this name, unless the server refuses the login or ends the stream.
    async fn receive(&mut self, name: &str) -> Result<Element, WebSocketError> {
        while let Some(message) = self.stream.next().await {
            let message = message.map_err(|error| closed(&error))?;
            let Ok(text) = message.to_text() else {
                continue;
            };
            let Ok(element) = Element::parse(text) else {
                continue;
            };
            match element.name() {
                received if received == name => return Ok(element),
                "failure" => return Err(WebSocketError::Refused(Refusal::of_sasl(&element))),
                "error" | "close" => return Err(closed(&text)),
                _ => {}
            }
        }
        Err(closed(&"closed"))
    }
}

fn closed(reason: &dyn Display) -> WebSocketError {
    WebSocketError::Closed(single_line(&reason.to_string()))
}
