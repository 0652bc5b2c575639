//! Every way a request can end without what it asked for, and the one table from there to answers.

use http::{HeaderValue, Response, StatusCode, header};

use super::{Body, facts::RequestId};
use crate::{
    bosh::{self, BodyError},
    pages,
    path::PathError,
    policy::Refusal,
    query::QueryError,
    room::RoomError,
    route::Closed,
    upstream::SendError,
};

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
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
    Bosh(#[from] BodyError),
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
    /// Only people who signed in get an answer.
    #[error("this needs somebody who signed in")]
    SignInFirst,
    /// The rules refuse.
    #[error("{0}")]
    Refused(Refusal),
    /// Signalling without `room`.
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
    /// An upstream gave no answer.
    #[error(transparent)]
    Upstream(#[from] SendError),
    /// An upstream gave an answer that makes no sense.
    #[error("the upstream answered with {0}")]
    UpstreamAnswer(&'static str),
    /// Our own key does not sign.
    #[error("the backend token cannot be signed")]
    Token(#[from] crate::token::SignerError),
    /// The provider's configuration is not known yet.
    #[error("the OpenID provider is not reachable")]
    ProviderUnavailable,
    /// The sign-in did not work.
    #[error("signing in failed: {0}")]
    SignIn(&'static str),
    /// The gateway is broken.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person, in a browser.
    Person,
    /// A script or app, which wants a status and a word.
    Machine,
    /// A BOSH client, which wants a terminating body.
    Bosh,
}

// === impl Failure ===

impl Failure {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Path(_)
            | Self::Room(_)
            | Self::Query(_)
            | Self::Bosh(BodyError::NotBosh | BodyError::Ambiguous)
            | Self::BadHost
            | Self::NoRoom
            | Self::Handshake(_)
            | Self::SignIn(_) => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound | Self::Closed(_) => StatusCode::NOT_FOUND,
            Self::ForeignSender | Self::Refused(_) | Self::Bosh(BodyError::Foreign) => {
                StatusCode::FORBIDDEN
            }
            Self::SignInFirst => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Upstream(SendError::Timeout(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Upstream(_) | Self::UpstreamAnswer(_) => StatusCode::BAD_GATEWAY,
            Self::ProviderUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether somebody who runs the gateway should hear of it.
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

    /// The answer for a reader.
    pub(crate) fn answer(
        &self,
        reader: Reader,
        id: RequestId,
        language: &pages::Texts,
    ) -> Response<Body> {
        let mut answer = match reader {
            Reader::Person => self.page(id, language),
            Reader::Machine => self.word(id),
            Reader::Bosh => self.bosh(id),
        };
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::Method { allow } = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if matches!(self, Self::WebSocketVersion) {
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        if matches!(self, Self::ProviderUnavailable | Self::Upstream(_)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn page(&self, id: RequestId, texts: &pages::Texts) -> Response<Body> {
        let id = id.to_string();
        let page = match self {
            Self::NotFound | Self::Closed(_) => pages::not_found(texts, &id),
            Self::Refused(refusal) => pages::refused(texts, &refusal.to_string(), &id),
            Self::SignIn(reason) => pages::sign_in_failed(texts, reason, &id),
            _ if self.status().is_server_error() => {
                pages::unavailable(texts, self.status(), &self.to_string(), &id)
            }
            _ => pages::bad_request(texts, self.status(), &self.to_string(), &id),
        };
        page.map(Body::from)
    }

    fn word(&self, id: RequestId) -> Response<Body> {
        let text = serde_json::json!({ "error": self.to_string(), "request": id.to_string() });
        plain(self.status(), "application/json", text.to_string())
    }

    /// BOSH clients read conditions, not pages; a status other than 200 they take for a fault of
    /// the network and try again (XEP-0124 § 17.2).
    fn bosh(&self, id: RequestId) -> Response<Body> {
        match self {
            Self::Upstream(_) | Self::UpstreamAnswer(_) | Self::Internal(_) | Self::Token(_) => {
                terminated("remote-connection-failed")
            }
            Self::SignInFirst | Self::ForeignSender | Self::Refused(_) => {
                terminated("policy-violation")
            }
            Self::Bosh(BodyError::Foreign) => terminated("item-not-found"),
            Self::Bosh(_) | Self::Room(_) | Self::Query(_) | Self::NoRoom => {
                terminated("bad-request")
            }
            _ => self.word(id),
        }
    }
}

/// The BOSH answer that ends a session with a condition.
pub(crate) fn terminated(condition: &str) -> Response<Body> {
    plain(
        StatusCode::OK,
        "text/xml; charset=utf-8",
        bosh::terminate(condition),
    )
}

/// A short answer of ours.
pub(crate) fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}
