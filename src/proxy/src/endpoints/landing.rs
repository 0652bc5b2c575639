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
    let destination = match address_of(&typed, &worker.state.authenticator.origin, locations) {
        Some(TypedAddress::Room(page)) => Ok(page.as_str().to_owned()),
        Some(TypedAddress::Own) => Err((typed, NameProblem::NoMeeting)),
        Some(TypedAddress::Foreign) => Err((typed, NameProblem::OtherSite)),
        None => page_of_name(&typed, locations),
    };
    match destination {
        Ok(page) => redirect(StatusCode::SEE_OTHER, &page),
        Err((shown, problem)) => {
            let wrong = Some((shown.as_str(), problem));
            Ok(start(worker, request, responder, true, wrong))
        }
    }
}

/// The page of a typed name, or the text to show in its place with the reason. A name with parts that rooms
/// cannot have is shown without them, before it leads to a room of another name. A path is read like an
/// address.
fn page_of_name(typed: &str, locations: &SiteLocations) -> Result<String, (String, NameProblem)> {
    let refuse = |problem| (typed.to_owned(), problem);
    let room = RoomKey::from_text(typed).map_err(|error| refuse(name_problem(error)))?;
    if !Route::has_page(&room, locations) {
        return Err(refuse(NameProblem::Reserved));
    }
    match room.shortened(typed) {
        Some(name) if !typed.starts_with('/') => Err((name, NameProblem::Adapted)),
        _ => Ok(room.page_path_as(typed)),
    }
}

/// What a typed or pasted address is of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TypedAddress {
    /// The page of a room of this site.
    Room(ReturnTo),
    /// Another page of this site.
    Own,
    /// Another site, or none.
    Foreign,
}

/// The address in a text, as people write addresses: the scheme of this site is often left out. `None` for
/// a name.
fn address_of(text: &str, own_origin: &str, locations: &SiteLocations) -> Option<TypedAddress> {
    let scheme = text.split_once("://");
    let (is_web, rest) = match scheme {
        Some((scheme, rest)) => (WEB.iter().any(|web| web.eq_ignore_ascii_case(scheme)), rest),
        None => (true, text),
    };
    let url = Url::parse(&format!("https://{rest}")).ok();
    let is_own = |url: &Url| {
        let has_no_user = url.username().is_empty() && url.password().is_none();
        has_no_user && url.origin().ascii_serialization() == own_origin
    };
    let Some(url) = url.filter(|url| is_web && is_own(url)) else {
        return scheme.map(|_| TypedAddress::Foreign);
    };
    let Ok(Route::Room(page)) = Route::classify(url.path(), locations).map(|routed| routed.route)
    else {
        return Some(TypedAddress::Own);
    };
    let path = page.respelled.unwrap_or_else(|| url.path().to_owned());
    let query = url.query().map(|query| format!("?{query}"));
    let page = ReturnTo::parse(&(path + &query.unwrap_or_default()));
    Some(TypedAddress::Room(page))
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
    fn addresses_are_told_from_names_and_lead_to_rooms_of_this_site_only() {
        let room = |path: &str| Some(TypedAddress::Room(ReturnTo::parse(path)));
        let (own, foreign) = (Some(TypedAddress::Own), Some(TypedAddress::Foreign));
        for (typed, expected) in [
            ("https://meet.example.org/x", room("/x")),
            ("HTTP://meet.example.org/x?invite=t", room("/x?invite=t")),
            ("meet.example.org/tenant/x", room("/tenant/x")),
            ("https://meet.example.org/x/?lang=de", room("/x?lang=de")),
            ("https://meet.example.org//x", room("/x")),
            ("meet.example.org/o'hara", room("/ohara")),
            (
                "https://meet.example.org//evil.example/x",
                room("/evil.example/x"),
            ),
            ("https://meet.example.org//http-bind", own.clone()),
            ("https://meet.example.org/", own.clone()),
            ("meet.example.org", own.clone()),
            ("https://meet.example.org/_gateway/logout", own.clone()),
            ("https://meet.example.org/etherpad", own),
            ("https://other.example.org/x", foreign.clone()),
            ("https://meet.example.org:8443/x", foreign.clone()),
            (
                "https://meet.example.org@other.example.org/x",
                foreign.clone(),
            ),
            ("https://ann@meet.example.org/x", foreign.clone()),
            ("ftp://meet.example.org/x", foreign.clone()),
            ("://", foreign),
            ("x", None),
            ("other.example.org/x", None),
            ("x@y", None),
        ] {
            let found = address_of(typed, "https://meet.example.org", &SiteLocations::default());
            assert_eq!(found, expected, "{typed}");
        }
    }

    #[test]
    fn a_name_is_shown_before_it_loses_characters() {
        let page = |typed: &str| page_of_name(typed, &SiteLocations::default());
        for (typed, path) in [
            ("Team Call", "/Team%20Call"),
            ("acme/Board", "/acme/Board"),
            ("/acme/it's (us)", "/acme/its%20us"),
        ] {
            assert_eq!(page(typed), Ok(path.to_owned()), "{typed}");
        }
        for (typed, shown) in [
            ("x@y", "xy"),
            ("a/b/c", "b/c"),
            ("acme/Café: plan", "acme/Café plan"),
            ("Tom's 100%25 day", "Toms 100% day"),
        ] {
            let refused = Err((shown.to_owned(), NameProblem::Adapted));
            assert_eq!(page(typed), refused, "{typed}");
            assert!(page(shown).is_ok(), "{shown}");
        }
        let reserved = Err(("_gateway".to_owned(), NameProblem::Reserved));
        assert_eq!(page("_gateway"), reserved);
    }
}
