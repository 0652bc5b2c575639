//! Ends a stream at Prosody over another connection than the client's.
//!
//! Prosody keeps a stream for resumption, and does not read its connection at once while the client
//! is above its rate (`mod_limits`): the end of the stream that the gateway sends there waits behind
//! all that the client sent. The gateway then resumes the stream itself, with a token for the person
//! and the room, which ends the client's connection, and ends the stream.
//!
//! What follows a resumption goes through the parser of the first connection, which may be within a
//! message (Prosody 0.12 `plugins/mod_c2s.lua`, `session.data`; the same in 13). Prosody 0.12 ends a
//! stream whose resumption acknowledges more stanzas than there are, so that comes first; Prosody 13
//! answers `<failed>` and awaits another one. That is not done to a stream without a connection: 13
//! would forget that it has to end.

use std::{rc::Rc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::{self, Upgraded};
use hyper_util::rt::TokioIo;
use model::{
    headers::ClientAddr,
    negotiation::{FRAMING, SASL},
    policy::Role,
    query::ForwardedParameters,
    room::RoomKey,
    session::Principal,
    token::SignerError,
    xml::Element,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tracing::{info, warn};

use super::{
    tunnel::{LostStream, Takeover, message_frame, stream_end},
    websocket::{accept_of, check_switch},
};
use crate::{
    Worker,
    request_context::ContextError,
    shard_upstreams::{ForwardingError, ShardUpstreams},
    upstream::{Place, ProsodyHead},
};

/// Takes over the streams of one client's connection.
pub(super) struct StreamTakeover {
    pub(super) worker: Rc<Worker>,
    pub(super) upstreams: Rc<ShardUpstreams>,
    pub(super) principal: Rc<Principal>,
    pub(super) room: RoomKey,
    pub(super) parameters: ForwardedParameters,
    pub(super) client: ClientAddr,
    /// Prosody gets a token of the client.
    pub(super) has_token: bool,
}

/// Why a stream was not taken over.
#[derive(Debug, thiserror::Error)]
enum TakeoverError {
    /// No WebSocket.
    #[error(transparent)]
    Forwarding(#[from] ForwardingError),
    /// No token.
    #[error(transparent)]
    Token(#[from] SignerError),
    /// There is no Prosody any more.
    #[error("no Prosody is configured")]
    Unconfigured(#[from] ContextError),
    /// The connection broke, or Prosody closed it early.
    #[error("the connection broke")]
    Connection(#[from] std::io::Error),
    /// Prosody does not let the gateway in.
    #[error("Prosody refused the login")]
    Login,
    /// Not in time.
    #[error("timeout")]
    Timeout,
}

/// Messages over a WebSocket of the gateway's own.
struct OwnSocket<S> {
    stream: S,
    received: Vec<u8>,
}

// === impl StreamTakeover ===

impl StreamTakeover {
    pub(super) fn into_fn(self) -> Takeover {
        let takeover = Rc::new(self);
        Rc::new(move |lost| {
            let takeover = Rc::clone(&takeover);
            Box::pin(async move { takeover.end(lost).await })
        })
    }

    async fn end(&self, lost: LostStream) {
        let ending = async {
            let (socket, _place) = self.connect(&lost).await?;
            end_over(socket, &lost).await
        };
        let outcome = timeout(WITHIN, ending).await;
        match outcome.unwrap_or(Err(TakeoverError::Timeout)) {
            Ok(()) => info!(room = %self.room, "a stream was taken over to end it"),
            Err(error) => {
                warn!(%error, room = %self.room, "a stream could not be taken over, and may stay at Prosody for a minute");
            }
        }
    }

    async fn connect(
        &self,
        lost: &LostStream,
    ) -> Result<(TokioIo<Upgraded>, Place), TakeoverError> {
        let worker = &self.worker;
        let jitsi = worker.jitsi()?;
        let rules = worker.rules();
        let minter = rules.minter.as_ref().filter(|_| self.has_token);
        let token = minter
            .map(|minter| {
                let who = self.principal.identity();
                minter.mint_as(&self.room, Role::Participant, who, TOKEN_LIFETIME)
            })
            .transpose()?;
        let mut parameters = self.parameters.clone();
        parameters.set_previous(Some(&lost.stream.id));
        let xmpp = self.upstreams.prosody_for(&mut parameters);
        let nonce = BASE64_STANDARD.encode(worker.state.random.bytes::<16>());
        // Infallible: base64.
        let key = HeaderValue::try_from(nonce).expect("base64 can stand in a header");
        let expected = accept_of(&key);
        let head = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            room: &self.room,
            parameters: &parameters,
            client: self.client,
            client_headers: &HeaderMap::new(),
            region: None,
        };
        let handshake = head.web_socket(token.as_ref(), key);
        let answer = xmpp.send_dedicated(handshake, WITHIN).await;
        let (answer, place) = answer.map_err(ForwardingError::from)?;
        check_switch(&answer, &expected)?;
        let upgraded = upgrade::on(answer).await;
        Ok((
            TokioIo::new(upgraded.map_err(std::io::Error::other)?),
            place,
        ))
    }
}

/// Logs in, resumes the stream, and ends it.
async fn end_over<S>(stream: S, lost: &LostStream) -> Result<(), TakeoverError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = OwnSocket {
        stream,
        received: Vec::new(),
    };
    let open = Element::new("open", FRAMING)
        .with("to", &lost.stream.domain)
        .with("version", "1.0");
    let auth = Element::new("auth", SASL).with("mechanism", "ANONYMOUS");
    socket
        .ask(&open, &["<stream:features", "<features"])
        .await?;
    let outcome = socket.ask(&auth, &["<success", "<failure"]).await?;
    if !outcome.starts_with("<success") {
        return Err(TakeoverError::Login);
    }
    socket
        .ask(&open, &["<stream:features", "<features"])
        .await?;
    if lost.connected {
        // Prosody 0.12 closes the connection behind this.
        socket.ask(&resume(lost, TOO_MANY), ANSWERS).await?;
    }
    let handled = lost.stream.handled.saturating_add(lost.stanzas);
    if let Ok(answer) = socket.ask(&resume(lost, handled), ANSWERS).await
        && answer.starts_with("<resumed")
    {
        stream_end::write(&mut socket.stream).await?;
        if !stream_end::wait(&mut socket.stream).await {
            return Err(TakeoverError::Timeout);
        }
    }
    Ok(())
}

fn resume(lost: &LostStream, handled: u32) -> Element {
    Element::new("resume", STREAM_MANAGEMENT)
        .with("previd", &lost.stream.id)
        .with("h", &handled.to_string())
}

// === impl OwnSocket ===

impl<S: AsyncRead + AsyncWrite + Unpin> OwnSocket<S> {
    /// Sends an element and waits for a message that begins with one of these.
    async fn ask(
        &mut self,
        element: &Element,
        beginnings: &[&str],
    ) -> Result<String, std::io::Error> {
        let frame = message_frame::to_server(&element.to_string());
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        loop {
            let message = self.message().await?;
            if beginnings.iter().any(|begin| message.starts_with(begin)) {
                return Ok(message);
            }
        }
    }

    /// The next text message.
    async fn message(&mut self) -> Result<String, std::io::Error> {
        loop {
            let frame = message_frame::of_server(&self.received);
            if let Some((opcode, payload)) = frame {
                let message = self.received.get(payload.clone()).unwrap_or_default();
                let message = String::from_utf8_lossy(message).into_owned();
                self.received.drain(..payload.end);
                if opcode == message_frame::FINAL_TEXT {
                    return Ok(message);
                }
                continue;
            }
            let read = self.stream.read_buf(&mut self.received).await?;
            if read == 0 || self.received.len() > MAX_RECEIVED {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

const ANSWERS: &[&str] = &["<resumed", "<failed"];

const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";

/// More stanzas than any stream has.
const TOO_MANY: u32 = u32::MAX;

/// Four round trips take a tenth of a second; a Prosody that is short of time gets more.
const WITHIN: Duration = Duration::from_secs(2);

/// Only the login needs it.
const TOKEN_LIFETIME: Duration = Duration::from_mins(1);

/// Stanzas that a client did not acknowledge come behind the answer to a resumption.
const MAX_RECEIVED: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
