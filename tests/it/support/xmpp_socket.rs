//! An XMPP client over a WebSocket (RFC 7395).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::browser::Socket;

/// A stream to the stand-in for Prosody.
pub(crate) struct XmppSocket {
    socket: Socket,
    requests: usize,
}

/// Why a stream has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketEnd {
    /// The code and the text of the close frame.
    #[error("closed with {0}: {1}")]
    Closed(u16, String),
    /// The connection ended without a close frame, or nothing came in time.
    #[error("{0}")]
    Broken(String),
}

// === impl XmppSocket ===

impl XmppSocket {
    /// Logs in and binds a resource, as lib-jitsi-meet does.
    pub(crate) async fn log_in(socket: Socket) -> Result<Self, SocketEnd> {
        let mut this = Self {
            socket,
            requests: 0,
        };
        this.exchange(OPEN, "mechanism").await?;
        this.exchange(AUTH, "<success").await?;
        this.exchange(OPEN, "<bind").await?;
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
        this.request("set", bind).await?;
        Ok(this)
    }

    /// Sends an XMPP ping (XEP-0199) and waits for its answer.
    pub(crate) async fn ping(&mut self) -> Result<(), SocketEnd> {
        self.request("get", "<ping xmlns='urn:xmpp:ping'/>").await
    }

    /// Joins a room and waits for the presence of `nick` in it.
    pub(crate) async fn join(&mut self, room: &str, nick: &str) -> Result<(), SocketEnd> {
        self.exchange(&join(room, nick), SELF_PRESENCE).await
    }

    /// Sends a message to a room and waits until the room sends it back.
    pub(crate) async fn say(&mut self, room: &str, text: &str) -> Result<(), SocketEnd> {
        self.exchange(&message(room, text), text).await
    }

    /// Reads for so long, unless the stream ends.
    pub(crate) async fn listen(&mut self, time: Duration) -> Result<(), SocketEnd> {
        timeout(time, self.read_until(None, &Ok(())))
            .await
            .unwrap_or(Ok(()))
    }

    /// Closes the stream (RFC 7395 § 3.6), and waits for the end of the connection.
    pub(crate) async fn close(&mut self) {
        let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
        // The other side may be closing it as well.
        let _ = self.socket.send(close.into()).await;
        let _ = self.socket.close(None).await;
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(ANSWER_TIMEOUT, rest).await;
    }

    async fn request(&mut self, kind: &str, payload: &str) -> Result<(), SocketEnd> {
        self.requests += 1;
        let id = format!("request-{}.", self.requests);
        let iq = format!(
            "<iq xmlns='jabber:client' type='{kind}' id='{id}' to='meet.jitsi'>{payload}</iq>"
        );
        self.exchange(&iq, &id).await
    }

    /// Sends a stanza, and reads until one with `wanted` comes.
    async fn exchange(&mut self, stanza: &str, wanted: &str) -> Result<(), SocketEnd> {
        // A stream that the server has closed has a close frame to read.
        let sent = self.socket.send(stanza.into()).await;
        let reading = self.read_until(Some(wanted), &sent);
        timeout(ANSWER_TIMEOUT, reading).await.unwrap_or_else(|_| {
            let end = format!("no answer with {wanted} came in time");
            Err(SocketEnd::Broken(end))
        })
    }

    /// Reads until a stanza with `wanted` comes; without it, until the stream ends.
    async fn read_until(
        &mut self,
        wanted: Option<&str>,
        sent: &Result<(), tungstenite::Error>,
    ) -> Result<(), SocketEnd> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if wanted.is_some_and(|it| text.contains(it)) => {
                    return Ok(());
                }
                Some(Ok(Message::Text(text))) if is_error(&text) => {
                    return Err(SocketEnd::Broken(text.to_string()));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    let (code, reason) = (u16::from(frame.code), frame.reason.to_string());
                    // The answer to the close frame is sent by reading on.
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return Err(SocketEnd::Closed(code, reason));
                }
                Some(Ok(_)) => {}
                end => {
                    let end = format!("{end:?} in place of {wanted:?}, sent: {sent:?}");
                    return Err(SocketEnd::Broken(end));
                }
            }
        }
    }
}

/// The presence that joins a room (XEP-0045 § 7.2.1).
pub(super) fn join(room: &str, nick: &str) -> String {
    let muc = "<x xmlns='http://jabber.org/protocol/muc'/>";
    format!("<presence xmlns='jabber:client' to='{room}@muc.meet.jitsi/{nick}'>{muc}</presence>")
}

/// A message to a room (XEP-0045 § 7.4).
pub(super) fn message(room: &str, text: &str) -> String {
    format!(
        "<message xmlns='jabber:client' type='groupchat' to='{room}@muc.meet.jitsi'>\
        <body>{text}</body></message>"
    )
}

/// Whether a stanza has the type `error` (RFC 6120 § 8.3).
pub(super) fn is_error(stanza: &str) -> bool {
    stanza.contains("type='error'") || stanza.contains("type=\"error\"")
}

/// The status code of an occupant's own presence (XEP-0045 § 7.2.2).
pub(super) const SELF_PRESENCE: &str = "code='110'";

/// Long enough for a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
