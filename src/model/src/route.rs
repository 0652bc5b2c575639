//! What a request is for: every path is spelled here once.

mod label;
#[cfg(test)]
mod tests;

pub use self::label::Label;
use crate::{
    path::{CanonicalPath, PathError},
    room::{PageRoom, RoomError, RoomKey, Tenant},
};

/// A route with the path that was matched, which is the path that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// What the request is for.
    pub route: Route,
    /// The canonical path.
    pub path: CanonicalPath,
}

/// What a request is for, by its path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The gateway's own pages.
    Endpoint(Endpoint),
    /// `/`: Jitsi's welcome page.
    Home,
    /// A room's page, `/<room>` or `/<tenant>/<room>`.
    Room(PageRoom),
    /// A path of a room's shape whose name cannot be a room.
    NoRoom(RoomError),
    /// `[/<tenant>]/config.js`, which apps fetch and pages after a change of shard.
    Config {
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// Jitsi's public files.
    Asset,
    /// Prosody: `[/<tenant>]/http-bind` and `[/<tenant>]/xmpp-websocket`.
    Signalling {
        /// Which of the two.
        transport: Transport,
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// Parts of Jitsi that hold what was said in meetings: only for people who signed in.
    Private,
    /// Never forwarded.
    Closed(Closed),
}

/// How XMPP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long polls (XEP-0124, XEP-0206).
    Bosh,
    /// XMPP over WebSocket (RFC 7395).
    WebSocket,
}

/// The gateway's own pages, below [`OWN_PREFIX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Begin to sign in.
    Login,
    /// The provider's answer.
    Callback,
    /// Sign out here and at the provider.
    Logout,
    /// Where the provider sends people after signing out.
    SignedOut,
    /// The provider's back-channel logout (OpenID Connect Back-Channel Logout 1.0).
    BackchannelLogout,
    /// The public signing keys as a set.
    Jwks,
    /// One public signing key; the text is the file's name.
    Asap(String),
    /// A guest's name, or the use of a link.
    Join,
    /// Server-sent events of a room.
    Events,
    /// To a room whose name or address was typed.
    Go,
    /// A new meeting.
    Meetings,
    /// The page of a meeting that one hosts.
    Meeting,
    /// The same for a calendar.
    Calendar,
    /// The API for other systems; the text is the path below `api/v1/`.
    Api(String),
    /// Anything else there.
    Unknown,
}

/// Why a path is never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// Another spelling of a protected path.
    Spelling,
    /// Prosody's and Jicofo's paths for administrators and other servers.
    Administrative,
    /// Jicofo's conference requests, which would create rooms past every rule.
    ConferenceRequest,
    /// The videobridge's WebSockets, which current Jitsi does not use.
    Colibri,
}

// === impl Route ===

impl Route {
    /// Classifies a raw path.
    pub fn classify(raw_path: &str) -> Result<Routed, PathError> {
        // The paths of a meeting's traffic are few and spelled one way: no allocation for them.
        if let Some((path, route)) = Self::exact(raw_path) {
            let path = CanonicalPath::known(path);
            return Ok(Routed { route, path });
        }
        let path = CanonicalPath::parse(raw_path)?;
        let route = Self::of(&path);
        let protected = matches!(
            route,
            Self::Endpoint(_) | Self::Signalling { .. } | Self::Private
        );
        let route = if protected && path.was_respelled() {
            Self::Closed(Closed::Spelling)
        } else {
            route
        };
        Ok(Routed { route, path })
    }

    fn exact(raw_path: &str) -> Option<(&'static str, Self)> {
        Some(match raw_path {
            "/" => ("/", Self::Home),
            "/http-bind" => ("/http-bind", Self::signalling(Transport::Bosh)),
            "/xmpp-websocket" => ("/xmpp-websocket", Self::signalling(Transport::WebSocket)),
            _ => return None,
        })
    }

    fn signalling(transport: Transport) -> Self {
        Self::Signalling {
            transport,
            tenant: None,
        }
    }

    fn of(path: &CanonicalPath) -> Self {
        let mut segments = path.segments().peekable();
        let first = segments.next().unwrap_or_default();
        if first.eq_ignore_ascii_case("_gateway") {
            return Self::Endpoint(Endpoint::of(path.as_str()));
        }
        match (first, segments.peek()) {
            ("", _) => return Self::Home,
            (name, None) => return Self::of_name(None, name),
            _ => {}
        }
        // Jitsi's web server takes tenants off the front, as many as there are, until it knows the
        // rest: so the first directory that means something decides, wherever it stands.
        let (mut directory, mut tenant) = (first, Some(first));
        while let Some(next) = segments.next() {
            if let Some(route) = Self::of_directory(directory) {
                return route;
            }
            if segments.peek().is_none() {
                return match (tenant, next) {
                    (Some(tenant), name) => Self::of_name(Some(tenant), name),
                    (None, name) if is_signalling(&name.to_ascii_lowercase()) => {
                        Self::Closed(Closed::Spelling)
                    }
                    (None, name) if ADMINISTRATIVE.contains(&name) => {
                        Self::Closed(Closed::Administrative)
                    }
                    (None, _) => Self::Asset,
                };
            }
            (directory, tenant) = (next, None);
        }
        Self::Asset
    }

