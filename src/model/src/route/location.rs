//! Locations: paths of Jitsi's host besides its pages and its signalling, and who may use them.
//!
//! Jitsi's own are the whiteboard, shared notes, statistics and transcripts; the configuration adds
//! others. A location never leads to Prosody, Jicofo or the gateway's own paths.

use std::sync::Arc;

use http::{Method, uri::Authority};

use super::{
    Closed,
    names::{
        ADMINISTRATIVE, API_DIRECTORY, CLOSED_DIRECTORIES, COLIBRI, CONFERENCE_REQUEST_DIRECTORY,
        OWN_DIRECTORY, PUBLIC_DIRECTORIES, SIGNALLING,
    },
};
use crate::path::{CanonicalPath, PathError};

/// A path, or a directory with all below it, of one server and with one audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLocation {
    /// The path; a directory ends with a slash.
    pub path: LocationPath,
    /// The server behind it.
    pub upstream: LocationUpstream,
    /// Who may use it.
    pub access: LocationAccess,
    /// The methods that are forwarded.
    pub methods: Vec<Method>,
    /// Whether WebSockets are forwarded.
    pub websocket: bool,
    /// Whether `Authorization` is forwarded, which its server checks.
    pub keep_authorization: bool,
}

/// The path of a location, in canonical form and checked against the paths that no location may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationPath(String);

/// The server behind a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationUpstream {
    /// Jitsi's web server.
    Web,
    /// Another server, `host:port`.
    Server(Authority),
}

/// Who may use a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationAccess {
    /// Everyone, without credentials.
    Anybody,
    /// Every person admitted to a room: members, guests, holders of a link, people of integrations.
    InRoom,
    /// Members.
    Member,
}

/// All locations: those of the configuration, and Jitsi's own.
#[derive(Clone, Debug)]
pub struct SiteLocations(Vec<Arc<SiteLocation>>);

/// The location of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LocationMatch<'p> {
    /// The path belongs to a location, for rooms of a tenant if one is before it.
    Found {
        location: Arc<SiteLocation>,
        tenant: Option<&'p str>,
    },
    /// The path is near one, and is not forwarded.
    Closed(Closed),
}

/// Why a path cannot be that of a location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationPathError {
    /// It has no canonical form.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It is not in its canonical form.
    #[error("the path is not in canonical form, {0}")]
    Spelling(String),
    /// It is the start page.
    #[error("the path is that of the start page")]
    Root,
    /// It belongs to the gateway.
    #[error("the path belongs to the gateway itself")]
    Gateway,
    /// It leads to Prosody's client connections.
    #[error("the path leads to Prosody, where requests go only with a token of the gateway")]
    Signalling,
    /// It leads to Jicofo.
    #[error("the path leads to Jicofo, which would create rooms past the rules")]
    ConferenceRequest,
    /// It leads to a videobridge.
    #[error("the path leads to videobridges")]
    Colibri,
    /// It leads to commands of Prosody's modules, or to an administration.
    #[error("the path leads to commands for administrators")]
    Administrative,
    /// The gateway completes what is there.
    #[error("the gateway completes Jitsi's config.js")]
    Config,
}

// === impl LocationPath ===

