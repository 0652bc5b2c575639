//! Routes: classifies a request by its path. Every path is spelled in this module once.

mod endpoint;
mod file;
mod label;
mod location;
mod names;
mod slashes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use self::names::{is_reserved_room, is_reserved_tenant};
pub use self::{
    endpoint::Endpoint,
    file::{is_static_file, is_versioned_file},
    label::Label,
    location::{
        LocationAccess, LocationPath, LocationPathError, LocationUpstream, SiteLocation,
        SiteLocations,
    },
};
use self::{
    location::LocationMatch,
    names::{
        ADMINISTRATIVE, CLOSED_DIRECTORIES, COLIBRI, CONFERENCE_REQUEST_DIRECTORY, CONFIG,
        LOCATION_DIRECTORIES, OWN_DIRECTORY, PUBLIC_DIRECTORIES, SIGNALLING, is_public_file,
        is_signalling,
    },
};
use crate::{
    path::{CanonicalPath, PathError},
    room::{PageRoom, RoomError, RoomKey, Tenant},
};

/// A route with its canonical path, which is both the matched and the forwarded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The matched route.
    pub route: Route,
    /// The canonical path.
    pub path: CanonicalPath,
}

/// The purpose of a request, by its path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The gateway's own pages and API.
    Endpoint(Endpoint),
    /// `/`: Jitsi's welcome page.
    Home,
    /// A room's page, `/<room>` or `/<tenant>/<room>`.
    Room(PageRoom),
    /// A path with the shape of a room's address whose name is not valid.
    NoRoom(RoomError),
    /// `[/<tenant>]/config.js`: apps fetch it, and pages after a change of shard.
    Config {
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// Jitsi's public files.
    Asset,
    /// Prosody's client connections: `[/<tenant>]/http-bind` and `[/<tenant>]/xmpp-websocket`.
    Signalling {
        /// BOSH or WebSocket.
        transport: Transport,
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// What stands beside the meetings: shared notes, whiteboards, and other services of this host.
    Location {
        /// The location.
        location: Arc<SiteLocation>,
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// Jicofo's conference requests over HTTP: `[/<tenant>]/conference-request/v1`.
    ConferenceRequest {
        /// The tenant of the path.
        tenant: Option<Tenant>,
    },
    /// Refused, never forwarded.
    Closed(Closed),
}

/// The transport of an XMPP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long polls (XEP-0124, XEP-0206).
    Bosh,
    /// XMPP over WebSocket (RFC 7395).
    WebSocket,
}

/// Why a path is never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// A non-canonical spelling of a protected path.
    Spelling,
    /// Paths of Prosody and Jicofo for administrators and other servers.
    Administrative,
    /// Other paths of Jicofo's conference requests, and all where Jicofo is not configured: they would
    /// create rooms without the policy.
    ConferenceRequest,
    /// The videobridge's WebSockets, which current releases of Jitsi do not use.
    Colibri,
}

// === impl Route ===

impl Route {
    /// Classifies a raw path.
    ///
    /// # Errors
    ///
    /// [`PathError`], if the path has no canonical form.
    pub fn classify(raw_path: &str, locations: &SiteLocations) -> Result<Routed, PathError> {
        // The paths of signalling are few and have one spelling, so they need no allocation.
        if let Some((path, route)) = Self::exact(raw_path) {
            let path = CanonicalPath::known(path);
            return Ok(Routed { route, path });
        }
        let path = match CanonicalPath::parse(raw_path) {
            Err(error @ PathError::EmptySegment) => {
                return slashes::room_of_repeated(raw_path, locations).ok_or(error);
            }
            path => path?,
        };
        let route = match Self::of(&path) {
            Self::Endpoint(_) | Self::Signalling { .. } | Self::ConferenceRequest { .. }
                if path.was_respelled() =>
            {
                Self::Closed(Closed::Spelling)
            }
            route @ (Self::Endpoint(_)
            | Self::Signalling { .. }
            | Self::ConferenceRequest { .. }) => route,
            route => match locations.find(&path) {
                Some(found) => Self::of_location(found),
                None => Self::closed_below(&route, &path).map_or(route, Self::Closed),
            },
        };
        Ok(Routed { route, path })
    }

    /// Whether the page of a room is at its address, and no location.
    pub fn has_page(room: &RoomKey, locations: &SiteLocations) -> bool {
        Self::classify(&room.page_path(), locations)
            .is_ok_and(|routed| matches!(routed.route, Self::Room(_)))
    }

    fn of_location(found: LocationMatch<'_>) -> Self {
        match found {
            LocationMatch::Closed(closed) => Self::Closed(closed),
            LocationMatch::Found { location, tenant } => {
                match tenant.map(Tenant::parse).transpose() {
                    Ok(tenant) => Self::Location { location, tenant },
                    Err(error) => Self::NoRoom(error),
                }
            }
        }
    }

