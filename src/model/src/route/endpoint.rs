//! The paths of the gateway itself.

use super::OWN_PREFIX;

/// The gateway's own endpoints, below [`OWN_PREFIX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The start of a sign-in.
    Login,
    /// The redirect URI of the provider's authorization response.
    Callback,
    /// Ends the session here and at the provider.
    Logout,
    /// The page after the provider's logout (`post_logout_redirect_uri`).
    SignedOut,
    /// The provider's back-channel logout request (OpenID Connect Back-Channel Logout 1.0).
    BackchannelLogout,
    /// The frame in the provider's logout page (OpenID Connect Front-Channel Logout 1.0).
    FrontchannelLogout,
    /// The public signing keys as a JSON Web Key Set.
    Jwks,
    /// One public signing key; the text is the name of its file.
    Asap(String),
    /// The guest form, and the use of an invitation link.
    Join,
    /// Server-sent events of a room.
    Events,
    /// Redirects to the room whose name or address was typed on the start page.
    Go,
    /// Creates a meeting.
    Meetings,
    /// A host's page of a meeting.
    Meeting,
    /// A meeting as a calendar file.
    Calendar,
    /// The API for other systems; the text is the path below `api/v1/`.
    Api(String),
    /// Any other path below [`OWN_PREFIX`].
    Unknown,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn of(path: &str) -> Self {
        match path.strip_prefix(OWN_PREFIX).unwrap_or_default() {
            "login" => Self::Login,
            "callback" => Self::Callback,
            "logout" => Self::Logout,
            "signed-out" => Self::SignedOut,
            "backchannel-logout" => Self::BackchannelLogout,
            "frontchannel-logout" => Self::FrontchannelLogout,
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
