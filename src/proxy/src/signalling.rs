//! XMPP for Prosody: BOSH requests and WebSockets, admitted by one function and carried on.

pub(crate) mod bosh;
pub(crate) mod bosh_streams;
pub(crate) mod tunnel;
pub(crate) mod websocket;

pub(crate) use self::bosh_streams::BoshStreams;
