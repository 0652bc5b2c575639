//! The refusal that Jitsi's native apps understand: a SASL `<not-allowed/>`.
//!
//! An app that comes to a room without a token asks for a sign-in, at `tokenAuthUrl`, only when the
//! authentication of its XMPP stream fails (lib-jitsi-meet `modules/xmpp/xmpp.ts`,
//! `connectionHandler`; jitsi-meet `react/features/authentication/middleware.ts`). A refused handshake
//! or a terminated BOSH session is a fault of the network to it, and it tries again for ever. The
//! gateway therefore plays the beginning of a stream, as a Prosody does that wants a token: stream
//! header, features, failure, end. Nothing of it reaches Prosody.
//!
//! Pages of the gateway never need it: in a browser the page itself leads to the sign-in.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Response, StatusCode};
use model::{
    bosh::StartTag,
    headers,
    negotiation::{FRAMING, SASL, StreamNegotiation, StreamPolicy},
    query::SignallingQuery,
};
use observe::metrics::WorkerMetrics;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tracing::debug;

use crate::{
    Body, RequestError, Worker, authorize::AccessError, respond::plain,
    signalling::websocket::ClientUpgrade,
};

/// A stream that ends with its authentication.
#[derive(Clone, Debug)]
pub(super) struct SaslRefusal {
    /// The XMPP domain that the stream is for.
    domain: String,
}

// === impl SaslRefusal ===

impl SaslRefusal {
    /// The refusal of an app without a token; none in a deployment without sign-ins, where the app would
    /// ask for a password.
    pub(super) fn for_request(
        worker: &Worker,
        error: &RequestError,
        query: &SignallingQuery,
        headers: &HeaderMap,
    ) -> Option<Self> {
        worker.state.sign_ins.as_ref()?;
        let domain = &worker.state.jitsi.as_ref()?.upstream.xmpp_domain;
        Self::of(error, query, headers, domain)
    }

    /// The refusal of an app without a token, if a sign-in may help.
    fn of(
        error: &RequestError,
        query: &SignallingQuery,
        headers: &HeaderMap,
        domain: &str,
    ) -> Option<Self> {
        let helps = matches!(
            error,
            RequestError::Access(
                AccessError::SignInFirst | AccessError::Waiting { .. } | AccessError::StepUp { .. }
            )
        );
        let app = query.token.is_none() && !headers::is_from_browser(headers);
        (helps && app).then(|| Self {
            domain: domain.to_owned(),
        })
    }

    /// Answers a BOSH request (XEP-0124 § 7, XEP-0206 § 3); none if it is of another session.
    pub(super) fn answer_bosh(&self, tag: &StartTag, body: &[u8]) -> Option<Response<Body>> {
        if !tag.creates() {
            return Self::continue_bosh(tag, body);
        }
        let Self { domain } = self;
        Some(bosh_body(format!(
            "<body xmlns='{HTTPBIND}' xmlns:xmpp='urn:xmpp:xbosh' xmlns:stream='{STREAMS}' \
             sid='{SID}' from='{domain}' ver='1.6' wait='60' hold='1' requests='2' inactivity='30' \
             polling='5' xmpp:version='1.0' xmpp:restartlogic='true'>{}</body>",
            features()
        )))
    }

    /// Answers a later request of such a session; none for other sessions.
    pub(super) fn continue_bosh(tag: &StartTag, body: &[u8]) -> Option<Response<Body>> {
        (tag.sid(body) == Some(SID)).then(|| {
            bosh_body(if tag.terminates() {
                format!("<body xmlns='{HTTPBIND}' type='terminate'/>")
            } else {
                format!("<body xmlns='{HTTPBIND}'>{}</body>", failure())
            })
        })
    }

    /// Answers on a WebSocket (RFC 7395) until the client has its refusal and ends the stream.
    pub(super) async fn answer_web_socket(
        self,
        client: ClientUpgrade,
        metrics: Arc<WorkerMetrics>,
    ) {
        let Ok(client) = client.socket(&metrics).await else {
            return;
        };
        if let Err(error) = timeout(LONGEST, self.run(client)).await {
            debug!(%error, "a client that was refused did not end its stream");
        }
    }

    async fn run<C: AsyncRead + AsyncWrite + Unpin>(self, client: C) {
        // Any client can open these sockets: each has no larger buffers than its messages need.
        let config = WebSocketConfig::default()
            .read_buffer_size(MAX_MESSAGE)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let mut socket = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
        let code = match self.converse(&mut socket).await {
            Ok(()) => CloseCode::Normal,
            Err(Ended::Gone) => return,
            Err(Ended::Unexpected) => CloseCode::Policy,
        };
        let reason = "".into();
        if socket
            .close(Some(CloseFrame { code, reason }))
            .await
            .is_ok()
        {
            // The answer to the close frame.
            while let Some(Ok(_)) = socket.next().await {}
        }
    }

    /// Answers each message of the client until its `<close/>`.
    async fn converse<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &mut WebSocketStream<C>,
    ) -> Result<(), Ended> {
        let mut negotiation = StreamNegotiation::new(StreamPolicy::anonymous(&self.domain));
        loop {
            let message = match socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended::Gone),
                Some(Ok(_)) => return Err(Ended::Unexpected),
            };
            // The client names the domain and the mechanism that it would have to name at Prosody.
            if negotiation.client_sent(message.as_bytes()).is_err() {
                return Err(Ended::Unexpected);
            }
            if message.starts_with("<close") {
                let close = format!("<close xmlns='{FRAMING}'/>");
                return Ok(socket.send(Message::text(close)).await?);
            }
            if message.starts_with("<open") {
                let open = format!(
                    "<open xmlns='{FRAMING}' from='{}' id='{SID}' version='1.0' xml:lang='en'/>",
                    self.domain
                );
                socket.send(Message::text(open)).await?;
                socket.send(Message::text(features())).await?;
                continue;
            }
            socket.send(Message::text(failure())).await?;
            if negotiation.server_sent(b"<failure").is_err() {
                return Err(Ended::Unexpected);
            }
        }
    }
}

/// Why a conversation ended before the client's `<close/>`.
enum Ended {
    /// The connection is closed or broken.
    Gone,
    /// The client said what cannot come next.
    Unexpected,
}

// === impl Ended ===

impl From<Error> for Ended {
    fn from(_: Error) -> Self {
        Self::Gone
    }
}

/// Without ANONYMOUS Strophe would not begin to authenticate.
fn features() -> String {
    format!(
        "<stream:features xmlns:stream='{STREAMS}'><mechanisms xmlns='{SASL}'>\
         <mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>"
    )
}

/// RFC 6120 § 6.5. The condition is the one of Jitsi's `mod_auth_token` without a token.
fn failure() -> String {
    format!(
        "<failure xmlns='{SASL}'><not-allowed/>\
         <text xml:lang='en'>this room needs a sign-in</text></failure>"
    )
}

fn bosh_body(content: String) -> Response<Body> {
    plain(StatusCode::OK, "text/xml; charset=utf-8", content)
}

/// The id of all such streams. It is no secret: no stream at Prosody has it.
const SID: &str = "sign-in-first";

const HTTPBIND: &str = "http://jabber.org/protocol/httpbind";
const STREAMS: &str = "http://etherx.jabber.org/streams";

/// A stream header has some 200 bytes.
const MAX_MESSAGE: usize = 4 * 1024;

/// A handful of messages, on a bad phone network.
const LONGEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
