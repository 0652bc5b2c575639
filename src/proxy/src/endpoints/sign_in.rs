//! Signing in: to the provider and back.

mod flow;
mod logout_hint;
mod logout_tokens;
mod provider_choice;
mod query;
mod redeemed_states;
mod silent_renewal;
mod step_up;

use http::{Request, Response, StatusCode, header};
use tracing::{debug, warn};

pub(crate) use self::{
    flow::{SignInFlow, sign_in_flow},
    logout_tokens::AcceptedLogoutTokens,
    redeemed_states::RedeemedStates,
    silent_renewal::renewal_address,
};
use self::{
    provider_choice::{ProviderChoice, choice_page},
    query::LoginQuery,
    step_up::asked_requirement,
};
use super::{
    form::Form,
    post_login::{give_up, go_on},
    sign_out::kept,
};
use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    respond::{self, Responder, append_cookies, login_path, redirect},
    server::ClientBody,
    web::embedding::{place_of, sign_in_apart},
};
use model::{
    provider::ProviderId,
    session::{Afterwards, BrowsingContext, RequestCookies, SignInError},
};
use observe::metrics::SignInReason;
use oidc::{AuthenticationErrorClass, AuthorizationOptions, Callback, Prompt, RelyingParty};
use pages::{Content, SignInProblem};

/// Why a sign-in or sign-out did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The provider's configuration is not known yet, or the provider cannot be asked now.
    #[error("the OpenID provider is not reachable")]
    ProviderUnavailable,
    /// The sign-in failed.
    #[error("signing in failed: {code}")]
    Failed {
        /// The word for logs and metrics.
        code: &'static str,
        /// The reason on the person's page.
        problem: SignInProblem,
    },
}

/// Sends the browser to the provider, or on if it has a session. Where several providers are possible, a
/// page asks which.
pub(crate) async fn login(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let flow = sign_in_flow(worker)?;
    let query = request.uri().query().unwrap_or_default();
    let mut wanted = LoginQuery::parse(query, &worker.state.authenticator.origin);
    responder.lead_to(&wanted.return_to);
    let initiated = wanted.initiated.take();
    if let Some(initiated) = &initiated {
        let party = flow.party_of_issuer(&initiated.issuer)?;
        wanted.provider = party.scope().provider().cloned();
    }
    let headers = request.headers();
    let rules = worker.rules();
    let asked = asked_requirement(worker, &rules, &wanted, headers)?;
    let steps_up = asked.is_some_and(|asked| asked.is_step_up);
    let known = worker.state.authenticator.session(headers);
    // A link cannot renew a session before a page would.
    wanted.renews &= !wanted.switch
        && !steps_up
        && known
            .as_ref()
            .is_some_and(|session| silent_renewal::is_due(worker, flow, session, headers));
    let session = known
        .as_ref()
        .filter(|_| !wanted.switch && !steps_up && !wanted.renews);
    // A redirect can carry the options of Jitsi's `state` in its fragment: to the page, or to
    // the one on the way to the provider, which keeps it.
    if wanted.then == Afterwards::Page && !wanted.options.is_empty() {
        let target = match session {
            Some(_) => wanted.return_to.as_str().to_owned(),
            None => login_path(&wanted.return_to, wanted.switch),
        };
        return redirect(
            StatusCode::SEE_OTHER,
            &format!("{target}#{}", wanted.options),
        );
    }
    if let Some(session) = session {
        return go_on(
            worker,
            session,
            &wanted.return_to,
            &wanted.then,
            responder,
            context,
        );
    }
    if place_of(headers) == BrowsingContext::EmbeddedFrame
        && let Some(page) =
            sign_in_apart(worker, headers, &wanted.return_to, wanted.switch, responder)
    {
        return Ok(page);
    }
    let room = wanted.return_to.room();
    let rule = room.and_then(|room| rules.policy.rule_for(&room));
    let permitted = rule.map_or(&[][..], |(_, rule)| &rule.providers);
    // Only the provider of the session can authenticate the same person more strongly, or once more.
    let of_session = (steps_up && !wanted.switch) || wanted.renews;
    let kept_provider = known.as_ref().filter(|_| of_session);
    let choice = ProviderChoice::of(&flow.parties, &wanted, permitted, kept_provider)?;
    let (party, address) = match &choice {
        ProviderChoice::Made { party, address } => (*party, address.as_deref()),
        ProviderChoice::Open(open) => return Ok(choice_page(worker, request, responder, open)),
    };
    let jar = RequestCookies::new(headers);
    let renewed = flow.hint(jar).filter(|_| wanted.renews);
    let options = AuthorizationOptions {
        login_hint: address.or_else(|| initiated.as_ref()?.login_hint.as_deref()),
        prompt: match asked {
            _ if wanted.switch => Some(Prompt::SelectAccount),
            _ if wanted.renews => Some(Prompt::None),
            // Only a new authentication can use another method.
            Some(asked) if asked.is_step_up && !asked.requirement.amr.is_empty() => {
                Some(Prompt::Login)
            }
            _ => None,
        },
        id_token_hint: renewed.as_ref().and_then(|hint| hint.for_party(party)),
        acr_values: asked.map_or(&[], |asked| &asked.requirement.acr),
        max_age: asked.and_then(|asked| asked.requirement.max_age),
        ui_locales: worker
            .state
            .pages
            .language(responder.accept_language.as_ref()),
        parameters: rule.map(|(_, rule)| &rule.parameters),
    };
    let asked = asked.map(|asked| asked.requirement.id());
    let (renews, page) = (wanted.renews, wanted.return_to.clone());
    let begun = match flow.begin(party, wanted, &options, asked, jar).await {
        Err(_) | Ok(Err(_)) if renews => return silent_renewal::postponed(&page),
        begun => begun?.map_err(|failure| {
            sign_in_failed(
                party,
                failure.reason(),
                failure.as_str(),
                problem_of(failure.class()),
                &failure,
                context,
            )
        })?,
    };
    let way = Content::Continue {
        provider: &begun.address,
        return_to: &begun.return_to,
    };
    let mut answer = respond::page(&worker.state.pages, &way, responder);
    append_cookies(&mut answer, begun.cookies);
    party.metrics().count_sign_in_start();
    debug!(provider = party.provider_id(), request = %context.id, client.addr = %context.client, "sign-in started");
    Ok(answer)
}