impl LocationPath {
    /// Checks the path of a location.
    ///
    /// # Errors
    ///
    /// [`LocationPathError`], if it is not canonical or belongs to something else.
    pub fn parse(text: &str) -> Result<Self, LocationPathError> {
        let path = CanonicalPath::parse(text)?;
        if path.was_respelled() {
            return Err(LocationPathError::Spelling(path.as_str().to_owned()));
        }
        if path.as_str() == "/" {
            return Err(LocationPathError::Root);
        }
        let segments: Vec<String> = path.segments().map(str::to_ascii_lowercase).collect();
        let is_room_info = segments == [API_DIRECTORY, ROOM_INFO];
        for (depth, name) in segments.iter().enumerate() {
            let name = name.as_str();
            let is_bare_api =
                name == API_DIRECTORY && segments.get(depth + 1).is_none_or(String::is_empty);
            if depth == 0 && name == OWN_DIRECTORY {
                return Err(LocationPathError::Gateway);
            } else if let Some(closed) = closed_everywhere(name) {
                return Err(closed.into());
            } else if (ADMINISTRATIVE.contains(&name) && !is_room_info)
                || (depth == 0 && ADMINISTRATION.contains(&name))
                || is_bare_api
            {
                return Err(LocationPathError::Administrative);
            } else if name == "config.js" {
                return Err(LocationPathError::Config);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// A path of Jitsi's own.
    fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two paths are of one location: `/a` is the directory `/a/` without its slash.
    pub fn is_same(&self, other: &Self) -> bool {
        self.without_slash()
            .eq_ignore_ascii_case(other.without_slash())
    }

    fn without_slash(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }

    /// Whether a path belongs to the location, whatever its case.
    fn includes(&self, path: &str) -> bool {
        let own = self.without_slash();
        let Some((beginning, rest)) = path.split_at_checked(own.len()) else {
            return false;
        };
        let is_below = self.0.ends_with('/') && rest.starts_with('/');
        beginning.eq_ignore_ascii_case(own) && (rest.is_empty() || is_below)
    }
}

// === impl SiteLocation ===

impl SiteLocation {
    fn of_jitsi(path: &str, access: LocationAccess, methods: &[Method], websocket: bool) -> Self {
        Self {
            path: LocationPath::known(path),
            upstream: LocationUpstream::Web,
            access,
            methods: methods.to_vec(),
            websocket,
            keep_authorization: false,
        }
    }

    /// Whether the method is forwarded. `HEAD` is where `GET` is.
    pub fn allows(&self, method: &Method) -> bool {
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.methods.contains(wanted)
    }

    /// The value of `Allow`.
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        if self.methods.contains(&Method::GET) {
            names.push("HEAD");
        }
        names.join(", ")
    }

    /// Why a path in this location is not forwarded: its rest could lead further than to its server.
    ///
    /// Jitsi's web server strips leading segments until it recognizes the rest.
    fn closed_below(&self, rest: &str) -> Option<Closed> {
        let own = self.path.without_slash().len();
        let segments = rest.get(own..)?.split('/').filter(|name| !name.is_empty());
        segments.map(str::to_ascii_lowercase).find_map(|name| {
            let name = name.as_str();
            // The version of a service's API leads nowhere at the web server.
            let is_directory = CLOSED_DIRECTORIES.contains(&name) && name != API_VERSION;
            let is_administrative = self.upstream == LocationUpstream::Web
                && (ADMINISTRATIVE.contains(&name) || is_directory);
            let is_administrative = is_administrative.then_some(Closed::Administrative);
            closed_everywhere(name).or(is_administrative)
        })
    }
}

// === impl LocationAccess ===

impl LocationAccess {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::InRoom => "in-a-room",
            Self::Member => "member",
        }
    }
}

// === impl SiteLocations ===

impl SiteLocations {
    /// The locations of a configuration and, where it has none with their paths, Jitsi's own.
    pub fn new(configured: Vec<SiteLocation>) -> Self {
        let is_replaced =
            |own: &SiteLocation| configured.iter().any(|it| it.path.is_same(&own.path));
        let own: Vec<_> = of_jitsi()
            .into_iter()
            .filter(|own| !is_replaced(own))
            .collect();
        let all = configured.into_iter().chain(own);
        let mut all: Vec<_> = all.map(Arc::new).collect();
        // The longest prefix decides.
        all.sort_by_key(|location| std::cmp::Reverse(location.path.without_slash().len()));
        Self(all)
    }

    /// The locations, those with the longest paths first.
    pub fn iter(&self) -> impl Iterator<Item = &SiteLocation> {
        self.0.iter().map(|location| &**location)
    }

