//! The gateway's own addresses, and the public keys among them.

mod acme_challenge;
pub(crate) mod api;
pub(crate) mod events;
mod form;
mod frontchannel_logout;
pub(crate) mod guest_entry;
mod landing;
mod meetings;
mod post_login;
mod sign_in;
mod sign_out;

use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

pub(crate) use self::{
    acme_challenge::acme_challenge,
    landing::start_page,
    sign_in::{
        AcceptedLogoutTokens, LoginError, RedeemedStates, SignInFlow, renewal_address, sign_in_flow,
    },
};
use crate::{
    Body, RequestContext, RequestError, Worker,
    request_context::{ContextError, is_reading},
    respond::{Responder, plain},
    server::ClientBody,
};
use model::route::Endpoint;

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

/// Answers a request to one of our own addresses.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    endpoint: Endpoint,
    request: Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let reading = is_reading(request.method());
    match endpoint {
        Endpoint::Api(path) => api::answer(worker, &path, request, context).await,
        Endpoint::BackchannelLogout(provider) if *request.method() == Method::POST => {
            sign_out::backchannel_logout(worker, provider.as_ref(), request, context).await
        }
        Endpoint::BackchannelLogout(_) => Err(ContextError::Method { allow: "POST" }.into()),
        Endpoint::Join => guest_entry::join(worker, request, responder, context).await,
        Endpoint::Meetings => landing::make_meeting(worker, request, responder).await,
        Endpoint::Unknown | Endpoint::Jwks | Endpoint::Asap(_) => {
            Err(ContextError::NotFound.into())
        }
        Endpoint::Callback(_) if *request.method() == Method::POST => {
            sign_in::posted_callback(request).await
        }
        _ if !reading => Err(ContextError::Method { allow: "GET, HEAD" }.into()),
        Endpoint::Login => sign_in::login(worker, &request, responder, context).await,
        Endpoint::Callback(provider) => {
            sign_in::callback(worker, provider.as_ref(), &request, responder, context).await
        }
        Endpoint::FrontchannelLogout(provider) => {
            frontchannel_logout::answer(worker, provider.as_ref(), &request, context).await
        }
        Endpoint::Events => events::answer(worker, &request, &context),
        Endpoint::Go => landing::go(worker, &request, responder),
        Endpoint::Meeting => meetings::page(worker, &request, responder, &context),
        Endpoint::Calendar => meetings::calendar_file(worker, &request, &context),
        Endpoint::Logout => sign_out::logout(worker, &request, responder, context).await,
        Endpoint::SignedOut => Ok(sign_out::signed_out(worker, &request, responder)),
    }
}

/// The public halves of the signing keys. They are no secret, and Prosody fetches them by an
/// internal name and without TLS, so neither is checked.
pub(crate) fn published_keys(
    worker: &Worker,
    endpoint: &Endpoint,
    responder: &Responder,
) -> Response<Body> {
    let rules = worker.rules();
    let (content_type, text) = match endpoint {
        Endpoint::Jwks => ("application/json", Some(rules.published.jwks.as_str())),
        Endpoint::Asap(file) => ("application/x-pem-file", rules.published.asap(file)),
        _ => ("text/plain", None),
    };
    let Some(text) = text else {
        return RequestError::from(ContextError::NotFound).answer(
            responder,
            &worker.state.pages,
            None,
        );
    };
    let mut answer = plain(StatusCode::OK, content_type, text.to_owned());
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, KEYS_CACHED);
    answer
}

/// Prosody keeps keys for the `max-age` (less a minute), and fetches again for ids that it does not
/// know; five minutes let a new key be known everywhere before it is used.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");
