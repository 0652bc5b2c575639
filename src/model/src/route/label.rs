//! The names of routes in metrics and logs.

use super::{Endpoint, Route, Transport};

/// The name of a route; a closed set, so that no request can add a time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A public file of Jitsi.
    Asset,
    /// A room's page.
    Room,
    /// Prosody by BOSH.
    Bosh,
    /// Prosody by WebSocket.
    WebSocket,
    /// `config.js`.
    Config,
    /// `/`.
    Home,
    /// An endpoint of the gateway.
    Endpoint,
    /// The API.
    Api,
    /// What stands beside the meetings.
    Location,
    /// Jicofo's conference requests.
    ConferenceRequest,
    /// Never forwarded.
    Closed,
    /// A path with the shape of a room's address whose name is not valid.
    NoRoom,
    /// A path without a canonical form.
    Refused,
}

// === impl Label ===

impl Label {
    /// All labels, in the order of their discriminants.
    pub const ALL: [Self; 13] = [
        Self::Asset,
        Self::Room,
        Self::Bosh,
        Self::WebSocket,
        Self::Config,
        Self::Home,
        Self::Endpoint,
        Self::Api,
        Self::Location,
        Self::ConferenceRequest,
        Self::Closed,
        Self::NoRoom,
        Self::Refused,
    ];

    /// The text of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Room => "room",
            Self::Bosh => "bosh",
            Self::WebSocket => "websocket",
            Self::Config => "config",
            Self::Home => "home",
            Self::Endpoint => "endpoint",
            Self::Api => "api",
            Self::Location => "location",
            Self::ConferenceRequest => "conference_request",
            Self::Closed => "closed",
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
        }
    }
}

// === impl Route ===

impl Route {
    /// The name in metrics and logs.
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
            Self::Location { .. } => Label::Location,
            Self::ConferenceRequest { .. } => Label::ConferenceRequest,
            Self::Closed(_) => Label::Closed,
        }
    }
}