    /// The location that a path belongs to.
    pub(super) fn find<'p>(&self, path: &'p CanonicalPath) -> Option<LocationMatch<'p>> {
        let mut rest = path.as_str();
        for depth in 0.. {
            if let Some(location) = self.0.iter().find(|it| it.path.includes(rest)) {
                return Some(Self::judge(location, path, rest, depth));
            }
            let (segment, behind) = rest.get(1..)?.split_once('/')?;
            // The web server takes what is behind for a file of this directory.
            if PUBLIC_DIRECTORIES.contains(&segment) {
                return None;
            }
            let behind = behind.len() + 1;
            rest = rest.get(rest.len() - behind..)?;
        }
        None
    }

    fn judge<'p>(
        location: &Arc<SiteLocation>,
        path: &'p CanonicalPath,
        rest: &'p str,
        depth: usize,
    ) -> LocationMatch<'p> {
        if let Some(closed) = location.closed_below(rest) {
            return LocationMatch::Closed(closed);
        }
        let tenant = (depth > 0).then(|| path.segments().next()).flatten();
        let is_exact = rest.starts_with(location.path.without_slash()) && !path.was_respelled();
        // The web server strips a tenant. Another server gets no request for a path that is not its own,
        // and no room has two tenants.
        let strips_tenant =
            depth == 0 || (depth == 1 && location.upstream == LocationUpstream::Web);
        let is_directory = tenant.is_some_and(|tenant| {
            let tenant = tenant.to_ascii_lowercase();
            CLOSED_DIRECTORIES.contains(&&*tenant) || closed_everywhere(&tenant).is_some()
        });
        if !is_exact || !strips_tenant {
            LocationMatch::Closed(Closed::Spelling)
        } else if is_directory {
            LocationMatch::Closed(Closed::Administrative)
        } else {
            let location = Arc::clone(location);
            LocationMatch::Found { location, tenant }
        }
    }
}

impl Default for SiteLocations {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

// === impl LocationPathError ===

impl From<Closed> for LocationPathError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Spelling => Self::Signalling,
            Closed::Administrative => Self::Administrative,
            Closed::ConferenceRequest => Self::ConferenceRequest,
            Closed::Colibri => Self::Colibri,
        }
    }
}

/// Why a segment of this name, in lower case, is in no path that is forwarded, whatever the server.
fn closed_everywhere(name: &str) -> Option<Closed> {
    if SIGNALLING.iter().any(|path| name.starts_with(path)) {
        Some(Closed::Spelling)
    } else if name == CONFERENCE_REQUEST_DIRECTORY {
        Some(Closed::ConferenceRequest)
    } else {
        COLIBRI.contains(&name).then_some(Closed::Colibri)
    }
}

/// Whiteboard, shared notes and statistics are for all occupants; Jitsi serves them without
/// authentication (docker-jitsi-meet `web/rootfs/defaults/meet.conf`). Transcripts hold what was said in
/// meetings of others.
fn of_jitsi() -> [SiteLocation; 5] {
    use LocationAccess::{InRoom, Member};
    let location = SiteLocation::of_jitsi;
    [
        location("/etherpad/", InRoom, &[Method::GET, Method::POST], true),
        location("/socket.io/", InRoom, &[Method::GET, Method::POST], true),
        location("/rtcstats-ws/", InRoom, &[Method::GET], true),
        location("/transcripts/", Member, &[Method::GET], false),
        location(
            "/rtc-visualizer/",
            Member,
            &[Method::GET, Method::POST],
            false,
        ),
    ]
}

/// Directories that no location may be, because web servers lead from them to administrations.
const ADMINISTRATION: &[&str] = &["admin", "admin_api"];

/// The version in paths such as `/file-service/v1/documents`.
const API_VERSION: &str = "v1";

/// The one path among Prosody's for administrators that hosted services ask for.
const ROOM_INFO: &str = "room-info";

#[cfg(test)]
mod tests;
