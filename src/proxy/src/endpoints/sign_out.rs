//! Signing out: here, at the provider, and by the provider.

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use secrecy::SecretString;
use tracing::{debug, warn};
use url::Url;

use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    authorize::AccessError,
    body,
    endpoints::{LoginError, sign_in_flow},
    respond::{self, Responder, append_cookies, login_path, plain, redirect},
    server::ClientBody,
    web::embedding::place_of,
};
use cluster::revocation::{Preservation, Receipt, Selector};
use model::{
    identity::Standing,
    provider::ProviderId,
    route::OWN_PREFIX,
    session::{self, BrowsingContext, HINT_COOKIE, Pass, RequestCookies, ReturnTo, SESSION_COOKIE},
};
use observe::metrics::LogoutOutcome;
use pages::Content;

/// Ends the session and the passes of the browser, here and, for people with an account, at the provider; with `everywhere=1` also those of the
/// person's other browsers and apps, here.
pub(crate) async fn logout(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    // A picture on another site must not sign people out.
    let foreign = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    // Neither must a browser that loads an address before its person opens it.
    let speculative = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .filter_map(|name| request.headers().get(*name))
        .any(|purpose| purpose.as_bytes().starts_with(b"pre"));
    if foreign || speculative {
        return Err(AccessError::ForeignSender.into());
    }
    let mut receipts = Vec::new();
    let session = worker.state.authenticator.session(request.headers());
    if let Some(session) = &session {
        let query = request.uri().query().unwrap_or_default();
        let everywhere = url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "everywhere" && value == "1");
        let flow = worker.state.sign_ins.as_ref();
        let provider = flow.and_then(|flow| flow.provider_of(session));
        audit::signed_out(session, everywhere, provider, &context);
        if everywhere {
            let person = Selector::Person(session.identity().subject.clone());
            receipts.push(worker.state.authenticator.revocations.revoke(person));
        }
        worker.state.authenticator.revalidations.end(session);
        receipts.extend(worker.state.authenticator.revoke_session(session));
    }
    let jar = RequestCookies::new(request.headers());
    let (of_passes, passes, deletions) = worker.state.authenticator.revoke_passes(jar);
    receipts.extend(of_passes);
    let is_kept = kept(receipts, context).await;
    let flow = worker.state.sign_ins.as_ref();
    let is_guest =
        session.is_none() && is_of_guest(&passes) && !flow.is_some_and(|flow| flow.has_hint(jar));
    // A guest has no account at the provider.
    let target = flow
        .filter(|_| !is_guest)
        .and_then(|flow| flow.end_session_url(session.as_ref(), jar));
    let framed = place_of(request.headers()) == BrowsingContext::EmbeddedFrame;
    let mut answer = match &target {
        // The provider's page shows in no frame; Jitsi's page waits for a word.
        _ if framed => Ok(respond::page(
            &worker.state.pages,
            &Content::LogoutFrame,
            responder,
        )),
        target if !is_kept => {
            let provider = target.as_ref().map(Url::as_str);
            let content = Content::SignOutNotKept { provider };
            Ok(respond::page(&worker.state.pages, &content, responder))
        }
        Some(url) => redirect(StatusCode::SEE_OTHER, url.as_str()),
        None if is_guest => redirect(StatusCode::SEE_OTHER, &guest_left_path(&passes)),
        None => redirect(StatusCode::SEE_OTHER, "/_gateway/signed-out"),
    }?;
    let headers = answer.headers_mut();
    headers.append(header::SET_COOKIE, session::expire(SESSION_COOKIE));
    headers.append(header::SET_COOKIE, forget_hint());
    append_cookies(&mut answer, deletions);
    append_cookies(
        &mut answer,
        session::forget_guest_name(jar).into_iter().collect(),
    );
    Ok(answer)
}

/// Whether passes are those of a browser whose person has no account here.
fn is_of_guest(passes: &[Pass]) -> bool {
    !passes.is_empty() && passes.iter().all(|pass| !pass.standing().is_member())
}

/// The path of the page for a guest who left; it leads back to the room if that is only one, which an
/// integration need not open first.
fn guest_left_path(passes: &[Pass]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair(GUEST_PARAMETER, "1");
    if let [pass] = passes
        && !matches!(pass.standing(), Standing::Embedded(_))
    {
        query.append_pair("return_to", &pass.room().page_path());
    }
    format!("/_gateway/signed-out?{}", query.finish())
}

