//! A room's page: for whom the rules let in; the upstreams to get there for everybody else.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    Body, RequestContext, RequestError, Worker,
    credentials::Intent,
    respond::{Responder, login_path},
    web::assets::{Source, only_reading, redirect},
    web::embedding::place_of,
};
use model::{
    headers,
    policy::{Grant, Role},
    query::PageQuery,
    room::{PageRoom, RoomKey},
    session::{CookieJar, Place, ReturnTo, Session},
    token::{ClientTokenKind, DisplayToken},
};
use pages::{Content, GuestForm, inject};

/// A request for a room's page, on its way through the rules.
pub(crate) struct RoomPageRequest<'a> {
    pub(crate) request: Request<Incoming>,
    pub(crate) responder: &'a Responder,
    pub(crate) context: RequestContext,
    pub(crate) room: RoomKey,
    /// Cookies that the answer gives.
    pub(crate) cookies: Vec<HeaderValue>,
}

// === impl Worker ===

impl Worker {
    /// Answers a request for a room's page.
    pub(crate) async fn room_page(
        &self,
        request: Request<Incoming>,
        responder: &Responder,
        context: RequestContext,
        room: PageRoom,
    ) -> Result<Response<Body>, RequestError> {
        only_reading(request.method())?;
        let query = PageQuery::parse(request.uri().query().unwrap_or_default());
        let clean = |path: &str| match query.rest.as_str() {
            "" => path.to_owned(),
            rest => format!("{path}?{rest}"),
        };
        let path = room.respelled.as_deref().unwrap_or(request.uri().path());
        let here = clean(path);
        let visit = RoomPageRequest {
            request,
            responder,
            context,
            room: room.key,
            cookies: Vec::new(),
        };
        if let Some(token) = &query.jwt {
            let (headers, context, room) = (visit.request.headers(), &visit.context, &visit.room);
            let mut brought = self.pass_for(token, room, headers);
            if brought.is_none() {
                let presenting = self.presented(token, room, Intent::Connect, headers, context);
                brought = match presenting.await {
                    // The session that it stood for is over.
                    Err(RequestError::SignInFirst) if self.state.relying_party.is_some() => {
                        return self.to_sign_in(&visit.request);
                    }
                    Err(RequestError::SignInFirst) => {
                        return redirect(StatusCode::SEE_OTHER, &here);
                    }
                    outcome => outcome?,
                };
            }
            if let Some(pass) = brought {
                return self.arrive(visit, pass, &here).await;
            }
        }
        if let Some(invite) = &query.invite {
            return self.open_link(&visit, invite, &here);
        }
        if room.respelled.is_some() {
            return redirect(StatusCode::PERMANENT_REDIRECT, &here);
        }
        if self.is_recorder(&visit.context) {
            return self.bare_page(visit).await;
        }
        let visitor = self.visitor(visit.request.headers(), &visit.room);
        self.enter(visit, visitor).await
    }

    /// Somebody came with a token: they get a pass, and the address loses the token. In a frame of
    /// another site's page, where the pass may not come back, the page is answered at once.
    async fn arrive(
        &self,
        mut visit: RoomPageRequest<'_>,
        pass: Session,
        here: &str,
    ) -> Result<Response<Body>, RequestError> {
        let place = place_of(visit.request.headers());
        visit.cookies = self.give(&pass, place, visit.request.headers())?;
        match place {
            Place::Frame => self.enter(visit, Some(Rc::new(pass))).await,
            Place::Tab => {
                let mut answer = redirect(StatusCode::SEE_OTHER, here)?;
                give_cookies(&mut answer, visit.cookies);
                Ok(answer)
            }
        }
    }

    /// Asks the rules, and shows what they lead to.
    pub(crate) async fn enter(
        &self,
        mut visit: RoomPageRequest<'_>,
        mut visitor: Option<Rc<Session>>,
    ) -> Result<Response<Body>, RequestError> {
        let rules = self.rules();
        loop {
            let admitted = self.admit(
                &rules.policy,
                &visit.room,
                visitor.as_deref(),
                &visit.context,
            );
            let person = headers::is_navigation(visit.request.headers());
            let failure = match (admitted, &visitor) {
                (Ok(grant), Some(session)) => {
                    return self.show_room(visit, session, &grant).await;
                }
                // The policy admits nobody in particular.
                (Ok(_), None) => RequestError::SignInFirst,
                (Err(failure), _) => failure,
            };
            match failure {
                RequestError::SignInFirst => return self.to_sign_in(&visit.request),
                RequestError::GuestFirst { ask: true } if person => {
                    return Ok(self.choose(&visit, None));
                }
                RequestError::GuestFirst { ask: false } if person => {
                    let guest = self.new_guest(&visit.room, None);
                    let headers = visit.request.headers();
                    visit.cookies = self.give(&guest, place_of(headers), headers)?;
                    visitor = Some(Rc::new(guest));
                }
                RequestError::Waiting { .. } if person => {
                    return Ok(self.wait(visit, visitor.as_deref()));
                }
                failure => return Err(failure),
            }
        }
    }

