//! The gateway's own addresses, and the public keys among them.

mod api;
pub(crate) mod events;
mod form;
mod guest_entry;
mod landing;
mod meetings;
mod post_login;
mod sign_in;
mod sign_out;

pub(crate) use self::sign_in::LoginError;

use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    Body, RequestContext, RequestError, Worker,
    request_context::ContextError,
    respond::{Responder, plain},
};
use model::route::Endpoint;
use pages::Content;

/// Why an endpoint refuses a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// A form or query is not one of the gateway's.
    #[error("the form cannot be read: {0}")]
    Form(&'static str),
    /// The query names no room.
    #[error("the request does not name a room")]
    NoRoom,
    /// Only a host of a meeting may pass its links on.
    #[error("only a host of the meeting may see this")]
    NotHost,
    /// The session, or the worker, has too many event streams.
    #[error("too many streams of events are open")]
    TooManyStreams,
}

// === impl Worker ===

impl Worker {
    /// Answers a request to one of our own addresses.
    pub(crate) async fn endpoint(
        self: &Rc<Self>,
        own: Endpoint,
        request: Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match own {
            Endpoint::Api(path) => self.api(&path, request, context).await,
            Endpoint::BackchannelLogout if *request.method() == Method::POST => {
                self.backchannel_logout(request, context).await
            }
            Endpoint::BackchannelLogout => Err(ContextError::Method { allow: "POST" }.into()),
            Endpoint::Join => self.join(request, responder, context).await,
            Endpoint::Meetings => self.make_meeting(request, responder).await,
            Endpoint::Unknown | Endpoint::Jwks | Endpoint::Asap(_) => {
                Err(ContextError::NotFound.into())
            }
            _ if !reading => Err(ContextError::Method { allow: "GET, HEAD" }.into()),
            Endpoint::Login => self.login(&request, responder, context),
            Endpoint::Callback => self.callback(&request, responder, context).await,
            Endpoint::Events => self.events(&request),
            Endpoint::Go => self.go(&request, responder),
            Endpoint::Meeting => self.meeting(&request, responder, &context),
            Endpoint::Calendar => self.meeting_file(&request, &context),
            Endpoint::Logout => self.logout(&request, responder, context),
            Endpoint::SignedOut => Ok(self.show(&Content::SignedOut, responder)),
        }
    }

    /// The public halves of the signing keys. They are no secret, and Prosody asks for them by an
    /// internal name and without TLS, so neither is checked.
    pub(crate) fn published_keys(&self, own: &Endpoint, responder: &Responder) -> Response<Body> {
        let rules = self.rules();
        let (content_type, text) = match own {
            Endpoint::Jwks => ("application/json", Some(rules.published.jwks.as_str())),
            Endpoint::Asap(file) => ("application/x-pem-file", rules.published.asap(file)),
            _ => ("text/plain", None),
        };
        let Some(text) = text else {
            return RequestError::from(ContextError::NotFound).answer(
                responder,
                &self.state.pages,
                None,
            );
        };
        let mut answer = plain(StatusCode::OK, content_type, text.to_owned());
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, KEYS_CACHED);
        answer
    }

    pub(crate) fn show(&self, content: &Content<'_>, responder: &Responder) -> Response<Body> {
        let id = responder.id.to_string();
        self.state
            .pages
            .render(content, &responder.asked(&id))
            .into_response()
            .map(Body::from)
    }
}

/// Prosody keeps keys as long as it is told (less a minute), and asks again for ids it does not
/// know; five minutes let a new key be known everywhere before it is used.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");
