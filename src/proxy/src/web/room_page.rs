//! The room page: shown when the policy admits the visitor, otherwise the next step (sign in, guest
//! form, wait, refusal).

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    authorize::{AccessError, AccessRequest, StepUpDemand},
    credentials::{CredentialError, Intent, PresentedToken},
    endpoints::{guest_entry, renewal_address},
    request_context::require_reading,
    respond::{Responder, append_cookies, login_path, redirect, redirect_to_sign_in},
    server::ClientBody,
    web::{
        assets::{Source, build_web_request, fetch_web},
        embedding::{allow_framing, place_of, show_in_room},
        jaas_page::call_page,
        page_completion::complete_page,
    },
};
use model::{
    headers,
    path::CanonicalPath,
    policy::{Admission, Grant, Refusal},
    query::PageQuery,
    room::{PageRoom, RoomKey},
    route::Label,
    session::{BrowsingContext, Pass, Principal, ReturnTo, Visitor},
    token::{ClientTokenKind, DisplayToken},
};
use pages::{Content, GuestForm, PagePerson, inject};

/// A request for a room's page, before the policy decided.
pub(crate) struct RoomPageRequest<'a> {
    pub(crate) request: Request<ClientBody>,
    pub(crate) path: CanonicalPath,
    pub(crate) responder: &'a Responder,
    pub(crate) context: RequestContext,
    pub(crate) room: RoomKey,
    /// `Set-Cookie` headers of the answer.
    pub(crate) cookies: Vec<HeaderValue>,
}

/// Answers a request for a room's page.
pub(crate) async fn answer(
    worker: &Worker,
    request: Request<ClientBody>,
    path: &CanonicalPath,
    responder: &Responder,
    context: RequestContext,
    room: PageRoom,
) -> Result<Response<Body>, RequestError> {
    require_reading(request.method())?;
    let query = PageQuery::parse(request.uri().query().unwrap_or_default());
    let clean = |path: &str| match query.rest.as_str() {
        "" => path.to_owned(),
        rest => format!("{path}?{rest}"),
    };
    if let Some(address) = &room.respelled {
        // With its token: in a frame it cannot be exchanged for a pass before the redirect.
        let raw = request.uri().query().map(|query| format!("?{query}"));
        let target = format!("{address}{}", raw.unwrap_or_default());
        return redirect(StatusCode::PERMANENT_REDIRECT, &target);
    }
    let here = clean(request.uri().path());
    let visit = RoomPageRequest {
        request,
        path: path.clone(),
        responder,
        context,
        room: room.key,
        cookies: Vec::new(),
    };
    if let Some(token) = &query.jwt {
        let presented = PresentedToken {
            token,
            room: &visit.room,
            intent: Intent::Page,
            headers: visit.request.headers(),
            context: &visit.context,
        };
        let (tokens, rules) = (&worker.state.tokens, worker.rules());
        let mut brought = tokens.pass_from_earlier_use(&presented, &rules.integrations);
        if brought.is_none() {
            brought = match tokens.pass(&presented, &rules.integrations).await {
                Err(RequestError::Credential(error)) if error.is_over() => {
                    return continue_without_token(worker, visit, error, &here).await;
                }
                outcome => outcome?.map(|exchanged| exchanged.pass),
            };
        }
        if let Some(pass) = brought {
            return arrive(worker, visit, pass, &here).await;
        }
    }
    if let Some(invite) = &query.invite {
        return guest_entry::open_link(worker, &visit, invite, &here).await;
    }
    if worker.state.is_recorder(&visit.context) {
        return bare_page(worker, visit).await;
    }
    if let Some(address) = renewal_address(worker, &visit.request, &here) {
        return redirect(StatusCode::SEE_OTHER, &address);
    }
    let (authenticator, headers) = (&worker.state.authenticator, visit.request.headers());
    let opened = &worker.opened_sessions;
    authenticator.revalidate_if_overdue(opened, headers).await;
    let rules = worker.rules();
    let visitor = authenticator.visitor(opened, headers, &visit.room, &rules.integrations);
    enter(worker, visit, visitor).await
}

/// Exchanges a token for a pass and removes it from the address. In a frame of another site's page,
/// where the browser may not return the pass, the page is answered at once.
async fn arrive(
    worker: &Worker,
    mut visit: RoomPageRequest<'_>,
    pass: Pass,
    here: &str,
) -> Result<Response<Body>, RequestError> {
    let place = place_of(visit.request.headers());
    visit.cookies =
        worker
            .state
            .authenticator
            .pass_cookies(&pass, place, visit.request.headers())?;
    match place {
        BrowsingContext::EmbeddedFrame => enter(worker, visit, Principal::Pass(pass).into()).await,
        BrowsingContext::TopLevel => {
            let mut answer = redirect(StatusCode::SEE_OTHER, here)?;
            append_cookies(&mut answer, visit.cookies);
            Ok(answer)
        }
    }
}

