//! The words that metrics and logs have for routes.

use super::{Endpoint, Route, Transport};

/// A route in one word; of a closed set, whatever is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A public file of Jitsi.
    Asset,
    /// A room's page.
    Room,
    /// Prosody by long polls.
    Bosh,
    /// Prosody by WebSocket.
    WebSocket,
    /// `config.js`.
    Config,
    /// `/`.
    Home,
    /// A page of the gateway.
    Endpoint,
    /// The API.
    Api,
    /// Only for people who signed in.
    Private,
    /// Never forwarded.
    Closed,
    /// A room's path without a room.
    NoRoom,
    /// No path at all.
    Refused,
}

// === impl Label ===

impl Label {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Asset,
        Self::Room,
        Self::Bosh,
        Self::WebSocket,
        Self::Config,
        Self::Home,
        Self::Endpoint,
        Self::Api,
        Self::Private,
        Self::Closed,
        Self::NoRoom,
        Self::Refused,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Room => "room",
            Self::Bosh => "bosh",
            Self::WebSocket => "websocket",
            Self::Config => "config",
            Self::Home => "home",
            Self::Endpoint => "own",
            Self::Api => "api",
            Self::Private => "private",
            Self::Closed => "closed",
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
        }
    }
}

// === impl Route ===

impl Route {
    /// The word for metrics and logs.
    pub const fn label(&self) -> Label {
        match self {
            Self::Endpoint(Endpoint::Api(_)) => Label::Api,
            Self::Endpoint(_) => Label::Endpoint,
            Self::Home => Label::Home,
            Self::Room(_) => Label::Room,
            Self::NoRoom(_) => Label::NoRoom,
            Self::Config { .. } => Label::Config,
            Self::Asset => Label::Asset,
            Self::Signalling {
                transport: Transport::Bosh,
                ..
            } => Label::Bosh,
            Self::Signalling {
                transport: Transport::WebSocket,
                ..
            } => Label::WebSocket,
            Self::Private => Label::Private,
            Self::Closed(_) => Label::Closed,
        }
    }
}
