//! An XMPP client over a WebSocket (RFC 7395).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

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
        let reading = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) if text.contains(wanted) => return Ok(()),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        let (code, reason) = (u16::from(frame.code), frame.reason.to_string());
                        // The answer to the close frame is sent by reading on.
                        while let Some(Ok(_)) = self.socket.next().await {}
                        return Err(SocketEnd::Closed(code, reason));
                    }
                    Some(Ok(_)) => {}
                    end => {
                        let end = format!("{end:?} in place of {wanted}, sent: {sent:?}");
                        return Err(SocketEnd::Broken(end));
                    }
                }
            }
        };
        timeout(ANSWER_TIMEOUT, reading).await.unwrap_or_else(|_| {
            let end = format!("no answer with {wanted} came in time");
            Err(SocketEnd::Broken(end))
        })
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi' version='1.0'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