/// Answers a request with an expired or used token, such as that of a bookmark or a reopened tab: the
/// other credentials of the request decide, and the visitor gets the room or the next step. A page
/// names the expired token only where the room's rule admits no other credentials.
async fn continue_without_token(
    worker: &Worker,
    visit: RoomPageRequest<'_>,
    error: CredentialError,
    here: &str,
) -> Result<Response<Body>, RequestError> {
    let (rules, headers) = (worker.rules(), visit.request.headers());
    let state = &worker.state;
    let visitor = state.authenticator.visitor(
        &worker.opened_sessions,
        headers,
        &visit.room,
        &rules.integrations,
    );
    let principal = visitor.principal().map(|principal| &**principal);
    let admission =
        state
            .authorizer
            .evaluate(&rules.policy, &visit.room, principal, Intent::Connect);
    let needs_token = principal.is_none()
        && matches!(admission, Admission::Refuse(Refusal::InvitationOnly { .. }));
    if needs_token || !headers::is_navigation(headers) {
        return Err(error.into());
    }
    let error = error.into();
    audit::failed(&error, Label::Room, &visit.context, || {
        state.audit_quota.permit_refused_token(&visit.context)
    });
    match place_of(headers) {
        BrowsingContext::EmbeddedFrame => enter(worker, visit, visitor).await,
        BrowsingContext::TopLevel => redirect(StatusCode::SEE_OTHER, here),
    }
}

/// Asks the policy, and shows the page or the next step.
pub(crate) async fn enter(
    worker: &Worker,
    mut visit: RoomPageRequest<'_>,
    mut visitor: Visitor,
) -> Result<Response<Body>, RequestError> {
    let rules = worker.rules();
    loop {
        let (room, context) = (&visit.room, &visit.context);
        let request = AccessRequest {
            room,
            visitor: &visitor,
            intent: Intent::Connect,
            context,
        };
        let authorizer = &worker.state.authorizer;
        let granted = authorizer.authorize(&rules.policy, request, &worker.metrics);
        let person = headers::is_navigation(visit.request.headers());
        let failure = match (granted, &visitor) {
            (Ok(grant), Visitor::Known(principal)) => {
                return show_room(worker, visit, principal, &grant).await;
            }
            (Ok(_), Visitor::Anonymous) => AccessError::SignInFirst,
            (Err(failure), _) => failure,
        };
        match failure {
            AccessError::SignInFirst => return redirect_to_sign_in(worker, &visit.request),
            AccessError::StepUp { ref demand, .. }
                if person && !was_asked(worker, demand, &visitor) =>
            {
                return redirect_to_sign_in(worker, &visit.request);
            }
            AccessError::GuestFirst { ask: true } if person => {
                return Ok(choose(worker, &visit, None));
            }
            AccessError::GuestFirst { ask: false } if person => {
                let guest = worker.state.passes.guest(&visit.room, None);
                let headers = visit.request.headers();
                visit.cookies =
                    worker
                        .state
                        .authenticator
                        .pass_cookies(&guest, place_of(headers), headers)?;
                visitor = Principal::Pass(guest).into();
            }
            AccessError::Waiting { .. } if person => {
                return Ok(wait(worker, visit, &visitor));
            }
            failure => {
                audit_step_up(&failure, &visit, &visitor);
                return Err(failure.into());
            }
        }
    }
}

/// Whether the provider did not fulfil a demand just now.
fn was_asked(worker: &Worker, demand: &StepUpDemand, visitor: &Visitor) -> bool {
    let now = worker.state.clock.now();
    let principal = visitor.principal();
    principal.is_some_and(|principal| demand.was_asked(principal, now))
}

/// Audits a sign-in that a rule finds too weak, once the provider was asked for a stronger one.
fn audit_step_up(failure: &AccessError, visit: &RoomPageRequest<'_>, visitor: &Visitor) {
    if let (AccessError::StepUp { demand, .. }, Some(principal)) = (failure, visitor.principal()) {
        audit::refused(principal, &visit.room, demand, &visit.context);
    }
}

/// The page that offers to sign in, or to enter as a guest.
pub(crate) fn choose(
    worker: &Worker,
    visit: &RoomPageRequest<'_>,
    form: Option<GuestForm<'_>>,
) -> Response<Body> {
    let invite = form.and_then(|form| form.invite);
    let link = invite.map(|invite| format!("invite={invite}"));
    let sign_in = ReturnTo::of_request(&visit.path, link.as_deref());
    let sign_in = login_path(&sign_in, false);
    let page = ReturnTo::of_request(&visit.path, None);
    let form = form.unwrap_or(GuestForm {
        action: JOIN,
        page: None,
        invite: None,
        name: None,
        problem: None,
        host: false,
        remember: None,
    });
    let headers = visit.request.headers();
    let remembered = guest_entry::remembered_name(headers).filter(|_| form.name.is_none());
    let remember = guest_entry::can_remember(worker, headers);
    let content = Content::Join {
        room: &visit.room,
        sign_in: Some(&sign_in),
        guest: Some(GuestForm {
            page: Some(page.as_str()),
            name: form.name.or(remembered.as_deref()),
            remember: remember.then_some(form.remember.unwrap_or(true)),
            ..form
        }),
    };
    show_in_room(worker, &content, visit.responder, &visit.room)
}

