//! The start page: to a room, or to a new meeting.

use http::{Request, Response, StatusCode};
use url::Url;

use crate::{
    Body, RequestError, Worker,
    endpoints::{form::Form, meetings::meeting_path},
    request_context::require_reading,
    respond::{self, Responder, login_path, name_problem, redirect, redirect_to_sign_in_for},
    server::ClientBody,
};
use model::{
    room::RoomKey,
    route::{Route, SiteLocations},
    session::ReturnTo,
};
use pages::{Content, NameProblem};

/// `/`: begin a meeting or go to one.
pub(crate) fn start_page(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
) -> Result<Response<Body>, RequestError> {
    require_reading(request.method())?;
    Ok(start(worker, request, responder, false, None))
}

fn start(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    joining: bool,
    wrong: Option<(&str, NameProblem)>,
) -> Response<Body> {
    let session = worker.state.authenticator.session(request.headers());
    let sign_in = login_path(&ReturnTo::default(), session.is_some());
    let content = Content::Start {
        person: session
            .as_ref()
            .and_then(|session| session.identity().display_name()),
        sign_in: Some(&sign_in),
        may_create: session.as_ref().is_some_and(|session| {
            let creator = session.identity();
            worker
                .state
                .meetings
                .may_create(&worker.rules().policy, creator)
        }),
        name: wrong.map(|(name, _)| name),
        joining,
        problem: wrong.map(|(_, problem)| problem),
    };
    respond::page(&worker.state.pages, &content, responder)
}

/// Leads to a room whose name or whole address was typed or pasted.
pub(crate) fn go(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
) -> Result<Response<Body>, RequestError> {
    let query = request.uri().query().unwrap_or_default();
    let typed = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "room")
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default();
    let locations = &worker.state.locations;
    // An address of ours keeps its link; of another site nothing is taken.
    if let Some(target) = target_of(&typed, &worker.state.authenticator.origin, locations) {
        return redirect(StatusCode::SEE_OTHER, target.as_str());
    }
    let room = if typed.contains("://") {
        Err(NameProblem::Characters)
    } else {
        RoomKey::from_text(&typed).map_err(name_problem)
    };
    let page = room.and_then(|room| {
        Route::has_page(&room, locations)
            .then(|| room.page_path_as(&typed))
            .ok_or(NameProblem::Reserved)
    });
    match page {
        Ok(page) => redirect(StatusCode::SEE_OTHER, &page),
        Err(problem) => Ok(start(
            worker,
            request,
            responder,
            true,
            Some((&typed, problem)),
        )),
    }
}

/// The room's page that an address of this site leads to, as people write addresses: the scheme
/// is often left out.
fn target_of(address: &str, own_origin: &str, locations: &SiteLocations) -> Option<ReturnTo> {
    let rest = address
        .split_once("://")
        .filter(|(scheme, _)| WEB.iter().any(|web| web.eq_ignore_ascii_case(scheme)))
        .map_or(address, |(_, rest)| rest);
    let url = Url::parse(&format!("https://{rest}")).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let own = plain && url.origin().ascii_serialization() == own_origin;
    if !own {
        return None;
    }
    let Route::Room(page) = Route::classify(url.path(), locations).ok()?.route else {
        return None;
    };
    let path = page.respelled.unwrap_or_else(|| url.path().to_owned());
    let query = url.query().map(|query| format!("?{query}"));
    Some(ReturnTo::parse(&(path + &query.unwrap_or_default())))
}

/// Makes a meeting: a room that carries its creator's tag, on whatever replica, for ever.
pub(crate) async fn make_meeting(
    worker: &Worker,
    request: Request<ClientBody>,
    responder: &Responder,
) -> Result<Response<Body>, RequestError> {
    let (request, form) = Form::read(request, &worker.state.authenticator.origin).await?;
    let Some(session) = worker.state.authenticator.session(request.headers()) else {
        return redirect_to_sign_in_for(worker, &request, &ReturnTo::default());
    };
    let wish = form
        .get("name")
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let meetings = &worker.state.meetings;
    let named = meetings.new_room(wish, session.identity());
    let policy = &worker.rules().policy;
    let wrong = match named {
        Ok(room) if meetings.would_host(policy, &room, session.identity()) => {
            return redirect(StatusCode::SEE_OTHER, &meeting_path(&room));
        }
        Ok(_) => NameProblem::NotAllowed,
        Err(error) => name_problem(error),
    };
    Ok(start(
        worker,
        &request,
        responder,
        false,
        Some((wish.unwrap_or_default(), wrong)),
    ))
}

/// Schemes of web addresses; ours is the second, and typed as either.
const WEB: [&str; 2] = ["http", "https"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rooms_of_this_site_are_taken_from_addresses() {
        for (typed, target) in [
            ("https://meet.example.org/x", Some("/x")),
            ("HTTP://meet.example.org/x?invite=t", Some("/x?invite=t")),
            ("meet.example.org/tenant/x", Some("/tenant/x")),
            ("https://meet.example.org/x/?lang=de", Some("/x?lang=de")),
            ("https://meet.example.org//x", Some("/x")),
            ("meet.example.org/o'hara", Some("/ohara")),
            (
                "https://meet.example.org//evil.example/x",
                Some("/evil.example/x"),
            ),
            ("https://meet.example.org//http-bind", None),
            ("https://meet.example.org/", None),
            ("https://meet.example.org/_gateway/logout", None),
            ("https://meet.example.org/etherpad", None),
            ("https://other.example.org/x", None),
            ("https://meet.example.org:8443/x", None),
            ("https://ann@meet.example.org/x", None),
            ("ftp://meet.example.org/x", None),
            ("x", None),
        ] {
            let found = target_of(typed, "https://meet.example.org", &SiteLocations::default());
            assert_eq!(found.as_ref().map(ReturnTo::as_str), target, "{typed}");
        }
    }
}
