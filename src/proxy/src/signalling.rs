//! XMPP to Prosody: BOSH requests and WebSockets, admitted in one order and carried until they end.

mod admission;
pub(crate) mod bosh;
mod bosh_streams;
mod tunnel;
pub(crate) mod websocket;

pub(crate) use self::bosh_streams::BoshStreams;