/// The page after a sign-out, or after a guest left. Jitsi's page leads to it when its person is signed out
/// elsewhere, and names the room to come back to.
pub(crate) fn signed_out(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default();
    let (mut return_to, mut is_guest) = (None, false);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "return_to" if return_to.is_none() => return_to = Some(ReturnTo::parse(&value)),
            GUEST_PARAMETER => is_guest = true,
            _ => {}
        }
    }
    let room = return_to.filter(|return_to| return_to.room().is_some());
    let room = room.as_ref().map(ReturnTo::as_str);
    let sign_in = login_path(&ReturnTo::default(), false);
    let content = if is_guest {
        Content::GuestLeft { return_to: room }
    } else {
        Content::SignedOut {
            // The room's page leads to the sign-in.
            sign_in: Some(room.unwrap_or(&sign_in)),
            return_to: room,
        }
    };
    respond::page(&worker.state.pages, &content, responder)
}

/// A provider says that a session ended (OpenID Connect Back-Channel Logout 1.0 § 2.5).
pub(crate) async fn backchannel_logout(
    worker: &Worker,
    provider: Option<&ProviderId>,
    request: Request<ClientBody>,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    // The check of the token may wait for the provider's keys, and the person may sign in again meanwhile.
    let received = worker.state.clock.event_time();
    let flow = sign_in_flow(worker)?;
    let party = flow.party_at(provider)?;
    let count = |outcome| party.metrics().count_backchannel_logout(outcome);
    let provider = party.provider_id();
    let body = body::whole(request.into_body(), MAX_LOGOUT_BODY).await;
    let body = body.inspect_err(|_| count(LogoutOutcome::InvalidRequest))?;
    let mut tokens = url::form_urlencoded::parse(&body)
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, value)| SecretString::from(value.into_owned()));
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        count(LogoutOutcome::InvalidRequest);
        return Ok(logout_refused());
    };
    match flow.validate_logout_token(party, token).await? {
        Ok(logout) if !flow.logout_tokens.accept(&logout).await => {
            count(LogoutOutcome::TokenRefused);
            debug!(provider, request = %context.id, "logout token refused: another replica accepted it before");
            Ok(logout_refused())
        }
        Ok(logout) => {
            let revocations = &worker.state.authenticator.revocations;
            let mut receipts = Vec::new();
            let selector = match (logout.sid.clone(), logout.sub.clone()) {
                (Some(sid), sub) => {
                    // An ID token need not name the session that the logout token names.
                    if let Some(sub) = sub.clone() {
                        let sessions = Selector::SubjectWithoutSession(sub);
                        receipts.push(revocations.revoke_as_of(sessions, received));
                    }
                    let subject = sub;
                    Selector::ProviderSession { sid, subject }
                }
                (None, Some(sub)) => Selector::ProviderSubject(sub),
                (None, None) => {
                    count(LogoutOutcome::TokenRefused);
                    return Ok(logout_refused());
                }
            };
            audit::logged_out_by_provider(&selector, provider, &context);
            receipts.push(revocations.revoke_as_of(selector, received));
            if !kept(receipts, context).await {
                party.permit_logout_again(&logout);
                flow.logout_tokens.forget(&logout).await;
                count(LogoutOutcome::Unavailable);
                let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "");
                answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
                return Ok(answer);
            }
            count(LogoutOutcome::Ok);
            let mut answer = plain(StatusCode::OK, "text/plain", "");
            answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
            Ok(answer)
        }
        // The provider tries again later, if it is told that the fault is passing.
        Err(error) if error.is_transient() => {
            count(LogoutOutcome::Unavailable);
            debug!(%error, provider, request = %context.id, "cannot check a logout token now");
            Err(LoginError::ProviderUnavailable.into())
        }
        Err(error) => {
            count(LogoutOutcome::TokenRefused);
            debug!(%error, reason = error.as_str(), provider, request = %context.id, "logout token refused");
            Ok(logout_refused())
        }
    }
}

/// Waits until revocations are kept; `false` if a restart may undo one of them. They are in effect
/// in any case.
pub(super) async fn kept(
    receipts: impl IntoIterator<Item = Receipt>,
    context: RequestContext,
) -> bool {
    let mut all = true;
    for receipt in receipts {
        if let Preservation::Volatile(error) = receipt.outcome().await {
            all = false;
            warn!(%error, request = %context.id, "a sign-out is in effect, and a restart may undo it");
        }
    }
    all
}

fn forget_hint() -> HeaderValue {
    session::set_below(HINT_COOKIE, "", Duration::ZERO, OWN_PREFIX)
}

fn logout_refused() -> Response<Body> {
    let body = r#"{"error":"invalid_request"}"#;
    let mut answer = plain(StatusCode::BAD_REQUEST, "application/json", body);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// The parameter of the page for a guest who left.
const GUEST_PARAMETER: &str = "guest";

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Logout tokens are about a kilobyte.
const MAX_LOGOUT_BODY: usize = 32 * 1024;
