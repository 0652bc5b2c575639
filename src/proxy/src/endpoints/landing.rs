//! The start page: to a room, or to a new meeting.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use url::Url;

use crate::{
    Body, RequestError, Worker,
    endpoints::form::Form,
    endpoints::meetings::meeting_path,
    respond::{Responder, login_path},
    web::assets::{only_reading, redirect},
};
use model::{
    identity::Identity,
    owner::RoomOwner,
    policy::{Admission, Role, Visitor},
    room::{RoomError, RoomKey},
    route::Route,
    session::{ReturnTo, Session},
};
use pages::{Content, NameProblem};

// === impl Worker ===

impl Worker {
    /// `/`: begin a meeting or go to one.
    pub(crate) fn start_page(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
    ) -> Result<Response<Body>, RequestError> {
        only_reading(request.method())?;
        Ok(self.start(request, responder, false, None))
    }

    fn start(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        joining: bool,
        wrong: Option<(&str, NameProblem)>,
    ) -> Response<Body> {
        let session = self.state.authenticator.session(request.headers());
        let sign_in = login_path(&ReturnTo::default(), session.is_some());
        let content = Content::Start {
            person: session
                .as_ref()
                .and_then(|session| session.identity().display_name()),
            sign_in: Some(&sign_in),
            may_create: session
                .as_ref()
                .is_some_and(|session| self.may_create(session)),
            name: wrong.map(|(name, _)| name),
            joining,
            problem: wrong.map(|(_, problem)| problem),
        };
        self.show(&content, responder)
    }

    /// Leads to a room whose name or whole address was typed or pasted.
    pub(crate) fn go(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
    ) -> Result<Response<Body>, RequestError> {
        let query = request.uri().query().unwrap_or_default();
        let typed = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "room")
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default();
        // An address of ours keeps its link; of another site nothing is taken.
        if let Some(target) = self.target_of(&typed) {
            return redirect(StatusCode::SEE_OTHER, target.as_str());
        }
        let room = if typed.contains("://") {
            Err(NameProblem::Characters)
        } else {
            RoomKey::from_text(&typed).map_err(problem)
        };
        let page = room.and_then(|room| {
            let page = room.page_path();
            is_room(&page).then_some(page).ok_or(NameProblem::Reserved)
        });
        match page {
            Ok(page) => redirect(StatusCode::SEE_OTHER, &page),
            Err(problem) => Ok(self.start(request, responder, true, Some((&typed, problem)))),
        }
    }

    /// The room's page that an address of this site leads to, as people write addresses: the scheme
    /// is often left out.
    fn target_of(&self, address: &str) -> Option<ReturnTo> {
        let rest = address
            .split_once("://")
            .filter(|(scheme, _)| WEB.iter().any(|web| web.eq_ignore_ascii_case(scheme)))
            .map_or(address, |(_, rest)| rest);
        let url = Url::parse(&format!("https://{rest}")).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        let own = plain && url.origin().ascii_serialization() == self.state.authenticator.origin;
        let target = ReturnTo::parse(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        let path = target.as_str().split('?').next()?;
        (own && is_room(path)).then_some(target)
    }

    /// Makes a meeting: a room that carries its creator's tag, on whatever replica, for ever.
    pub(crate) async fn make_meeting(
        &self,
        request: Request<Incoming>,
        responder: &Responder,
    ) -> Result<Response<Body>, RequestError> {
        let (request, form) = Form::read(request, &self.state.authenticator.origin).await?;
        let Some(session) = self.state.authenticator.session(request.headers()) else {
            return self.to_sign_in_for(&request, &ReturnTo::default());
        };
        let wish = form
            .get("name")
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let owner = RoomOwner::Subject(&session.identity().subject);
        let named = self
            .state
            .authorizer
            .owners
            .name(None, wish, &owner, &self.state.random);
        let wrong = match named {
            Ok(room) if self.would_host(&room, session.identity()) => {
                return redirect(StatusCode::SEE_OTHER, &meeting_path(&room));
            }
            // A rule has other plans with rooms of that name.
            Ok(_) => NameProblem::Taken,
            Err(error) => problem(error),
        };
        Ok(self.start(
            &request,
            responder,
            false,
            Some((wish.unwrap_or_default(), wrong)),
        ))
    }

    fn may_create(&self, session: &Session) -> bool {
        let owner = RoomOwner::Subject(&session.identity().subject);
        let random = &self.state.random;
        let room = self
            .state
            .authorizer
            .owners
            .name(None, None, &owner, random);
        room.is_ok_and(|room| self.would_host(&room, session.identity()))
    }

    fn would_host(&self, room: &RoomKey, who: &Identity) -> bool {
        let visitor = Visitor {
            owner: true,
            ..Visitor::member(who)
        };
        let rules = self.rules();
        let admission = rules.policy.decide(room, Some(&visitor), &self.situation());
        matches!(admission, Admission::Admit(grant) if grant.role() == Role::Moderator)
    }
}

/// Whether a path is a room's page, and nothing else that has the shape of one.
fn is_room(path: &str) -> bool {
    Route::classify(path).is_ok_and(|routed| matches!(routed.route, Route::Room(_)))
}

fn problem(error: RoomError) -> NameProblem {
    match error {
        RoomError::Empty => NameProblem::Empty,
        RoomError::TooLong => NameProblem::TooLong,
        RoomError::Reserved => NameProblem::Reserved,
        RoomError::Encoding
        | RoomError::Character(_)
        | RoomError::NotCanonical
        | RoomError::Tenant => NameProblem::Characters,
    }
}

/// Schemes of web addresses; ours is the second, and typed as either.
const WEB: [&str; 2] = ["http", "https"];