    /// Sign in, or enter as a guest.
    pub(crate) fn choose(
        &self,
        visit: &RoomPageRequest<'_>,
        form: Option<GuestForm<'_>>,
    ) -> Response<Body> {
        let invite = form.and_then(|form| form.invite);
        let sign_in = login_path(&ReturnTo::of_link(&visit.room, invite), false);
        let content = Content::Join {
            room: &visit.room,
            sign_in: Some(&sign_in),
            guest: Some(form.unwrap_or(GuestForm {
                action: JOIN,
                invite: None,
                name: None,
                problem: None,
                host: false,
            })),
        };
        self.show_in_room(&content, visit.responder, &visit.room)
    }

    fn wait(&self, visit: RoomPageRequest<'_>, session: Option<&Session>) -> Response<Body> {
        let member = session.is_some_and(|session| session.standing().is_member());
        let return_to = ReturnTo::parse(&visit.room.page_path());
        let sign_in = login_path(&return_to, member);
        let events = events_path(&visit.room);
        let content = Content::Wait {
            room: &visit.room,
            person: session.and_then(|session| session.identity().display_name()),
            awaited: None,
            sign_in: Some(&sign_in),
            events: &events,
        };
        let mut answer = self.show_in_room(&content, visit.responder, &visit.room);
        give_cookies(&mut answer, visit.cookies);
        answer
    }

    /// Jitsi's page, with a token that it can show: in a frame, one that stands for the pass as
    /// well, as browsers may keep the cookie from us there.
    async fn show_room(
        &self,
        visit: RoomPageRequest<'_>,
        session: &Session,
        grant: &Grant<'_>,
    ) -> Result<Response<Body>, RequestError> {
        if let Some(jaas) = &self.state.jaas {
            return self.call_page(jaas, visit, session, grant);
        }
        let state = &self.state;
        let framed = place_of(visit.request.headers()) == Place::Frame;
        let tokenless = self.is_tokenless(session, grant.role());
        let token = match session.room() {
            _ if tokenless => None,
            Some(room) if framed => {
                let left = state
                    .sessions
                    .ends_at_latest(session)
                    .since(state.clock.now());
                let kind = ClientTokenKind::Embed;
                let token = state.client_tokens.issue(
                    session,
                    room,
                    grant.role(),
                    grant.features(),
                    kind,
                    left,
                );
                Some(token.as_str().to_owned())
            }
            _ => {
                let features = grant.features();
                let token =
                    DisplayToken::new(&visit.room, grant.role(), features, session.identity());
                Some(token.as_str().to_owned())
            }
        };
        let mut request = self.for_web(visit.request, visit.context)?;
        inject::ask_for_whole(request.headers_mut());
        let from = Source::Room(self.upstreams_of_room(&visit.room).await?);
        let answer = self.ask_web(request, &from).await?;
        let visitor = match &token {
            Some(token) => inject::Person::Token(token),
            None => inject::Person::Name(session.identity().name.as_deref()),
        };
        let mut answer = state
            .completion
            .page(answer, visitor)
            .map(|body| Body::Completed(Box::new(body)));
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.allow_framing(headers, &visit.room);
        give_cookies(&mut answer, visit.cookies);
        self.renew(session, &mut answer);
        Ok(answer)
    }

    /// The page as a recorder wants it: it has credentials of its own at Prosody.
    async fn bare_page(&self, visit: RoomPageRequest<'_>) -> Result<Response<Body>, RequestError> {
        let request = self.for_web(visit.request, visit.context)?;
        let from = Source::Room(self.upstreams_of_room(&visit.room).await?);
        Ok(self.ask_web(request, &from).await?.map(Body::Upstream))
    }

    /// Whether Prosody is to see somebody without a token, on its guests' domain.
    pub(crate) fn is_tokenless(&self, session: &Session, role: Role) -> bool {
        use model::identity::Standing;
        self.state.guests.xmpp_domain.is_some()
            && role == Role::Participant
            && match session.standing() {
                Standing::Guest => true,
                Standing::Invited(invited) => !invited.member,
                Standing::Member | Standing::Embedded(_) => false,
            }
    }

    /// Whether a request comes from where recorders are.
    pub(crate) fn is_recorder(&self, context: &RequestContext) -> bool {
        self.state.recorders.contains(context.client.ip())
    }

    /// The `Set-Cookie` headers that give a pass.
    pub(crate) fn give(
        &self,
        pass: &Session,
        place: Place,
        headers: &HeaderMap,
    ) -> Result<Vec<HeaderValue>, RequestError> {
        let passes = &self.state.passes;
        passes
            .give(pass, place, CookieJar::new(headers))
            .map_err(|_| RequestError::Internal("a pass is too large for a cookie"))
    }
}

pub(crate) fn give_cookies(answer: &mut Response<Body>, cookies: Vec<HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The address of a room's events.
pub(crate) fn events_path(room: &RoomKey) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("room", &room.to_string());
    format!("/_gateway/events?{}", query.finish())
}

/// Where names of guests are sent to.
pub(crate) const JOIN: &str = "/_gateway/join";
