//! The paths of the gateway itself.

use super::OWN_PREFIX;
use crate::provider::ProviderId;

/// The gateway's own endpoints, below [`OWN_PREFIX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The start of a sign-in.
    Login,
    /// The redirect URI of the authorization response; each of several providers has its own
    /// (RFC 9700 § 4.4.2.2).
    Callback(Option<ProviderId>),
    /// Ends the session here and at the provider.
    Logout,
    /// The page after the provider's logout (`post_logout_redirect_uri`).
    SignedOut,
    /// The provider's back-channel logout request (OpenID Connect Back-Channel Logout 1.0).
    BackchannelLogout(Option<ProviderId>),
    /// The frame in the provider's logout page (OpenID Connect Front-Channel Logout 1.0).
    FrontchannelLogout(Option<ProviderId>),
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
            "callback" => Self::Callback(None),
            "logout" => Self::Logout,
            "signed-out" => Self::SignedOut,
            "backchannel-logout" => Self::BackchannelLogout(None),
            "frontchannel-logout" => Self::FrontchannelLogout(None),
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
                _ => Self::of_provider(rest),
            },
        }
    }

    /// An address of one of several providers: `callback/school`.
    fn of_provider(path: &str) -> Self {
        let Some((name, id)) = path.split_once('/') else {
            return Self::Unknown;
        };
        let Ok(id) = id.parse() else {
            return Self::Unknown;
        };
        match name {
            "callback" => Self::Callback(Some(id)),
            "backchannel-logout" => Self::BackchannelLogout(Some(id)),
            "frontchannel-logout" => Self::FrontchannelLogout(Some(id)),
            _ => Self::Unknown,
        }
    }
}
