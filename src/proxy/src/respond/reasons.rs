//! The reason of an error as pages have it: a text that each language has, and an identifier.
//!
//! The text of the error itself is English, for logs and programs.

use std::borrow::Cow;

use model::{
    integration::EmbedError, jws::TokenError, path::PathError, room::RoomError,
    token::ClientTokenError,
};
use pages::{EmbedProblem, NameProblem, RequestProblem};

use super::RequestError;
use crate::{
    authorize::AccessError, body::Unread, credentials::CredentialError, endpoints::EndpointError,
    locations::LocationError, request_context::ContextError, signalling::SignallingError,
};

/// The paths to which the page of a request problem may lead.
pub(super) struct Ways<'w> {
    /// The page that the request is about.
    pub(super) here: &'w str,
    /// The sign-in that returns to it.
    pub(super) sign_in: &'w str,
}

// === impl RequestError ===

impl RequestError {
    /// What people read about an error that is theirs.
    pub(super) fn request_problem<'e>(&'e self, ways: &Ways<'e>) -> RequestProblem<'e> {
        match self {
            Self::Context(error) => match error {
                ContextError::Room(error) => RequestProblem::Name(name_problem(*error)),
                ContextError::Misdirected { named, own } => {
                    RequestProblem::OtherHost { named, own }
                }
                ContextError::Insecure => RequestProblem::Insecure,
                ContextError::Method { .. } => RequestProblem::Method,
                ContextError::TooManyRequests
                | ContextError::ShareTaken
                | ContextError::TooManySignIns => RequestProblem::TooMany { again: ways.here },
                ContextError::Path(_)
                | ContextError::BadHost
                | ContextError::NotFound
                | ContextError::Closed(_) => RequestProblem::Address,
            },
            Self::Location(LocationError::Method(_)) => RequestProblem::Method,
            Self::Body(_) | Self::Endpoint(EndpointError::Form(_)) => RequestProblem::Form,
            Self::Endpoint(EndpointError::NotHost) => RequestProblem::NotHost { room: ways.here },
            Self::Endpoint(EndpointError::TooManyStreams)
            | Self::Location(LocationError::TooManySockets)
            | Self::Signalling(SignallingError::TooManyStreams) => {
                RequestProblem::TooMany { again: ways.here }
            }
            Self::Access(AccessError::ForeignSender) => RequestProblem::OtherSite,
            Self::Access(AccessError::SignInFirst | AccessError::GuestFirst { .. })
            | Self::Credential(CredentialError::Over) => RequestProblem::SignIn {
                sign_in: Some(ways.sign_in),
            },
            Self::Access(AccessError::RoomFirst | AccessError::NoRoom) => RequestProblem::NotInRoom,
            Self::Endpoint(EndpointError::NoRoom) | Self::Credential(_) => RequestProblem::Address,
            _ => RequestProblem::Other,
        }
    }

    /// The reason as an identifier; stable, and without anything that the request says.
    pub(super) fn reference(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Context(error) => context_reference(error),
            Self::Body(Unread::TooLarge) => "body_too_large",
            Self::Body(Unread::Lost | Unread::Busy) => "body_incomplete",
            Self::Access(AccessError::ForeignSender) => "sender_foreign",
            Self::Access(AccessError::SignInFirst | AccessError::GuestFirst { .. }) => {
                "sign_in_required"
            }
            Self::Access(AccessError::StepUp { .. }) => "sign_in_insufficient",
            Self::Access(AccessError::RoomFirst) => "room_required",
            Self::Access(AccessError::NoRoom) => "room_refused",
            Self::Credential(CredentialError::Over) => "session_over",
            Self::Credential(error) => return Cow::Owned(error.public_reason()),
            Self::Endpoint(EndpointError::Form(_)) => "form_unreadable",
            Self::Endpoint(EndpointError::NoRoom) => "room_missing",
            Self::Endpoint(EndpointError::NotHost) => "host_required",
            Self::Endpoint(EndpointError::TooManyStreams) => "event_streams_too_many",
            Self::Location(LocationError::Method(_)) => "method_refused",
            Self::Location(LocationError::TooManySockets)
            | Self::Signalling(SignallingError::TooManyStreams) => "connections_too_many",
            _ => "request_refused",
        })
    }
}

