//! Small clients of HTTP, XMPP over BOSH and XMPP over WebSocket, for the checks and the login
//! probe.
//!
//! Each request has a connection of its own, so that several servers behind one address are
//! noticed. Time and size are bounded, and nothing is retried.

mod bosh;
mod http;
mod poll_pacing;
mod refusal;
mod websocket;
mod xmpp_server;

pub(super) use self::{
    bosh::{BoshError, BoshSession, HTTP_BIND},
    http::{ByteStream, Endpoint, HeadBytes, HttpError, HttpResponse, single_line},
    refusal::Refusal,
    websocket::{WebSocketError, XmppSocket},
    xmpp_server::XmppServer,
};

/// SASL ANONYMOUS: the token in the request identifies the user (Jitsi's `mod_auth_token`).
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";

/// Waits for a reply this long: Prosody may have to fetch a key three times.
const REPLY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(7);
