//! Errors of the request path, and the one table from error to status, connection and log level.
//!
//! Each phase, and each group of handlers, has an error type of its own beside its code;
//! [`RequestError`] is their sum.

mod answer;
mod reasons;
mod renewal;
mod responder;
mod sign_in_redirect;

use http::StatusCode;

pub(crate) use self::{
    answer::{append_cookies, login_path, page, plain, redirect, terminated},
    reasons::name_problem,
    renewal::SessionRenewal,
    responder::{Audience, Responder},
    sign_in_redirect::{redirect_to_sign_in, redirect_to_sign_in_for},
};
use crate::{
    authorize::AccessError,
    body::Unread,
    credentials::CredentialError,
    endpoints::{EndpointError, LoginError},
    invitations::InvitationError,
    locations::LocationError,
    request_context::ContextError,
    shard_upstreams::ForwardingError,
    signalling::SignallingError,
    store_client::StoreCallError,
    upstream::{UpstreamBodyError, UpstreamError},
    web::WebError,
};
use model::{
    bosh::BoshBodyError,
    conference_request::ConferenceRequestError,
    integration::{EmbedError, Evidence},
    path::PathError,
    query::QueryError,
    room::RoomError,
    token::ClientTokenError,
};

/// Why a request is refused or fails: the errors of the phases.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// Request context and route.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A body that a handler reads whole.
    #[error(transparent)]
    Body(#[from] Unread),
    /// Authentication and authorization.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A token in an address.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// An invitation link.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// Sign-in and sign-out.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The other endpoints of the gateway.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// BOSH and WebSocket.
    #[error(transparent)]
    Signalling(#[from] SignallingError),
    /// Pages of rooms and Jitsi's files.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Locations beside the meetings.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The exchange with Prosody or Jitsi's web server.
    #[error(transparent)]
    Forwarding(#[from] ForwardingError),
    /// The store that replicas share.
    #[error(transparent)]
    Store(#[from] StoreCallError),
    /// An invariant of the gateway is broken.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Conversions of errors of lower layers that belong to one group.
macro_rules! convert {
    ($($error:ty => $group:ty,)*) => {$(
        impl From<$error> for RequestError {
            fn from(error: $error) -> Self {
                <$group>::from(error).into()
            }
        }
    )*};
}

convert! {
    PathError => ContextError,
    RoomError => ContextError,
    QueryError => SignallingError,
    BoshBodyError => SignallingError,
    ConferenceRequestError => SignallingError,
    EmbedError => CredentialError,
    ClientTokenError => CredentialError,
    UpstreamError => ForwardingError,
}

// === impl RequestError ===

impl RequestError {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Context(error) => match error {
                ContextError::Path(_) | ContextError::Room(_) | ContextError::BadHost => {
                    StatusCode::BAD_REQUEST
                }
                ContextError::Misdirected { .. } | ContextError::Insecure => {
                    StatusCode::MISDIRECTED_REQUEST
                }
                ContextError::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
                ContextError::TooManyRequests
                | ContextError::ShareTaken
                | ContextError::TooManySignIns => StatusCode::TOO_MANY_REQUESTS,
                ContextError::NotFound | ContextError::Closed(_) => StatusCode::NOT_FOUND,
            },
            Self::Body(Unread::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(Unread::Lost) => StatusCode::REQUEST_TIMEOUT,
            Self::Access(error) => match error {
                AccessError::SignInFirst
                | AccessError::RoomFirst
                | AccessError::GuestFirst { .. } => StatusCode::UNAUTHORIZED,
                AccessError::ForeignSender
                | AccessError::NoRoom
                | AccessError::Waiting { .. }
                | AccessError::StepUp { .. }
                | AccessError::Refused { .. } => StatusCode::FORBIDDEN,
            },
            Self::Credential(CredentialError::Over) => StatusCode::UNAUTHORIZED,
            Self::Credential(_) | Self::Invitation(_) => StatusCode::FORBIDDEN,
            Self::Login(error) => match error {
                LoginError::ProviderUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                LoginError::Failed { .. } => StatusCode::BAD_REQUEST,
            },
            Self::Endpoint(error) => match error {
                EndpointError::Form(_) | EndpointError::NoRoom => StatusCode::BAD_REQUEST,
                EndpointError::NotHost => StatusCode::FORBIDDEN,
                EndpointError::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            },
            Self::Signalling(error) => match error {
                SignallingError::Query(_)
                | SignallingError::Bosh(
                    BoshBodyError::NotBosh | BoshBodyError::Ambiguous | BoshBodyError::RequestId,
                )
                | SignallingError::Conference(ConferenceRequestError::Form)
                | SignallingError::Handshake(_) => StatusCode::BAD_REQUEST,
                SignallingError::Bosh(BoshBodyError::Foreign)
                | SignallingError::Conference(ConferenceRequestError::OtherRoom) => {
                    StatusCode::FORBIDDEN
                }
                SignallingError::Moved { .. } => StatusCode::NOT_FOUND,
                SignallingError::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
                SignallingError::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
                SignallingError::Token(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Location(error) => match error {
                LocationError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
                LocationError::TooManySockets => StatusCode::TOO_MANY_REQUESTS,
                LocationError::NoWebSocket => StatusCode::BAD_REQUEST,
                LocationError::Refused(status) => *status,
            },
            Self::Forwarding(
                ForwardingError::Upstream(UpstreamError::Timeout(_))
                | ForwardingError::Body(UpstreamBodyError::Silent),
            ) => StatusCode::GATEWAY_TIMEOUT,
            Self::Forwarding(ForwardingError::Upstream(UpstreamError::Busy(_)))
            | Self::Body(Unread::Busy)
            | Self::Store(StoreCallError::Failed(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forwarding(_) => StatusCode::BAD_GATEWAY,
            Self::Web(_) | Self::Store(StoreCallError::Abandoned) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The word for logs, if a token that was brought along is refused.
    pub(crate) fn token_reason(&self) -> Option<&'static str> {
        match self {
            Self::Credential(error) => error.token_reason(),
            _ => None,
        }
    }

    /// What is known of a refused token of another system.
    pub(crate) fn token_evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Credential(error) => error.evidence(),
            _ => None,
        }
    }

    /// Whether the gateway or a server behind it is at fault.
    fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    /// Whether the failure is logged as a warning. An unavailable provider has a log line and a
    /// metric of its own.
    pub(crate) fn is_warning(&self) -> bool {
        self.is_ours()
            && !self.is_limit()
            && !matches!(self, Self::Login(LoginError::ProviderUnavailable))
    }

    /// Whether a session, or a name as a guest, would help.
    fn is_unauthenticated(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    /// Whether a limit refuses the request, which may succeed a little later.
    const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::Context(
                ContextError::TooManyRequests
                    | ContextError::ShareTaken
                    | ContextError::TooManySignIns
            ) | Self::Endpoint(EndpointError::TooManyStreams)
                | Self::Signalling(SignallingError::TooManyStreams)
                | Self::Location(LocationError::TooManySockets)
                | Self::Body(Unread::Busy)
                | Self::Forwarding(ForwardingError::Upstream(UpstreamError::Busy(_)))
        )
    }

    /// Whether the connection is not to be used again: what follows on it may not be what it seems.
    fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Context(ContextError::Path(_) | ContextError::BadHost)
                | Self::Body(_)
                | Self::Signalling(SignallingError::Handshake(_))
        )
    }
}

#[cfg(test)]
mod tests;