    /// Why a path must not be forwarded to the web server, although its beginning is harmless.
    ///
    /// The web servers of Jitsi strip leading segments until they recognize the rest, and match some
    /// names as prefixes (docker-jitsi-meet `web/rootfs/defaults/meet.conf`, "BOSH for subdomains":
    /// `location ~ ^/([^/?&:'"]+)/http-bind`). So no segment may be one that they could take for
    /// signalling or administration. The last segment of a room's address is the room's name.
    fn closed_below(route: &Self, path: &CanonicalPath) -> Option<Closed> {
        let is_page = match route {
            Self::Room(_) | Self::NoRoom(_) | Self::Config { .. } | Self::Home => true,
            Self::Asset => false,
            Self::Endpoint(_)
            | Self::Signalling { .. }
            | Self::Location { .. }
            | Self::ConferenceRequest { .. }
            | Self::Closed(_) => return None,
        };
        let mut segments = path.segments().peekable();
        while let Some(segment) = segments.next() {
            let name = segment.to_ascii_lowercase();
            let is_directory = segments.peek().is_some();
            let closed = if SIGNALLING.iter().any(|path| name.starts_with(path)) {
                Closed::Spelling
            } else if name == CONFERENCE_REQUEST_DIRECTORY {
                Closed::ConferenceRequest
            } else if COLIBRI.contains(&&*name) {
                Closed::Colibri
            } else if ADMINISTRATIVE.contains(&&*name)
                || CLOSED_DIRECTORIES.contains(&&*name) && (is_directory || !is_page)
            {
                Closed::Administrative
            } else {
                continue;
            };
            return Some(closed);
        }
        None
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
        if first.eq_ignore_ascii_case(OWN_DIRECTORY) {
            return Self::Endpoint(Endpoint::of(path.as_str()));
        }
        if let Some(route) = Self::conference_request(path) {
            return route;
        }
        if let Some(room) = slashes::room_before_trailing(path) {
            return room;
        }
        match (first, segments.peek()) {
            ("", _) => return Self::Home,
            (name, None) => return Self::of_name(None, name),
            _ => {}
        }
        // Jitsi's web server strips leading segments as tenants, any number of them, until it
        // recognizes the rest: the first known directory decides, at any depth, and the last tenant counts.
        let (mut directory, mut first_tenant) = (first, true);
        while let Some(next) = segments.next() {
            if let Some(route) = Self::of_directory(directory) {
                return route;
            }
            if segments.peek().is_none() {
                return match Self::of_name(Some(directory), next) {
                    // Clients connect below the last tenant, whose `config.js` they have.
                    Self::Signalling { .. } if !first_tenant => Self::Closed(Closed::Spelling),
                    Self::Room(room) if !first_tenant => Self::Room(PageRoom {
                        respelled: room
                            .respelled
                            .or_else(|| Some(format!("/{directory}/{next}"))),
                        ..room
                    }),
                    route => route,
                };
            }
            (directory, first_tenant) = (next, false);
        }
        Self::Asset
    }

    /// The route of Jicofo's one path, with at most one tenant before it.
    fn conference_request(path: &CanonicalPath) -> Option<Self> {
        let tenant = path.as_str().strip_suffix(CONFERENCE_REQUEST)?;
        let tenant = match tenant.strip_prefix('/') {
            None => None,
            Some(directory) if Self::of_directory(directory).is_some() => return None,
            Some(name) => Some(Tenant::parse(name).ok()?),
        };
        Some(Self::ConferenceRequest { tenant })
    }

    /// The route of everything below a directory; `None` if the directory is a tenant.
    fn of_directory(name: &str) -> Option<Self> {
        match name {
            _ if COLIBRI.contains(&name) => Some(Self::Closed(Closed::Colibri)),
            CONFERENCE_REQUEST_DIRECTORY => Some(Self::Closed(Closed::ConferenceRequest)),
            // Unless a location has the path, it is a file.
            _ if PUBLIC_DIRECTORIES.contains(&name) || LOCATION_DIRECTORIES.contains(&name) => {
                Some(Self::Asset)
            }
            _ if CLOSED_DIRECTORIES.contains(&name) => Some(Self::Closed(Closed::Administrative)),
            // `/http-bind/` is neither the signalling path nor a room, and close to a protected path.
            _ if is_signalling(&name.to_ascii_lowercase()) => Some(Self::Closed(Closed::Spelling)),
            _ => None,
        }
    }

    /// The route of the last segment of `/<name>` or `/<tenant>/<name>`.
    fn of_name(tenant: Option<&str>, name: &str) -> Self {
        match name {
            "" => Self::Asset,
            CONFIG => match tenant.map(Tenant::parse).transpose() {
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
            CONFERENCE_REQUEST_DIRECTORY => Self::Closed(Closed::ConferenceRequest),
            _ if COLIBRI.contains(&name) => Self::Closed(Closed::Colibri),
            // Differs from a protected path only in case: Prosody is case-sensitive, other servers
            // may not be.
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

// === impl Transport ===

impl Transport {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bosh => "bosh",
            Self::WebSocket => "websocket",
        }
    }

    /// The path at Prosody's HTTP server.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Bosh => "/http-bind",
            Self::WebSocket => "/xmpp-websocket",
        }
    }
}

// === impl Closed ===

impl Closed {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spelling => "spelling",
            Self::Administrative => "administrative",
            Self::ConferenceRequest => "conference_request",
            Self::Colibri => "colibri",
        }
    }
}

/// The path of conference requests at Jicofo's HTTP server, and here.
pub const CONFERENCE_REQUEST: &str = "/conference-request/v1";

/// The path prefix of the API.
pub const API_PREFIX: &str = "/_gateway/api/v1/";

/// The path prefix of the gateway's own endpoints.
pub const OWN_PREFIX: &str = "/_gateway/";