fn wait(worker: &Worker, visit: RoomPageRequest<'_>, visitor: &Visitor) -> Response<Body> {
    let principal = visitor.principal();
    let member = principal.is_some_and(|principal| principal.is_member());
    let return_to = ReturnTo::of_request(&visit.path, None);
    let sign_in = login_path(&return_to, member);
    let events = events_path(&visit.room);
    let name = principal.and_then(|principal| principal.identity().display_name());
    let content = Content::Wait {
        room: &visit.room,
        person: name.map(|name| PagePerson {
            name,
            is_member: member,
        }),
        awaited: None,
        sign_in: Some(&sign_in),
        events: &events,
    };
    let mut answer = show_in_room(worker, &content, visit.responder, &visit.room);
    append_cookies(&mut answer, visit.cookies);
    answer
}

/// Jitsi's page, completed with the principal's token.
async fn show_room(
    worker: &Worker,
    visit: RoomPageRequest<'_>,
    principal: &Principal,
    grant: &Grant<'_>,
) -> Result<Response<Body>, RequestError> {
    if let Some(jaas) = &worker.state.jaas {
        return call_page(worker, jaas, visit, principal, grant);
    }
    let token = if worker.state.guests.is_tokenless(principal, grant.role()) {
        None
    } else {
        Some(page_token(worker, &visit, principal, grant))
    };
    let client = visit.context.client;
    let mut request = build_web_request(
        &worker.state.authority,
        visit.request,
        &visit.path,
        visit.context,
    )?;
    inject::request_full_representation(request.headers_mut());
    let from = Source::Room(worker.upstreams.of_room(&visit.room).await?);
    let answer = fetch_web(worker, request, &from, &client).await?;
    let visitor = match &token {
        Some(token) => inject::PageIdentity::Token(token),
        None => inject::PageIdentity::Name(principal.identity().name.as_deref()),
    };
    let injector = worker.injector();
    let mut answer = complete_page(injector, answer, visitor).await?;
    finish_head(worker, &visit.room, answer.headers_mut());
    append_cookies(&mut answer, visit.cookies);
    worker.renewal.renew(principal, &mut answer);
    Ok(answer)
}

/// The token in the page: a display token, which proves nothing. In a frame, where the browser
/// may withhold the pass's cookie, the holder of a pass gets a client token in its place.
fn page_token(
    worker: &Worker,
    visit: &RoomPageRequest<'_>,
    principal: &Principal,
    grant: &Grant<'_>,
) -> String {
    let (role, features) = (grant.role(), grant.features());
    let shown = worker.rules().claims;
    let framed = place_of(visit.request.headers()) == BrowsingContext::EmbeddedFrame;
    if !framed || matches!(principal, Principal::Member(_)) {
        let identity = principal.identity();
        let token = DisplayToken::new(&visit.room, role, features, identity, shown);
        return token.as_str().to_owned();
    }
    let sessions = &worker.state.authenticator.sessions;
    let ends = sessions.latest_end(principal);
    let left = ends.since(worker.state.clock.now());
    let pass = principal.to_pass(&visit.room, ends);
    let kind = ClientTokenKind::Embed;
    let tokens = &worker.state.client_tokens;
    let token = tokens.issue(&pass, role, features, kind, left, shown);
    token.as_str().to_owned()
}

/// The page is for one person, and for the sites that may embed the room.
fn finish_head(worker: &Worker, room: &RoomKey, headers: &mut HeaderMap) {
    let integrations = &worker.rules().integrations;
    let sites = worker.state.embedding_sites.of(Some(room), integrations);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    allow_framing(headers, &sites);
}

/// Jitsi's page as it is, for recorders, which have credentials of their own at Prosody.
async fn bare_page(
    worker: &Worker,
    visit: RoomPageRequest<'_>,
) -> Result<Response<Body>, RequestError> {
    let client = visit.context.client;
    let request = build_web_request(
        &worker.state.authority,
        visit.request,
        &visit.path,
        visit.context,
    )?;
    let from = Source::Room(worker.upstreams.of_room(&visit.room).await?);
    let answer = fetch_web(worker, request, &from, &client).await?;
    let mut answer = answer.map(Body::Upstream);
    finish_head(worker, &visit.room, answer.headers_mut());
    Ok(answer)
}

/// The address of a room's events.
pub(crate) fn events_path(room: &RoomKey) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("room", &room.to_string());
    format!("/_gateway/events?{}", query.finish())
}

/// The action of the guest form.
pub(crate) const JOIN: &str = "/_gateway/join";
