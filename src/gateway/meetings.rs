//! The start page, and the meetings that people make there.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use url::Url;

use super::{
    Body, Facts, Failure, Worker,
    failure::{Asking, login_path, plain},
    form::Form,
    framing::place_of,
    web::{only_reading, redirect},
};
use crate::{
    calendar::{Event, Outlook},
    clock::Timestamp,
    headers,
    identity::{Identity, Invited, Standing},
    invitation::Link,
    owner::Owner,
    pages::{self, Content, NameProblem},
    policy::{Admission, Role, Situation, Visitor},
    room::{RoomError, RoomKey},
    route::Route,
    session::{Place, ReturnTo, Session},
};

/// The addresses of one meeting, to be passed on.
pub(super) struct Addresses {
    pub(super) room: String,
    pub(super) host: (String, Timestamp),
    pub(super) guest: Option<(String, Timestamp)>,
}

// === impl Worker ===

impl Worker {
    /// `/`: begin a meeting or go to one.
    pub(super) fn start_page(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
    ) -> Result<Response<Body>, Failure> {
        only_reading(request.method())?;
        Ok(self.start(request, asking, false, None))
    }

    fn start(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        joining: bool,
        wrong: Option<(&str, NameProblem)>,
    ) -> Response<Body> {
        let session = self.session(request.headers());
        let sign_in = login_path(&ReturnTo::default(), session.is_some());
        let content = Content::Start {
            person: session
                .as_ref()
                .and_then(|session| session.identity().display_name()),
            sign_in: &sign_in,
            may_create: session
                .as_ref()
                .is_some_and(|session| self.may_create(session)),
            name: wrong.map(|(name, _)| name),
            joining,
            problem: wrong.map(|(_, problem)| problem),
        };
        self.show(&content, asking)
    }

    /// Leads to a room whose name or whole address was typed or pasted.
    pub(super) fn go(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
    ) -> Result<Response<Body>, Failure> {
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
            Err(problem) => Ok(self.start(request, asking, true, Some((&typed, problem)))),
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
        let own = plain && url.origin().ascii_serialization() == self.gateway.origin;
        let target = ReturnTo::parse(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        let path = target.as_str().split('?').next()?;
        (own && is_room(path)).then_some(target)
    }

    /// Makes a meeting: a room that carries its creator's tag, on whatever replica, for ever.
    pub(super) async fn make_meeting(
        &self,
        request: Request<Incoming>,
        asking: &Asking,
    ) -> Result<Response<Body>, Failure> {
        let (request, form) = Form::read(request, &self.gateway.origin).await?;
        let Some(session) = self.session(request.headers()) else {
            return to_sign_in(&request, &ReturnTo::default());
        };
        let wish = form
            .get("name")
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let owner = Owner::Subject(&session.identity().subject);
        let named = self
            .gateway
            .owners
            .name(None, wish, &owner, &self.gateway.random);
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
            asking,
            false,
            Some((wish.unwrap_or_default(), wrong)),
        ))
    }

    /// The page of a meeting, for who hosts it: addresses, and how long they are good for.
    pub(super) fn meeting(
        &self,
        request: &Request<Incoming>,
        asking: &Asking,
        facts: &Facts,
    ) -> Result<Response<Body>, Failure> {
        let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
        let room = &query.room;
        let session = match self.hosting(request, room, facts) {
            Err(Failure::SignInFirst | Failure::GuestFirst { .. }) => {
                return to_sign_in(request, &ReturnTo::parse(&room.page_path()));
            }
            outcome => outcome?,
        };
        let addresses = self.addresses(room, &session.identity().subject);
        let start = query.start(self.gateway.clock.now());
        let event = self.event(&query, start, &addresses);
        let link = |(url, expires): &'_ (String, Timestamp)| (url.clone(), *expires);
        let (host_url, host_expires) = link(&addresses.host);
        let guest = addresses.guest.as_ref().map(link);
        let (google, outlook) = (event.google_url(), event.outlook_url(Outlook::Work));
        let content = Content::Meeting {
            room,
            room_url: &addresses.room,
            host_link: pages::Link {
                url: &host_url,
                expires: host_expires,
                uses: None,
            },
            guest_link: guest.as_ref().map(|(url, expires)| pages::Link {
                url,
                expires: *expires,
                uses: None,
            }),
            calendar: pages::Calendar {
                start,
                minutes: query.minutes,
                google: &google,
                outlook: &outlook,
            },
        };
        Ok(self.show(&content, asking))
    }

    /// The same meeting as a file for calendars.
    pub(super) fn meeting_file(
        &self,
        request: &Request<Incoming>,
        facts: &Facts,
    ) -> Result<Response<Body>, Failure> {
        let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
        let session = self.hosting(request, &query.room, facts)?;
        let addresses = self.addresses(&query.room, &session.identity().subject);
        let now = self.gateway.clock.now();
        let event = self.event(&query, query.start(now), &addresses);
        let mut answer = plain(
            StatusCode::OK,
            "text/calendar; charset=utf-8",
            event.ics(now),
        );
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"meeting.ics\""),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// The addresses of a meeting, with links made now. A guest link is of use only where the rule
    /// lets holders of links in.
    pub(super) fn addresses(&self, room: &RoomKey, by: &str) -> Addresses {
        let gateway = &self.gateway;
        let url = format!("{}{}", gateway.origin, room.page_path());
        let link = |host: bool, lifetime: Duration| {
            let expires = gateway.clock.now().after(lifetime);
            let link = Link {
                id: gateway.random.text::<9>(),
                room: room.clone(),
                host,
                name: None,
                email: None,
                begins: None,
                expires,
                uses: None,
                by: by.to_owned(),
            };
            (
                format!("{url}?invite={}", gateway.links.issue(&link)),
                expires,
            )
        };
        Addresses {
            host: link(true, gateway.guests.host_link_lifetime),
            guest: self
                .takes_links(room)
                .then(|| link(false, gateway.guests.link_lifetime)),
            room: url,
        }
    }

    /// The session of whoever may pass a meeting's links on: a host or moderator by their account.
    /// A link or another system can make a host for a while; links that such a host made would
    /// outlast that.
    fn hosting(
        &self,
        request: &Request<Incoming>,
        room: &RoomKey,
        facts: &Facts,
    ) -> Result<Rc<Session>, Failure> {
        let member = self.session(request.headers());
        let visitor = member
            .clone()
            .or_else(|| self.visitor(request.headers(), room));
        let rules = self.rules();
        let grant = self.admit(&rules.policy, room, visitor.as_deref(), facts)?;
        member
            .filter(|_| grant.role() == Role::Moderator)
            .ok_or(Failure::NotHost)
    }

    fn may_create(&self, session: &Session) -> bool {
        let owner = Owner::Subject(&session.identity().subject);
        let random = &self.gateway.random;
        let room = self.gateway.owners.name(None, None, &owner, random);
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

    /// Whether the holder of a link could enter.
    pub(super) fn takes_links(&self, room: &RoomKey) -> bool {
        let standing = Standing::Invited(Invited {
            link: String::new(),
            host: false,
            member: false,
        });
        let identity = Identity::default();
        let visitor = Visitor {
            identity: &identity,
            standing: &standing,
            owner: false,
        };
        let rules = self.rules();
        let admission = rules.policy.decide(room, Some(&visitor), &self.situation());
        matches!(admission, Admission::Admit(_) | Admission::Wait(_))
    }

    fn situation(&self) -> Situation {
        Situation {
            now: self.gateway.clock.now(),
            ..Situation::default()
        }
    }

    fn event(&self, query: &MeetingQuery, start: Timestamp, addresses: &Addresses) -> Event {
        let guest = addresses.guest.as_ref().map(|(url, _)| url);
        let url = guest.unwrap_or(&addresses.room);
        let title = query.title.clone().unwrap_or_else(|| query.room.readable());
        Event {
            uid: format!("{}@{}", query.room, self.gateway.authority.as_str()),
            title,
            start,
            duration: Duration::from_mins(u64::from(query.minutes)),
            url: url
                .parse()
                .expect("our origin, a room's path and a token are an address"),
            description: String::new(),
        }
    }
}