// === impl CredentialError ===

impl CredentialError {
    /// What people read about a token in an address.
    pub(super) fn embed_problem(&self) -> EmbedProblem {
        match self {
            Self::Embed(refused) => embed_problem(refused.error),
            Self::ClientToken(ClientTokenError::NotYet) => EmbedProblem::TooEarly,
            Self::ClientToken(ClientTokenError::Foreign | ClientTokenError::Unreadable) => {
                EmbedProblem::Unreadable
            }
            Self::ClientToken(ClientTokenError::Expired)
            | Self::Used
            | Self::UnusedTooLong
            | Self::Over => EmbedProblem::Over,
        }
    }
}

fn embed_problem(error: EmbedError) -> EmbedProblem {
    match error {
        EmbedError::Token(TokenError::Expired) => EmbedProblem::Over,
        EmbedError::Token(TokenError::NotYetValid | TokenError::IssuedInFuture) => {
            EmbedProblem::TooEarly
        }
        EmbedError::LongLived | EmbedError::Token(TokenError::NoExpiry) => EmbedProblem::LongLived,
        EmbedError::UnknownIssuer
        | EmbedError::OtherKey
        | EmbedError::Token(
            TokenError::Algorithm
            | TokenError::UnknownKey
            | TokenError::AmbiguousKey
            | TokenError::Signature
            | TokenError::Issuer
            | TokenError::Audience
            | TokenError::AuthorizedParty,
        ) => EmbedProblem::Untrusted,
        EmbedError::OtherRoom | EmbedError::OtherTenant => EmbedProblem::OtherRoom,
        EmbedError::Pattern => EmbedProblem::SeveralRooms,
        EmbedError::ForeignRoom => EmbedProblem::ForeignRoom,
        EmbedError::TooLong
        | EmbedError::Kind
        | EmbedError::NoRoom
        | EmbedError::Room(_)
        | EmbedError::UserId
        | EmbedError::Token(
            TokenError::TooLong
            | TokenError::Encrypted
            | TokenError::Malformed
            | TokenError::Critical
            | TokenError::NoIssueTime,
        ) => EmbedProblem::Unreadable,
    }
}

fn context_reference(error: &ContextError) -> &'static str {
    match error {
        ContextError::Path(error) => match error {
            PathError::NotAbsolute => "path_relative",
            PathError::DotSegment => "path_dot_segment",
            PathError::EmptySegment => "path_empty_segment",
            PathError::Character => "path_character",
            PathError::Escape => "path_escape",
        },
        ContextError::Room(error) => match error {
            RoomError::Empty => "room_empty",
            RoomError::TooLong => "room_too_long",
            RoomError::Encoding => "room_encoding",
            RoomError::Character(_) => "room_character",
            RoomError::Reserved => "room_reserved",
            RoomError::NotCanonical => "room_not_canonical",
            RoomError::Tenant => "room_tenant",
        },
        ContextError::BadHost => "host_ambiguous",
        ContextError::Misdirected { .. } => "host_other",
        ContextError::Insecure => "tls_missing",
        ContextError::Method { .. } => "method_refused",
        ContextError::TooManyRequests | ContextError::ShareTaken => "requests_too_many",
        ContextError::TooManySignIns => "sign_ins_too_many",
        ContextError::NotFound => "not_found",
        ContextError::Closed(_) => "closed",
    }
}

/// What people read about a name that no room has.
pub(crate) fn name_problem(error: RoomError) -> NameProblem {
    match error {
        RoomError::Empty => NameProblem::Empty,
        RoomError::TooLong => NameProblem::TooLong,
        RoomError::Reserved => NameProblem::Reserved,
        RoomError::Encoding
        | RoomError::Character(_)
        | RoomError::NotCanonical
        | RoomError::Tenant => NameProblem::Characters,
    }
}
