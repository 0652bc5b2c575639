//! `[[location]]`: paths beside the meetings.

use http::{Method, uri::Authority};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault, values::parse_http_authority};
use model::route::{
    LocationAccess, LocationPath, LocationPathError, LocationUpstream, SiteLocation,
};

/// A path of this host beside the meetings, its server and who may use it; `docs/beside-a-meeting.md` has
/// examples. Jitsi's own `/etherpad/`, `/socket.io/` (whiteboard) and
/// `/rtcstats-ws/` are for people in a room, `/transcripts/` and `/rtc-visualizer/` for members, all from
/// `upstream.web`, unless an entry has their path.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path", "who"]))]
pub(super) struct RawLocation {
    /// The path, which is also the path that the server gets. With a slash at the end it is a directory
    /// with all below it; without one it is that path alone. The longest path decides.
    #[schemars(example = "/file-service/")]
    path: Option<String>,
    /// The URL of the server. Default: `upstream.web`.
    #[schemars(example = "http://file-service:3000")]
    upstream: Option<String>,
    /// Who may use it: `anybody`; `in-a-room` admits members, guests, holders of links and users of
    /// integrations who may enter a room; `member` admits users with a session of the provider.
    #[schemars(example = &"in-a-room")]
    who: Option<RawAccess>,
    /// The methods that are forwarded, of GET, POST, PUT, PATCH, DELETE and OPTIONS. HEAD is where GET
    /// is.
    #[schemars(example = ["GET", "POST", "DELETE"])]
    methods: Vec<String>,
    /// Whether WebSockets are forwarded, from pages of this site and from apps.
    websocket: bool,
    /// Whether the client's `Authorization` is forwarded, for a server that checks tokens of its own.
    /// The gateway's own cookies and tokens never are.
    keep_authorization: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum RawAccess {
    Anybody,
    InARoom,
    Member,
}

/// What the other sections say about servers.
pub(super) struct LocationContext {
    pub(super) has_jaas: bool,
    pub(super) prosody: Vec<Authority>,
    pub(super) web: Vec<Authority>,
}

/// Resolves all locations.
pub(super) fn resolve(
    raw: Vec<RawLocation>,
    context: &LocationContext,
    root: &mut Section<'_>,
) -> Option<Vec<SiteLocation>> {
    if context.has_jaas && !raw.is_empty() {
        let remedy = "remove [jaas] or [[location]]";
        root.reject("location", "conflicts with [jaas]", remedy);
        return None;
    }
    let mut paths: Vec<LocationPath> = Vec::new();
    root.resolve_list("location", raw, |raw, section| {
        let location = raw.resolve(context, section)?;
        if let Some(other) = paths.iter().find(|path| path.is_same(&location.path)) {
            let what = format!("{:?} is the path of another location", other.as_str());
            section.reject("path", what, "remove one of the two");
        }
        paths.push(location.path.clone());
        Some(location)
    })
}

// === impl RawLocation ===

impl RawLocation {
    fn resolve(self, context: &LocationContext, section: &mut Section<'_>) -> Option<SiteLocation> {
        let path = section.parse("path", self.path, parse_path);
        let upstream = match self.upstream {
            None => Some(LocationUpstream::Web),
            Some(text) => section.keep("upstream", parse_upstream(&text, context)),
        };
        let methods = section.parse_list("methods", &self.methods, parse_method);
        if self.methods.is_empty() && !section.is_reported("methods") {
            section.reject("methods", "empty", "write for example methods = [\"GET\"]");
        }
        if self.websocket && !self.methods.iter().any(|method| method == "GET") {
            let what = "a WebSocket begins with GET, which methods does not have";
            section.reject(
                "websocket",
                what,
                "add \"GET\" to methods, or remove websocket",
            );
        }
        Some(SiteLocation {
            path: path?,
            upstream: upstream?,
            access: self.who?.into(),
            methods: methods?,
            websocket: self.websocket,
            keep_authorization: self.keep_authorization,
        })
    }
}

impl Default for RawLocation {
    fn default() -> Self {
        Self {
            path: None,
            upstream: None,
            who: None,
            methods: vec!["GET".to_owned()],
            websocket: false,
            keep_authorization: false,
        }
    }
}

// === impl RawAccess ===

impl From<RawAccess> for LocationAccess {
    fn from(raw: RawAccess) -> Self {
        match raw {
            RawAccess::Anybody => Self::Anybody,
            RawAccess::InARoom => Self::InRoom,
            RawAccess::Member => Self::Member,
        }
    }
}

fn parse_path(text: &str) -> Result<LocationPath, Fault> {
    LocationPath::parse(text).map_err(|error| {
        let remedy = match &error {
            LocationPathError::Spelling(canonical) => format!("write {canonical:?}"),
            LocationPathError::Path(_) => {
                "write a path as browsers send it, for example \"/file-service/\"".to_owned()
            }
            _ => "choose another path; this one is never a location".to_owned(),
        };
        Fault::new(error.to_string(), remedy)
    })
}

fn parse_upstream(text: &str, context: &LocationContext) -> Result<LocationUpstream, Fault> {
    let server = parse_http_authority(text)?;
    if context.prosody.contains(&server) {
        let what = "is Prosody, where requests go only with a token of the gateway";
        let remedy = "name the server of the location; commands of Prosody's modules stay internal";
        return Err(Fault::new(what, remedy));
    }
    // Jitsi's web server recognizes more paths than another server.
    Ok(if context.web.contains(&server) {
        LocationUpstream::Web
    } else {
        LocationUpstream::Server(server)
    })
}

fn parse_method(text: &str) -> Result<Method, Fault> {
    match text {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        "OPTIONS" => Ok(Method::OPTIONS),
        "HEAD" => Err(Fault::new("HEAD is where GET is", "write GET")),
        _ => Err(Fault::new(
            format!("{text:?} is not forwarded"),
            "write GET, POST, PUT, PATCH, DELETE or OPTIONS",
        )),
    }
}