/// Completes a sign-in when the provider sends the browser back.
pub(crate) async fn callback(
    worker: &Worker,
    provider: Option<&ProviderId>,
    request: &Request<ClientBody>,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    let flow = sign_in_flow(worker)?;
    let party = flow.party_at(provider)?;
    let jar = RequestCookies::new(request.headers());
    let callback = Callback::parse(request.uri().query().unwrap_or_default()).map_err(|error| {
        let reason = SignInReason::InvalidCallback;
        sign_in_failed(
            party,
            reason,
            error.as_str(),
            SignInProblem::Unknown,
            &error,
            context,
        )
    })?;
    let state = callback.state().to_owned();
    let before = worker.state.authenticator.session(request.headers());
    let sign_in = match flow.find(&state, jar) {
        Ok(sign_in) => sign_in,
        // The callback was loaded twice, or a second tab was slow: the person is in already.
        Err(_) if before.is_some() => {
            let page = flow.page(&state, jar).unwrap_or_default();
            return redirect(StatusCode::SEE_OTHER, page.as_str());
        }
        Err(error @ SignInError::Unknown) => {
            return Err(sign_in_failed(
                party,
                SignInReason::UnknownState,
                "unknown_state",
                SignInProblem::Unknown,
                &error,
                context,
            )
            .into());
        }
        Err(error @ SignInError::Expired) => {
            responder.lead_to(&flow.page(&state, jar).unwrap_or_default());
            return Err(sign_in_failed(
                party,
                SignInReason::TooLate,
                "too_late",
                SignInProblem::Expired,
                &error,
                context,
            )
            .into());
        }
    };
    responder.lead_to(&sign_in.return_to);
    let rules = worker.rules();
    let signed_in = match flow.finish(party, callback, &sign_in, rules).await? {
        Ok(signed_in) => signed_in,
        Err(failure) if sign_in.renews && silent_renewal::is_refusal(&failure) => {
            return silent_renewal::refused(worker, flow, &sign_in, before.as_ref(), context).await;
        }
        Err(failure) => {
            let (code, problem) = (failure.as_str(), problem_of(failure.class()));
            let failed = sign_in_failed(party, failure.reason(), code, problem, &failure, context);
            if sign_in.renews {
                return silent_renewal::postponed(&sign_in.return_to);
            }
            return give_up(worker, failed, &sign_in, responder);
        }
    };
    let sessions = &worker.state.authenticator.sessions;
    let session = sessions.begin(
        signed_in.identity,
        signed_in.provider_session,
        &worker.state.random,
    );
    let revalidations = &worker.state.authenticator.revalidations;
    let session = revalidations.begin(session, signed_in.refresh_token, &sign_in.nonce);
    let mut session = session.authenticated(signed_in.authentication, sign_in.asked.clone());
    // Both of them are in meetings, in two tabs: the sign-out ends both.
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.identity().subject == session.identity().subject)
    {
        session = session.succeeding(before);
    }
    let sealed = sessions.seal(&session).map_err(|error| {
        let reason = SignInReason::SessionTooLarge;
        sign_in_failed(
            party,
            reason,
            "session_too_large",
            SignInProblem::TooLarge,
            &error,
            context,
        )
    })?;
    if let Some(sid) = session.credential().provider_session {
        flow.provider_sessions.note(sid).await;
    }
    // Another person was signed in here before: that session ends with its connections, and its
    // passes are not for the successor.
    let mut cookies = Vec::new();
    if let Some(before) = before
        && before.identity().subject != session.identity().subject
    {
        let sessions = worker.state.authenticator.revoke_session(&before);
        let (passes, _, deletions) = worker.state.authenticator.revoke_passes(jar);
        kept(sessions.chain(passes), context).await;
        cookies = deletions;
    }
    audit::signed_in(&session, party.provider_id(), &context);
    party.metrics().count_sign_in(SignInReason::None);
    let (target, then) = (&sign_in.return_to, &sign_in.then);
    let mut answer = go_on(worker, &session, target, then, responder, context)?;
    append_cookies(&mut answer, cookies);
    let headers = answer.headers_mut();
    headers.append(
        header::SET_COOKIE,
        worker.state.authenticator.session_cookie(&sealed),
    );
    headers.append(header::SET_COOKIE, flow.complete_cookie(&sign_in));
    if let Some(hint) = flow.hint_cookie(party, &signed_in.id_token, sessions.cookie_lifetime()) {
        headers.append(header::SET_COOKIE, hint);
    }
    if let Some(listed) = party.listed() {
        headers.append(header::SET_COOKIE, provider_choice::remember(listed));
    }
    Ok(answer)
}