    /// What is below a directory, if that is not a tenant.
    fn of_directory(name: &str) -> Option<Self> {
        match name {
            "colibri-ws" | "colibri-relay-ws" => Some(Self::Closed(Closed::Colibri)),
            "conference-request" => Some(Self::Closed(Closed::ConferenceRequest)),
            _ if PRIVATE_DIRECTORIES.contains(&name) => Some(Self::Private),
            _ if PUBLIC_DIRECTORIES.contains(&name) => Some(Self::Asset),
            _ if CLOSED_DIRECTORIES.contains(&name) => Some(Self::Closed(Closed::Administrative)),
            // `/room/` is not the room's address, but close to one of a protected file.
            _ if is_signalling(&name.to_ascii_lowercase()) => Some(Self::Closed(Closed::Spelling)),
            _ => None,
        }
    }

    /// The last segment of `/<name>` or `/<tenant>/<name>`.
    fn of_name(tenant: Option<&str>, name: &str) -> Self {
        match name {
            "" => Self::Asset,
            "config.js" => match tenant.map(Tenant::parse).transpose() {
                Ok(tenant) => Self::Config { tenant },
                Err(error) => Self::NoRoom(error),
            },
            "http-bind" | "xmpp-websocket" => {
                let transport = if name == "http-bind" {
                    Transport::Bosh
                } else {
                    Transport::WebSocket
                };
                match tenant.map(Tenant::parse).transpose() {
                    Ok(tenant) => Self::Signalling { transport, tenant },
                    Err(error) => Self::NoRoom(error),
                }
            }
            "conference-request" => Self::Closed(Closed::ConferenceRequest),
            "colibri-ws" | "colibri-relay-ws" => Self::Closed(Closed::Colibri),
            // Differs from a protected path only by case: Prosody is case-sensitive, others may
            // not be.
            _ if is_signalling(&name.to_ascii_lowercase()) => Self::Closed(Closed::Spelling),
            _ if ADMINISTRATIVE.contains(&name) => Self::Closed(Closed::Administrative),
            _ if is_public_file(name) => Self::Asset,
            _ => match RoomKey::from_page(tenant, name) {
                Ok(room) => Self::Room(room),
                Err(error) => Self::NoRoom(error),
            },
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn of(path: &str) -> Self {
        match path.strip_prefix(OWN_PREFIX).unwrap_or_default() {
            "login" => Self::Login,
            "callback" => Self::Callback,
            "logout" => Self::Logout,
            "signed-out" => Self::SignedOut,
            "backchannel-logout" => Self::BackchannelLogout,
            "join" => Self::Join,
            "events" => Self::Events,
            "go" => Self::Go,
            "meetings" => Self::Meetings,
            "meeting" => Self::Meeting,
            "meeting.ics" => Self::Calendar,
            "jwks.json" => Self::Jwks,
            rest => match (rest.strip_prefix("asap/"), rest.strip_prefix("api/v1/")) {
                (Some(file), _) if !file.contains('/') => Self::Asap(file.to_owned()),
                (_, Some(path)) => Self::Api(path.to_owned()),
                _ => Self::Unknown,
            },
        }
    }
}

// === impl Transport ===

impl Transport {
    /// The word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bosh => "bosh",
            Self::WebSocket => "websocket",
        }
    }

    /// The path at Prosody.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Bosh => "/http-bind",
            Self::WebSocket => "/xmpp-websocket",
        }
    }
}

// === impl Closed ===

impl Closed {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spelling => "spelling",
            Self::Administrative => "administrative",
            Self::ConferenceRequest => "conference_request",
            Self::Colibri => "colibri",
        }
    }
}

fn is_signalling(name: &str) -> bool {
    matches!(name, "http-bind" | "xmpp-websocket")
}

/// Files that Jitsi serves beside the room pages. A name with another ending is a room, dots and all.
fn is_public_file(name: &str) -> bool {
    PUBLIC_FILES.contains(&name)
        || name
            .strip_suffix(".html")
            .is_some_and(|stem| PUBLIC_PAGES.contains(&stem))
        || name
            .strip_prefix("favicon.")
            .is_some_and(|ending| !ending.is_empty())
}

/// Where the API is.
pub const API_PREFIX: &str = "/_gateway/api/v1/";

/// Where our own pages are.
pub const OWN_PREFIX: &str = "/_gateway/";

/// Directories of Jitsi's web server (docker-jitsi-meet `web/rootfs/defaults/meet.conf`).
const PUBLIC_DIRECTORIES: &[&str] = &[
    "libs",
    "css",
    "static",
    "images",
    "fonts",
    "lang",
    "sounds",
    "connection_optimization",
    ".well-known",
    "_load-test",
];

/// Meeting texts, shared notes, whiteboards and statistics: Jitsi serves these to anybody.
const PRIVATE_DIRECTORIES: &[&str] = &[
    "transcripts",
    "etherpad",
    "socket.io",
    "rtcstats-ws",
    "rtc-visualizer",
];

/// Directories of other servers that some set-ups put on the same host.
const CLOSED_DIRECTORIES: &[&str] = &["_api", "about", "v1", "admin", "admin_api"];

const PUBLIC_FILES: &[&str] = &[
    "interface_config.js",
    "external_api.js",
    "pwa-worker.js",
    "manifest.json",
    "robots.txt",
    "_unlock",
];

/// `*.html` in the root of Jitsi's web server.
const PUBLIC_PAGES: &[&str] = &[
    "index",
    "base",
    "body",
    "fonts",
    "head",
    "plugin.head",
    "title",
    "dialInInfo",
];

/// HTTP paths of Prosody modules that take orders or tell who is where
/// (jitsi-meet `resources/prosody-plugins`, infra-configuration).
const ADMINISTRATIVE: &[&str] = &[
    "room-size",
    "rooms",
    "room-info",
    "kick-participant",
    "room-password",
    "end-meeting",
    "send-system-chat-message",
    "invite-jigasi",
    "_health",
    "metrics",
];
