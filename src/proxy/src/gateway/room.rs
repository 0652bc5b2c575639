//! A room's page: for whom the rules let in; the ways to get there for everybody else.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{
    Body, Facts, Failure, Worker,
    failure::{Asking, login_path},
    framing::place_of,
    presented::Occasion,
    web::{Source, only_reading, redirect},
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
pub(super) struct Visit<'a> {
    pub(super) request: Request<Incoming>,
    pub(super) asking: &'a Asking,
    pub(super) facts: Facts,
    pub(super) room: RoomKey,
    /// Cookies that the answer gives.
    pub(super) cookies: Vec<HeaderValue>,
}

// === impl Worker ===

impl Worker {
    /// Answers a request for a room's page.
    pub(super) async fn room_page(
        &self,
        request: Request<Incoming>,
        asking: &Asking,
        facts: Facts,
        room: PageRoom,
    ) -> Result<Response<Body>, Failure> {
        only_reading(request.method())?;
        let query = PageQuery::parse(request.uri().query().unwrap_or_default());
        let clean = |path: &str| match query.rest.as_str() {
            "" => path.to_owned(),
            rest => format!("{path}?{rest}"),
        };
        let path = room.respelled.as_deref().unwrap_or(request.uri().path());
        let here = clean(path);
        let visit = Visit {
            request,
            asking,
            facts,
            room: room.key,
            cookies: Vec::new(),
        };
        if let Some(token) = &query.jwt {
            let (headers, facts, room) = (visit.request.headers(), &visit.facts, &visit.room);
            let mut brought = self.pass_for(token, room, headers);
            if brought.is_none() {
                let presenting = self.presented(token, room, Occasion::Entering, headers, facts);
                brought = match presenting.await {
                    // The session that it stood for is over.
                    Err(Failure::SignInFirst) if self.gateway.relying_party.is_some() => {
                        return self.to_sign_in(&visit.request);
                    }
                    Err(Failure::SignInFirst) => return redirect(StatusCode::SEE_OTHER, &here),
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
        if self.is_recorder(&visit.facts) {
            return self.bare_page(visit).await;
        }
        let visitor = self.visitor(visit.request.headers(), &visit.room);
        self.enter(visit, visitor).await
    }

    /// Somebody came with a token: they get a pass, and the address loses the token. In a frame of
    /// another site's page, where the pass may not come back, the page is answered at once.
    async fn arrive(
        &self,
        mut visit: Visit<'_>,
        pass: Session,
        here: &str,
    ) -> Result<Response<Body>, Failure> {
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
    pub(super) async fn enter(
        &self,
        mut visit: Visit<'_>,
        mut visitor: Option<Rc<Session>>,
    ) -> Result<Response<Body>, Failure> {
        let rules = self.rules();
        loop {
            let admitted = self.admit(&rules.policy, &visit.room, visitor.as_deref(), &visit.facts);
            let person = headers::is_navigation(visit.request.headers());
            let failure = match (admitted, &visitor) {
                (Ok(grant), Some(session)) => {
                    return self.show_room(visit, session, &grant).await;
                }
                // The policy admits nobody in particular.
                (Ok(_), None) => Failure::SignInFirst,
                (Err(failure), _) => failure,
            };
            match failure {
                Failure::SignInFirst => return self.to_sign_in(&visit.request),
                Failure::GuestFirst { ask: true } if person => return Ok(self.choose(&visit, None)),
                Failure::GuestFirst { ask: false } if person => {
                    let guest = self.new_guest(&visit.room, None);
                    let headers = visit.request.headers();
                    visit.cookies = self.give(&guest, place_of(headers), headers)?;
                    visitor = Some(Rc::new(guest));
                }
                Failure::Waiting { .. } if person => {
                    return Ok(self.wait(visit, visitor.as_deref()));
                }
                failure => return Err(failure),
            }
        }
    }

    /// Sign in, or enter as a guest.
    pub(super) fn choose(&self, visit: &Visit<'_>, form: Option<GuestForm<'_>>) -> Response<Body> {
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
        self.show_in_room(&content, visit.asking, &visit.room)
    }

    fn wait(&self, visit: Visit<'_>, session: Option<&Session>) -> Response<Body> {
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
        let mut answer = self.show_in_room(&content, visit.asking, &visit.room);
        give_cookies(&mut answer, visit.cookies);
        answer
    }

    /// Jitsi's page, with a token that it can show: in a frame, one that stands for the pass as
    /// well, as browsers may keep the cookie from us there.
    async fn show_room(
        &self,
        visit: Visit<'_>,
        session: &Session,
        grant: &Grant<'_>,
    ) -> Result<Response<Body>, Failure> {
        if let Some(jaas) = &self.gateway.jaas {
            return self.call_page(jaas, visit, session, grant);
        }
        let gateway = &self.gateway;
        let framed = place_of(visit.request.headers()) == Place::Frame;
        let tokenless = self.is_tokenless(session, grant.role());
        let token = match session.room() {
            _ if tokenless => None,
            Some(room) if framed => {
                let left = gateway
                    .sessions
                    .ends_at_latest(session)
                    .since(gateway.clock.now());
                let kind = ClientTokenKind::Embed;
                let token = gateway.client_tokens.issue(
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
        let mut request = self.for_web(visit.request, visit.facts)?;
        inject::request_full_representation(request.headers_mut());
        let from = Source::Room(self.way_to(&visit.room).await?);
        let answer = self.ask_web(request, &from).await?;
        let visitor = match &token {
            Some(token) => inject::PageIdentity::Token(token),
            None => inject::PageIdentity::Name(session.identity().name.as_deref()),
        };
        let mut answer = gateway
            .injector
            .inject_page(answer, visitor)
            .map(|body| Body::Completed(Box::new(body)));
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.allow_framing(headers, &visit.room);
        give_cookies(&mut answer, visit.cookies);
        self.renew(session, &mut answer);
        Ok(answer)
    }

    /// The page as a recorder wants it: it has credentials of its own at Prosody.
    async fn bare_page(&self, visit: Visit<'_>) -> Result<Response<Body>, Failure> {
        let request = self.for_web(visit.request, visit.facts)?;
        let from = Source::Room(self.way_to(&visit.room).await?);
        Ok(self.ask_web(request, &from).await?.map(Body::Upstream))
    }

    /// Whether Prosody is to see somebody without a token, on its guests' domain.
    pub(super) fn is_tokenless(&self, session: &Session, role: Role) -> bool {
        use model::identity::Standing;
        self.gateway.guests.xmpp_domain.is_some()
            && role == Role::Participant
            && match session.standing() {
                Standing::Guest => true,
                Standing::Invited(invited) => !invited.member,
                Standing::Member | Standing::Embedded(_) => false,
            }
    }

    /// Whether a request comes from where recorders are.
    pub(super) fn is_recorder(&self, facts: &Facts) -> bool {
        self.gateway.recorders.contains(facts.client.ip())
    }

    /// The `Set-Cookie` headers that give a pass.
    pub(super) fn give(
        &self,
        pass: &Session,
        place: Place,
        headers: &HeaderMap,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let passes = &self.gateway.passes;
        passes
            .give(pass, place, CookieJar::new(headers))
            .map_err(|_| Failure::Internal("a pass is too large for a cookie"))
    }
}

pub(super) fn give_cookies(answer: &mut Response<Body>, cookies: Vec<HeaderValue>) {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The address of a room's events.
pub(super) fn events_path(room: &RoomKey) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("room", &room.to_string());
    format!("/_gateway/events?{}", query.finish())
}

/// Where names of guests are sent to.
pub(super) const JOIN: &str = "/_gateway/join";