/// Turns the form that a provider posts (OAuth 2.0 Form Post Response Mode) into a callback with a query. A form of
/// another site comes without the cookies of the sign-in (`SameSite=Lax`, RFC 6265bis § 5.6.7.1), and the request after a redirect
/// has them.
pub(crate) async fn posted_callback(
    request: Request<ClientBody>,
) -> Result<Response<Body>, RequestError> {
    let (request, form) = Form::read_of_any_site(request).await?;
    let callback = format!("{}?{}", request.uri().path(), form.to_query());
    redirect(StatusCode::SEE_OTHER, &callback)
}

/// Any stranger can send a callback that matches no sign-in, so that is no warning.
fn sign_in_failed(
    party: &RelyingParty,
    reason: SignInReason,
    code: &'static str,
    problem: SignInProblem,
    error: &dyn std::fmt::Display,
    context: RequestContext,
) -> LoginError {
    party.metrics().count_sign_in(reason);
    let provider = party.provider_id();
    if reason.is_unmatched() {
        debug!(reason = code, %error, provider, request = %context.id, client.addr = %context.client, "callback without a sign-in");
    } else {
        warn!(reason = code, %error, provider, request = %context.id, client.addr = %context.client, "sign-in failed");
    }
    LoginError::Failed { code, problem }
}

fn problem_of(class: AuthenticationErrorClass) -> SignInProblem {
    match class {
        AuthenticationErrorClass::Cancelled => SignInProblem::Declined,
        AuthenticationErrorClass::TryAgain => SignInProblem::Expired,
        AuthenticationErrorClass::Unavailable | AuthenticationErrorClass::Provider => {
            SignInProblem::Provider
        }
    }
}
