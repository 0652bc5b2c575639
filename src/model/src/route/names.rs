//! Names in the paths of Jitsi's web server, Prosody, Jicofo and the videobridge.

pub(super) fn is_signalling(name: &str) -> bool {
    SIGNALLING.contains(&name)
}

/// Whether the name is that of a file that Jitsi serves beside the room pages. A name with any
/// other extension is a room, including its dots.
pub(super) fn is_public_file(name: &str) -> bool {
    PUBLIC_FILES.contains(&name)
        || name
            .strip_suffix(".html")
            .is_some_and(|stem| PUBLIC_PAGES.contains(&stem))
        || name
            .strip_prefix("favicon.")
            .is_some_and(|ending| !ending.is_empty())
}

/// Whether a room cannot have this name, in lower case and decoded: its address, in the one spelling
/// that a room's key has, would be that of something else.
pub(crate) fn is_reserved_room(name: &str) -> bool {
    DOT_SEGMENTS.contains(&name)
        || name == CONFIG
        || name == OWN_DIRECTORY
        || name == CONFERENCE_REQUEST_DIRECTORY
        || COLIBRI.contains(&name)
        || ADMINISTRATIVE.contains(&name)
        || LOCATION_DIRECTORIES.contains(&name)
        || is_public_file(name)
        || SIGNALLING.iter().any(|path| name.starts_with(path))
}

/// Whether a tenant cannot have this name, in lower case and decoded.
pub(crate) fn is_reserved_tenant(name: &str) -> bool {
    is_reserved_room(name)
        || PUBLIC_DIRECTORIES.contains(&name)
        || CLOSED_DIRECTORIES.contains(&name)
}

/// Segments that browsers resolve (RFC 3986 § 5.2.4); NFKC makes them of single characters.
const DOT_SEGMENTS: &[&str] = &[".", ".."];

/// Jitsi's settings.
pub(super) const CONFIG: &str = "config.js";

/// Prosody's client connections.
pub(super) const SIGNALLING: &[&str] = &["http-bind", "xmpp-websocket"];

/// The videobridge's WebSockets.
pub(super) const COLIBRI: &[&str] = &["colibri-ws", "colibri-relay-ws"];

/// Directories of Jitsi's web server (docker-jitsi-meet `web/rootfs/defaults/meet.conf`).
pub(super) const PUBLIC_DIRECTORIES: &[&str] = &[
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

/// The gateway's own paths.
pub(super) const OWN_DIRECTORY: &str = "_gateway";

/// Jicofo's conference requests.
pub(super) const CONFERENCE_REQUEST_DIRECTORY: &str = "conference-request";

/// Paths that some deployments give to programs.
pub(super) const API_DIRECTORY: &str = "_api";

/// Directories of Jitsi's own [locations](super::SiteLocations), which are no tenants.
pub(super) const LOCATION_DIRECTORIES: &[&str] = &[
    "transcripts",
    "etherpad",
    "socket.io",
    "rtcstats-ws",
    "rtc-visualizer",
];

/// Directories of other servers that some deployments serve on the same host.
pub(super) const CLOSED_DIRECTORIES: &[&str] =
    &[API_DIRECTORY, "about", "v1", "admin", "admin_api"];

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

/// HTTP paths of Prosody modules that accept commands or list occupants (jitsi-meet
/// `resources/prosody-plugins`, infra-configuration).
pub(super) const ADMINISTRATIVE: &[&str] = &[
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
