//! Renewal of sessions that have no refresh token: the browser goes to the provider and back, and the provider shows no
//! page (`prompt=none`, OpenID Connect Core 1.0 § 3.1.2.1).
//!
//! A successful renewal is a sign-in like any other. If the provider does not know the person any more, the session
//! ends. If it cannot be asked, the session goes on, and the next page after a while tries again.

use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::{SignInFlow, query::RENEW, sign_in_flow};
use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    endpoints::sign_out::kept,
    respond::{login_path, redirect},
    server::ClientBody,
    web::embedding::place_of,
};
use model::session::{
    self, BrowsingContext, POSTPONED_COOKIE, RequestCookies, ReturnTo, Session, SignIn,
};
use oidc::{AuthenticationError, SessionEnd};

/// The address that renews the session of a request for a room's page; `None` if the page can be answered.
///
/// A frame of another site is not sent away: the provider's page may refuse to be in one.
pub(crate) fn renewal_address(
    worker: &Worker,
    request: &Request<ClientBody>,
    page: &str,
) -> Option<String> {
    let flow = sign_in_flow(worker).ok()?;
    let is_optional = flow
        .parties
        .iter()
        .any(|party| party.silent_renewal().is_some());
    let headers = request.headers();
    let is_top_level = place_of(headers) == BrowsingContext::TopLevel;
    if !is_optional || *request.method() != Method::GET || !is_top_level {
        return None;
    }
    let session = worker.state.authenticator.session(headers)?;
    let login = login_path(&ReturnTo::parse(page), false);
    is_due(worker, flow, &session, headers).then(|| format!("{login}&{RENEW}=1"))
}

/// Whether a session has to be renewed before it opens another page.
pub(super) fn is_due(
    worker: &Worker,
    flow: &SignInFlow,
    session: &Session,
    headers: &HeaderMap,
) -> bool {
    let postponed = RequestCookies::new(headers).value(POSTPONED_COOKIE);
    postponed.is_none() && is_old(worker, flow, session)
}

/// Whether the interval has passed since the sign-in of a session without a refresh token.
fn is_old(worker: &Worker, flow: &SignInFlow, session: &Session) -> bool {
    let party = flow.parties.of_scope(session.identity().provider.as_ref());
    let interval = party.and_then(|party| party.silent_renewal());
    let age = worker.state.clock.now().since(session.began());
    session.validated().is_none() && interval.is_some_and(|interval| age >= interval)
}

/// Whether the failure says that the provider does not sign the person in.
pub(super) fn is_refusal(failure: &AuthenticationError) -> bool {
    matches!(
        failure,
        AuthenticationError::InteractionNeeded | AuthenticationError::Cancelled
    )
}

/// Ends the session that the provider no longer confirms, with those that it followed in this browser; the person can
/// sign in again. A person who signed in meanwhile, in another tab, goes on.
pub(super) async fn refused(
    worker: &Worker,
    flow: &SignInFlow,
    sign_in: &SignIn,
    session: Option<&Session>,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let mut target = login_path(&sign_in.return_to, false);
    match session {
        Some(session) if is_old(worker, flow, session) => {
            let provider = flow.provider_of(session);
            audit::session_ended_by_provider(session.id(), SessionEnd::SignInRequired, provider);
            let ended = worker.state.authenticator.revoke_session(session);
            kept(ended, context).await;
        }
        Some(_) => sign_in.return_to.as_str().clone_into(&mut target),
        None => {}
    }
    let mut answer = redirect(StatusCode::SEE_OTHER, &target)?;
    let done = flow.complete_cookie(sign_in);
    answer.headers_mut().append(header::SET_COOKIE, done);
    Ok(answer)
}

/// Leads to the page, which the session opens as it is.
pub(super) fn postponed(page: &ReturnTo) -> Result<Response<Body>, RequestError> {
    let mut answer = redirect(StatusCode::SEE_OTHER, page.as_str())?;
    let cookie = session::set(POSTPONED_COOKIE, "1", PAUSE);
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}

/// A provider that is back is noticed within it; meanwhile pages do not wait for it.
const PAUSE: Duration = Duration::from_mins(1);
