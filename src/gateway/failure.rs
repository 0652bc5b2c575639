//! Every way a request can end without what it asked for, and the one table from there to answers.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};

use super::{Body, body::Unread, facts::RequestId};
use crate::{
    api::{PROBLEM_JSON, Problem},
    bosh::{self, BodyError},
    clock::Timestamp,
    headers,
    integration::EmbedError,
    pages::{self, Asked, Content, Denial, LinkProblem, Pages, Part},
    path::PathError,
    policy::Refusal,
    query::QueryError,
    room::{RoomError, RoomKey},
    route::{API_PREFIX, Closed},
    session::ReturnTo,
    store::StoreError,
    token::ClientTokenError,
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
    /// The room is not open, and who asks may not open it.
    #[error("the room is not open yet")]
    Waiting {
        /// The room.
        room: RoomKey,
        /// Who waits.
        person: Option<String>,
    },
    /// Nobody in particular may enter, but as a guest.
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
        /// Whom, by the name that is shown; nobody if nobody signed in.
        person: Option<String>,
    },
    /// Somebody listens to more events than anybody needs, or all together do.
    #[error("too many streams of events are open")]
    TooManyStreams,
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
    #[error("signing in failed: {code}")]
    SignIn {
        /// The word for logs and metrics.
        code: &'static str,
        /// What the person is told.
        told: pages::SignInFailure,
        /// Where the person wanted to go.
        return_to: ReturnTo,
    },
    /// The gateway is broken.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Whom an answer is for, taken from the request before it is used up.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Who reads the answer.
    pub(crate) reader: Reader,
    /// The request's name.
    pub(crate) id: RequestId,
    accept_language: Option<HeaderValue>,
    return_to: ReturnTo,
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person, in a browser.
    Person,
    /// A script or app, which wants a status and a word.
    Machine,
    /// A client of the API, which wants problems as RFC 9457 has them.
    Api,
    /// A BOSH client, which wants a terminating body.
    Bosh,
    /// A WebSocket client, to whom browsers show no more than that it failed.
    Socket,
}

// === impl Asking ===

impl Asking {
    pub(crate) fn of(reader: Reader, id: RequestId, uri: &Uri, headers: &HeaderMap) -> Self {
        // Only people are shown pages, so only for them is more remembered.
        let (accept_language, return_to) = match reader {
            Reader::Person => (
                headers.get(header::ACCEPT_LANGUAGE).cloned(),
                ReturnTo::parse(uri.path_and_query().map_or("/", |target| target.as_str())),
            ),
            Reader::Machine | Reader::Api | Reader::Bosh | Reader::Socket => {
                (None, ReturnTo::default())
            }
        };
        Self {
            reader,
            id,
            accept_language,
            return_to,
        }
    }

    /// For a route whose answers people read if a browser navigates there.
    pub(crate) fn of_page(id: RequestId, uri: &Uri, headers: &HeaderMap) -> Self {
        let reader = if uri.path().starts_with(API_PREFIX) {
            Reader::Api
        } else if headers::is_navigation(headers) {
            Reader::Person
        } else {
            Reader::Machine
        };
        Self::of(reader, id, uri, headers)
    }

    /// The room whose page a person asks for.
    pub(crate) fn room(&self) -> Option<RoomKey> {
        self.return_to.room()
    }