/// Sends a navigation to sign in, and on to a page of this site.
fn to_sign_in(
    request: &Request<Incoming>,
    return_to: &ReturnTo,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    if !headers::is_navigation(headers) || place_of(headers) == Place::Frame {
        return Err(Failure::SignInFirst);
    }
    redirect(StatusCode::SEE_OTHER, &login_path(return_to, false))
}

/// What the address of a meeting's page and file says.
struct MeetingQuery {
    room: RoomKey,
    start: Option<Timestamp>,
    minutes: u32,
    title: Option<String>,
}

// === impl MeetingQuery ===

impl MeetingQuery {
    fn parse(query: &str) -> Result<Self, Failure> {
        let (mut room, mut start, mut minutes, mut title) = (None, None, DEFAULT_MINUTES, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "room" => room = Some(RoomKey::try_from(value.into_owned())?),
                "start" if !value.is_empty() => {
                    start = Some(Timestamp::parse(&value).ok_or(Failure::Form("no time"))?);
                }
                "minutes" if !value.is_empty() => {
                    let read = value
                        .parse()
                        .ok()
                        .filter(|minutes| MINUTES.contains(minutes));
                    minutes = read.ok_or(Failure::Form("no length of a meeting"))?;
                }
                "title" if !value.trim().is_empty() => {
                    title = Some(value.trim().chars().take(MAX_TITLE_CHARS).collect());
                }
                _ => {}
            }
        }
        Ok(Self {
            room: room.ok_or(Failure::NoRoom)?,
            start,
            minutes,
            title,
        })
    }

    /// When the meeting begins: unless said, at the next full hour.
    fn start(&self, now: Timestamp) -> Timestamp {
        self.start
            .unwrap_or_else(|| Timestamp::from_unix((now.as_unix() / HOUR + 1) * HOUR))
    }
}

/// Whether a path is a room's page, and nothing else that has the shape of one.
fn is_room(path: &str) -> bool {
    matches!(Route::classify(path), Ok(Route::Room(_)))
}

/// The address of a meeting's page.
pub(super) fn meeting_path(room: &RoomKey) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("room", &room.to_string());
    format!("/_gateway/meeting?{}", query.finish())
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

const HOUR: u64 = 3600;

/// What most calendars begin with.
const DEFAULT_MINUTES: u32 = 60;

/// From a word to a weekend.
const MINUTES: std::ops::RangeInclusive<u32> = 5..=4320;

/// Calendars show no more.
const MAX_TITLE_CHARS: usize = 200;
