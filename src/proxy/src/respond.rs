//! Errors of the request path, and the one table from error to status, connection and log level.

mod answer;
mod renewal;
mod responder;

use http::StatusCode;

pub(crate) use self::{
    answer::{login_path, plain, terminated},
    responder::{Audience, Responder},
};
use crate::body::Unread;
use crate::upstream::UpstreamError;
use cluster::store::StoreError;
use model::{
    bosh::BoshBodyError,
    clock::Timestamp,
    integration::EmbedError,
    path::PathError,
    policy::Refusal,
    query::QueryError,
    room::{RoomError, RoomKey},
    route::Closed,
    session::ReturnTo,
    token::ClientTokenError,
};
use pages::{self, LinkProblem};

/// Why a request is refused or fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The path has no one meaning.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path names no room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The signalling query contradicts itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The BOSH body is not one, or another's.
    #[error(transparent)]
    Bosh(#[from] BoshBodyError),
    /// The `Host` is missing, there twice, or contradicts the target.
    #[error("the request does not name one host")]
    BadHost,
    /// Another host's request.
    #[error("the request is for another host")]
    Misdirected,
    /// Not a method of this route.
    #[error("this method is not for this address")]
    Method {
        /// What may be used.
        allow: &'static str,
    },
    /// Nothing is there.
    #[error("nothing is at this address")]
    NotFound,
    /// The path is never forwarded.
    #[error("this address is closed")]
    Closed(Closed),
    /// A page of another site sent it.
    #[error("the request comes from a page of another site")]
    ForeignSender,
    /// The room is not open, and who asks may not open it.
    #[error("the room is not open yet")]
    Waiting {
        /// The room.
        room: RoomKey,
        /// Who waits.
        person: Option<String>,
    },
    /// Anonymous visitors may enter as guests only.
    #[error("this needs somebody who signed in, or a guest")]
    GuestFirst {
        /// After saying a name.
        ask: bool,
    },
    /// A link cannot be used.
    #[error("the link cannot be used")]
    Link {
        /// The room of the address.
        room: RoomKey,
        /// Why.
        problem: LinkProblem,
    },
    /// A link can be used later.
    #[error("the link cannot be used yet")]
    LinkTooEarly {
        /// The room of the address.
        room: RoomKey,
        /// From when.
        opens: Timestamp,
    },
    /// Another system's token was refused.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A client token of ours was refused.
    #[error(transparent)]
    ClientToken(#[from] ClientTokenError),
    /// A handoff token was used before.
    #[error("the token was used before")]
    UsedToken,
    /// What must be counted cannot be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only who hosts a meeting may pass its links on.
    #[error("only a host of the meeting may see this")]
    NotHost,
    /// A form is not one of ours.
    #[error("the form cannot be read: {0}")]
    Form(&'static str),
    /// Only people who signed in get an answer.
    #[error("this needs somebody who signed in")]
    SignInFirst,
    /// The rules refuse.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Which room.
        room: RoomKey,
        /// The display name of the person; none for an anonymous visitor.
        person: Option<String>,
    },
    /// The session, or the worker, has too many event streams.
    #[error("too many streams of events are open")]
    TooManyStreams,
    /// The query names no room.
    #[error("the request does not name a room")]
    NoRoom,
    /// The body is too large.
    #[error("the request body is too large")]
    TooLarge,
    /// The body did not come, or broke off.
    #[error("the request body did not arrive")]
    BodyLost,
    /// Not a WebSocket handshake that we take.
    #[error("the WebSocket handshake is not acceptable: {0}")]
    Handshake(&'static str),
    /// Not the version of WebSocket that exists.
    #[error("the WebSocket version is not 13")]
    WebSocketVersion,
    /// The stream's shard is gone, or the room is on another.
    #[error("the room is on another shard now")]
    Moved {
        /// The room.
        room: RoomKey,
    },
    /// An upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// An upstream gave an answer that makes no sense.
    #[error("the upstream answered with {0}")]
    UpstreamAnswer(&'static str),
    /// Our own key does not sign.
    #[error("the backend token cannot be signed")]
    Token(#[from] model::token::SignerError),
    /// The provider's configuration is not known yet.
    #[error("the OpenID provider is not reachable")]
    ProviderUnavailable,
    /// The sign-in did not work.
    #[error("signing in failed: {code}")]
    SignIn {
        /// The word for logs and metrics.
        code: &'static str,
        /// What the person is told.
        told: pages::SignInProblem,
        /// Where the person wanted to go.
        return_to: ReturnTo,
    },
    /// The gateway is broken.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl From<Unread> for RequestError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::TooLarge,
            Unread::Lost => Self::BodyLost,
        }
    }
}

// === impl RequestError ===

impl RequestError {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Path(_)
            | Self::Room(_)
            | Self::Query(_)
            | Self::Bosh(
                BoshBodyError::NotBosh | BoshBodyError::Ambiguous | BoshBodyError::RequestId,
            )
            | Self::BadHost
            | Self::NoRoom
            | Self::Form(_)
            | Self::Handshake(_)
            | Self::SignIn { .. } => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound | Self::Closed(_) | Self::Moved { .. } => StatusCode::NOT_FOUND,
            Self::ForeignSender
            | Self::Refused { .. }
            | Self::Waiting { .. }
            | Self::Link { .. }
            | Self::LinkTooEarly { .. }
            | Self::Embed(_)
            | Self::ClientToken(_)
            | Self::UsedToken
            | Self::NotHost
            | Self::Bosh(BoshBodyError::Foreign) => StatusCode::FORBIDDEN,
            Self::SignInFirst | Self::GuestFirst { .. } => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream(UpstreamError::Timeout(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Upstream(_) | Self::UpstreamAnswer(_) => StatusCode::BAD_GATEWAY,
            Self::ProviderUnavailable | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same failure of a sign-in, knowing where it was to lead.
    #[must_use]
    pub(crate) fn leading_to(self, target: &ReturnTo) -> Self {
        match self {
            Self::SignIn { code, told, .. } => Self::SignIn {
                code,
                told,
                return_to: target.clone(),
            },
            other => other,
        }
    }

    /// The word for logs, if a token that was brought along is refused.
    pub(crate) fn token_reason(&self) -> Option<&'static str> {
        match self {
            Self::Embed(error) => Some(error.as_str()),
            Self::ClientToken(error) => Some(error.as_str()),
            Self::UsedToken => Some("token_used"),
            _ => None,
        }
    }

    /// Whether the gateway or a server behind it is at fault: logged as a warning.
    pub(crate) fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    /// Whether the connection is not to be used again: what follows on it may not be what it seems.
    fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Path(_) | Self::BadHost | Self::TooLarge | Self::BodyLost | Self::Handshake(_)
        )
    }
}