    /// The request as pages want it, with its name spelled out in `id`.
    pub(crate) fn asked<'a>(&'a self, id: &'a str) -> Asked<'a> {
        Asked {
            accept_language: self.accept_language.as_ref(),
            request_id: id,
        }
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::TooLarge,
            Unread::Lost => Self::BodyLost,
        }
    }
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
            | Self::Form(_)
            | Self::Handshake(_)
            | Self::SignIn { .. } => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound | Self::Closed(_) => StatusCode::NOT_FOUND,
            Self::ForeignSender
            | Self::Refused { .. }
            | Self::Waiting { .. }
            | Self::Link { .. }
            | Self::LinkTooEarly { .. }
            | Self::Embed(_)
            | Self::ClientToken(_)
            | Self::UsedToken
            | Self::NotHost
            | Self::Bosh(BodyError::Foreign) => StatusCode::FORBIDDEN,
            Self::SignInFirst | Self::GuestFirst { .. } => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Upstream(SendError::Timeout(_)) => StatusCode::GATEWAY_TIMEOUT,
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

    /// The answer for whoever asks; a page may be in frames of these sites, if any are given.
    pub(crate) fn answer(
        &self,
        asking: &Asking,
        pages: &Pages,
        sites: Option<&str>,
    ) -> Response<Body> {
        let mut answer = match asking.reader {
            Reader::Person => {
                let page = self.page(asking, pages);
                let page = match sites {
                    Some(sites) => page.framed_by(sites),
                    None => page,
                };
                page.into_response().map(Body::from)
            }
            Reader::Machine | Reader::Socket => self.word(asking.id),
            Reader::Bosh => self.bosh(asking.id),
            Reader::Api => self.problem(asking.id),
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
        match (self, asking.reader) {
            // No challenge can be met within a handshake.
            (Self::SignInFirst | Self::GuestFirst { .. }, Reader::Socket) => {
                *answer.status_mut() = StatusCode::FORBIDDEN;
            }
            (Self::SignInFirst | Self::GuestFirst { .. }, Reader::Machine) => {
                headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
            }
            _ => {}
        }
        let headers = answer.headers_mut();
        if self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn page(&self, asking: &Asking, pages: &Pages) -> pages::Page {
        let id = asking.id.to_string();
        let asked = asking.asked(&id);
        let here = asking.return_to.as_str();
        let reason = self.to_string();
        let sign_in = login_path(&asking.return_to, true);
        match self {
            Self::NotFound | Self::Closed(_) => pages.render(&Content::NotFound, &asked),
            Self::Refused {
                refusal,
                room,
                person,
            } => {
                let person = person.as_deref();
                let content = Content::Refused {
                    room,
                    person,
                    denial: (*refusal).into(),
                    sign_in: &sign_in,
                };
                pages.render(&content, &asked)
            }
            Self::Waiting { room, person, .. } => {
                let content = Content::Refused {
                    room,
                    person: person.as_deref(),
                    denial: Denial::HostStarts,
                    sign_in: &sign_in,
                };
                pages.render(&content, &asked)
            }
            Self::LinkTooEarly { room, opens } => {
                let content = Content::Refused {
                    room,
                    person: None,
                    denial: Denial::NotYet { opens: *opens },
                    sign_in: &sign_in,
                };
                pages.render(&content, &asked)
            }
            Self::Link { room, problem } => {
                let problem = *problem;
                pages.render(&Content::LinkRefused { room, problem }, &asked)
            }
            Self::Embed(_) | Self::ClientToken(_) | Self::UsedToken => {
                match asking.return_to.room() {
                    Some(room) => {
                        let (room, reason) = (&room, &*reason);
                        pages.render(&Content::EmbedRefused { room, reason }, &asked)
                    }
                    None => pages.render(
                        &Content::BadRequest {
                            reason: Some(&reason),
                        },
                        &asked,
                    ),
                }
            }
            Self::SignIn {
                told, return_to, ..
            } => {
                let again = login_path(return_to, false);
                pages.render(
                    &Content::SignInFailed {
                        failure: *told,
                        again: &again,
                    },
                    &asked,
                )
            }
            Self::ProviderUnavailable => {
                let content = Content::Unavailable {
                    part: Part::Provider,
                    again: here,
                };
                pages.render(&content, &asked)
            }
            Self::Internal(_) | Self::Token(_) | Self::Store(_) => {
                let content = Content::Unavailable {
                    part: Part::Gateway,
                    again: here,
                };
                with_status(pages.render(&content, &asked), self.status())
            }
            _ if self.is_ours() => {
                let content = Content::Unavailable {
                    part: Part::Jitsi,
                    again: here,
                };
                with_status(pages.render(&content, &asked), self.status())
            }
            _ => {
                let content = Content::BadRequest {
                    reason: Some(&reason),
                };
                with_status(pages.render(&content, &asked), self.status())
            }
        }
    }

    fn word(&self, id: RequestId) -> Response<Body> {
        let text = serde_json::json!({ "error": self.told(), "request": id.to_string() });
        plain(self.status(), "application/json", text.to_string())
    }

    fn problem(&self, id: RequestId) -> Response<Body> {
        let status = self.status();
        let problem = Problem::new(status, "refused", self.told(), id.to_string());
        plain(status, PROBLEM_JSON, problem.to_json())
    }

    /// What machines are told: what is behind us, and where, is for the log.
    fn told(&self) -> String {
        if self.is_ours() {
            "the gateway or a server behind it failed".to_owned()
        } else {
            self.to_string()
        }
    }

    /// BOSH clients read conditions, not pages; a status other than 200 they take for a fault of
    /// the network and try again (XEP-0124 § 17.2). What no client sends gets a status as well.
    fn bosh(&self, id: RequestId) -> Response<Body> {
        match self {
            Self::Upstream(_)
            | Self::UpstreamAnswer(_)
            | Self::Internal(_)
            | Self::Store(_)
            | Self::Token(_) => terminated("remote-connection-failed"),
            Self::SignInFirst
            | Self::GuestFirst { .. }
            | Self::Waiting { .. }
            | Self::Embed(_)
            | Self::ClientToken(_)
            | Self::UsedToken
            | Self::ForeignSender
            | Self::Refused { .. } => terminated("policy-violation"),
            Self::Bosh(BodyError::Foreign) => terminated("item-not-found"),
            Self::Bosh(_) | Self::Room(_) | Self::Query(_) | Self::NoRoom => {
                let mut answer = terminated("bad-request");
                *answer.status_mut() = self.status();
                answer
            }
            _ => self.word(id),
        }
    }
}

/// A 401 must say how to do better (RFC 9110 § 11.6.1); the scheme for sessions in cookies.
const CHALLENGE: HeaderValue = HeaderValue::from_static(
    r#"Cookie form-action="/_gateway/login", cookie-name="__Host-gateway-session""#,
);

/// The address that signs in and leads back; `switch` as somebody else.
pub(crate) fn login_path(return_to: &ReturnTo, switch: bool) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to.as_str());
    if switch {
        query.append_pair("switch", "1");
    }
    format!("/_gateway/login?{}", query.finish())
}

fn with_status(page: pages::Page, status: StatusCode) -> pages::Page {
    pages::Page { status, ..page }
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_behind_the_gateway_is_for_the_log() {
        let id = RequestId {
            worker: 1,
            number: 2,
        };
        let failure =
            Failure::Upstream(SendError::Timeout("prosody.internal:5280".parse().unwrap()));
        let body = failure.word(id).into_body().collect().await.unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(!body.contains("internal"), "{body}");
        assert!(body.contains("00000001-2"), "{body}");
    }
}
