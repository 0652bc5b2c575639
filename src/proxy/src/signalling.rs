//! XMPP to Prosody: BOSH requests and WebSockets, admitted in one order and carried until they end; and
//! conference requests to Jicofo.

mod admission;
pub(crate) mod bosh;
mod bosh_streams;
pub(crate) mod conference_request;
mod sasl_refusal;
mod takeover;
mod tunnel;
pub(crate) mod websocket;

pub use self::tunnel::client_frames;
pub(crate) use self::{bosh_streams::BoshStreams, tunnel::OpaqueTunnel};

use model::{
    bosh::BoshBodyError, conference_request::ConferenceRequestError, query::QueryError,
    room::RoomKey, token::SignerError,
};

/// Why a BOSH request or a handshake does not reach Prosody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignallingError {
    /// The query contradicts itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The BOSH body is malformed, or its `sid` belongs to another client.
    #[error(transparent)]
    Bosh(#[from] BoshBodyError),
    /// The body is no conference request for the room.
    #[error(transparent)]
    Conference(#[from] ConferenceRequestError),
    /// Not a WebSocket handshake that the gateway takes.
    #[error("the WebSocket handshake is not acceptable: {0}")]
    Handshake(&'static str),
    /// `Sec-WebSocket-Version` is not 13, the only one (RFC 6455 § 4.4).
    #[error("the WebSocket version is not 13")]
    WebSocketVersion,
    /// The stream's shard is gone, or the room is on another.
    #[error("the room is on another shard now")]
    Moved {
        /// The room.
        room: RoomKey,
    },
    /// The session or the address has too many WebSockets and BOSH sessions.
    #[error("too many connections to meetings; close other tabs")]
    TooManyStreams,
    /// The key of backend tokens does not sign.
    #[error("the backend token cannot be signed")]
    Token(#[from] SignerError),
}
