//! Continuation after a sign-in: on the page, in a native app, or in the page that opened a popup.

use std::time::Duration;

use http::{Response, StatusCode};

use crate::{
    Body, RequestContext, RequestError, SharedState, Worker,
    authorize::{AccessError, AccessRequest},
    credentials::Intent,
    endpoints::LoginError,
    respond::{self, Responder, redirect},
};
use model::{
    policy::{Admission, Features, Role},
    room::RoomKey,
    session::{Afterwards, App, Principal, ReturnTo, Session, SignIn},
    token::{ClientToken, ClientTokenKind, DisplayToken},
};
use pages::{Content, PopupOutcome};

/// Continues where the sign-in was begun.
pub(crate) fn go_on(
    worker: &Worker,
    session: &Session,
    target: &ReturnTo,
    then: &Afterwards,
    responder: &Responder,
    context: RequestContext,
) -> Result<Response<Body>, RequestError> {
    match (then, target.room()) {
        (Afterwards::App { app, options }, Some(room)) => {
            let way = (*app, target, options.as_str());
            back_to_app(worker, session, &room, way, responder, &context)
        }
        (Afterwards::Popup, Some(room)) => {
            let (role, features) = shown_as(worker, &room, session);
            let token = DisplayToken::new(
                &room,
                role,
                &features,
                session.identity(),
                worker.rules().claims,
            );
            let outcome = PopupOutcome::Success {
                access_token: token.as_str(),
            };
            Ok(respond::page(
                &worker.state.pages,
                &Content::Popup { outcome },
                responder,
            ))
        }
        _ => redirect(StatusCode::SEE_OTHER, target.as_str()),
    }
}

/// Answers a failed sign-in; a popup reports it to the page that opened it.
pub(crate) fn give_up(
    worker: &Worker,
    failure: LoginError,
    sign_in: &SignIn,
    responder: &Responder,
) -> Result<Response<Body>, RequestError> {
    match (&sign_in.then, failure) {
        (Afterwards::Popup, LoginError::Failed { code, .. }) => {
            let outcome = PopupOutcome::Failure { error: code };
            Ok(respond::page(
                &worker.state.pages,
                &Content::Popup { outcome },
                responder,
            ))
        }
        (_, failure) => Err(failure.into()),
    }
}

/// Native apps keep no cookies: a handoff token in the link opens the room.
fn back_to_app(
    worker: &Worker,
    session: &Session,
    room: &RoomKey,
    (app, target, options): (App, &ReturnTo, &str),
    responder: &Responder,
    context: &RequestContext,
) -> Result<Response<Body>, RequestError> {
    let rules = worker.rules();
    let visitor = Principal::Member(session.clone()).into();
    let request = AccessRequest {
        room,
        visitor: &visitor,
        intent: Intent::Connect,
        context,
    };
    let authorizer = &worker.state.authorizer;
    let granted = authorizer.authorize(&rules.policy, request, &worker.metrics);
    let (role, features) = match granted {
        Ok(grant) => (grant.role(), grant.features().clone()),
        // The app asks until the room is open.
        Err(AccessError::Waiting { .. }) => (Role::Participant, Features::default()),
        Err(failure) => return Err(failure.into()),
    };
    // The app has this one room: a session for all rooms must not come back as a cookie.
    let ends = worker.state.authenticator.sessions.latest_end_of(session);
    let pass = session.pass_to(room, ends);
    let now = worker.state.clock.now();
    let kind = ClientTokenKind::Handoff {
        first_use_before: now.after(HANDOFF),
    };
    let tokens = &worker.state.client_tokens;
    let token = tokens.issue(
        &pass,
        role,
        &features,
        kind,
        ends.since(now),
        worker.rules().claims,
    );
    let link = deep_link(&worker.state, target, app, options, &token);
    crate::audit::handed_over(&Principal::Pass(pass), room, context);
    let content = Content::OpenApp {
        room,
        link: &link,
        browser: target.as_str(),
    };
    Ok(respond::page(&worker.state.pages, &content, responder))
}

/// The address that opens the app (jitsi-meet `react/features/mobile`, jitsi-meet-electron).
fn deep_link(
    state: &SharedState,
    target: &ReturnTo,
    app: App,
    options: &str,
    token: &ClientToken,
) -> String {
    let (host, apps) = (state.authority.as_str(), &state.apps);
    // As the app has it, which shows it.
    let path = target.as_str().split('?').next().unwrap_or_default();
    let token = token.as_str();
    let options = match options {
        "" => String::new(),
        options => format!("#{options}"),
    };
    let address = format!("//{host}{path}?jwt={token}{options}");
    match app {
        App::Ios => format!("{}:{address}", apps.ios_scheme),
        App::Electron => format!("{}:{address}", apps.desktop_scheme),
        // The last fragment says which app it is for (Android `Intent.parseUri`).
        App::Android => format!(
            "intent:{address}#Intent;scheme={};package={};end",
            apps.android_scheme, apps.android_package
        ),
    }
}

/// Role and features for the display token, until the room page is authorized.
fn shown_as(worker: &Worker, room: &RoomKey, session: &Session) -> (Role, Features) {
    let rules = worker.rules();
    let member = Principal::Member(session.clone());
    let authorizer = &worker.state.authorizer;
    match authorizer.evaluate(&rules.policy, room, Some(&member), Intent::Connect) {
        Admission::Admit(grant) => (grant.role(), grant.features().clone()),
        _ => (Role::Participant, Features::default()),
    }
}

/// From the browser to an app on the same machine, with a person and a question in between.
const HANDOFF: Duration = Duration::from_mins(5);
