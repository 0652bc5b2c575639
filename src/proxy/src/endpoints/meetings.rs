//! Meetings of members: their addresses, links and calendar entries.

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    Body, RequestContext, RequestError, Worker,
    authorize::{AccessError, authorize},
    credentials::Intent,
    endpoints::EndpointError,
    respond::{Responder, plain},
};
use model::{
    calendar::{CalendarEvent, Outlook},
    clock::Timestamp,
    identity::{Identity, Invited, Standing},
    invitation::InvitationLink,
    policy::{Admission, Role, Situation, Visitor},
    room::RoomKey,
    session::{Principal, ReturnTo, Session},
};
use pages::{self, Content};

/// The addresses of one meeting, to be passed on.
pub(crate) struct Addresses {
    pub(crate) room: String,
    pub(crate) host: (String, Timestamp),
    pub(crate) guest: Option<(String, Timestamp)>,
}

// === impl Worker ===

impl Worker {
    /// The page of a meeting, for who hosts it: addresses, and how long they are good for.
    pub(crate) fn meeting(
        &self,
        request: &Request<Incoming>,
        responder: &Responder,
        context: &RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
        let room = &query.room;
        let session = match self.hosting(request, room, context) {
            Err(RequestError::Access(
                AccessError::SignInFirst | AccessError::GuestFirst { .. },
            )) => {
                return self.to_sign_in_for(request, &ReturnTo::parse(&room.page_path()));
            }
            outcome => outcome?,
        };
        let addresses = self.addresses(room, &session.identity().subject);
        let start = query.start(self.state.clock.now());
        let event = self.event(&query, start, &addresses);
        let link = |(url, expires): &'_ (String, Timestamp)| (url.clone(), *expires);
        let (host_url, host_expires) = link(&addresses.host);
        let guest = addresses.guest.as_ref().map(link);
        let (google, outlook) = (event.google_url(), event.outlook_url(Outlook::Work));
        let content = Content::Meeting {
            room,
            room_url: &addresses.room,
            host_link: pages::PageLink {
                url: &host_url,
                expires: host_expires,
                uses: None,
            },
            guest_link: guest.as_ref().map(|(url, expires)| pages::PageLink {
                url,
                expires: *expires,
                uses: None,
            }),
            calendar: pages::CalendarForm {
                start,
                minutes: query.minutes,
                google: &google,
                outlook: &outlook,
            },
        };
        Ok(self.show(&content, responder))
    }

    /// The same meeting as a file for calendars.
    pub(crate) fn meeting_file(
        &self,
        request: &Request<Incoming>,
        context: &RequestContext,
    ) -> Result<Response<Body>, RequestError> {
        let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
        let session = self.hosting(request, &query.room, context)?;
        let addresses = self.addresses(&query.room, &session.identity().subject);
        let now = self.state.clock.now();
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
    pub(crate) fn addresses(&self, room: &RoomKey, by: &str) -> Addresses {
        let state = &self.state;
        let url = format!("{}{}", state.authenticator.origin, room.page_path());
        let link = |host: bool, lifetime: Duration| {
            let expires = state.clock.now().after(lifetime);
            let link = InvitationLink {
                id: state.random.text::<9>(),
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
                format!("{url}?invite={}", state.links.issue(&link)),
                expires,
            )
        };
        Addresses {
            host: link(true, state.guests.host_link_lifetime),
            guest: self
                .takes_links(room)
                .then(|| link(false, state.guests.link_lifetime)),
            room: url,
        }
    }

    /// The session of a host or moderator by account, who may pass a meeting's links on.
    /// A link or another system can make a host for a while; links that such a host made would
    /// outlast that.
    fn hosting(
        &self,
        request: &Request<Incoming>,
        room: &RoomKey,
        context: &RequestContext,
    ) -> Result<Session, RequestError> {
        let (rules, headers) = (self.rules(), request.headers());
        let authenticator = &self.state.authenticator;
        let member = authenticator.session(headers);
        let visitor = match &member {
            Some(member) => Principal::Member(member.clone()).into(),
            None => authenticator.visitor(headers, room, &rules.integrations),
        };
        let grant = authorize(
            self,
            &rules.policy,
            room,
            &visitor,
            Intent::Connect,
            context,
        )?;
        member
            .filter(|_| grant.role() == Role::Moderator)
            .ok_or_else(|| EndpointError::NotHost.into())
    }

    /// Whether the holder of a link could enter.
    pub(crate) fn takes_links(&self, room: &RoomKey) -> bool {
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

    pub(crate) fn situation(&self) -> Situation {
        Situation {
            now: self.state.clock.now(),
            ..Situation::default()
        }
    }

    fn event(
        &self,
        query: &MeetingQuery,
        start: Timestamp,
        addresses: &Addresses,
    ) -> CalendarEvent {
        let guest = addresses.guest.as_ref().map(|(url, _)| url);
        let url = guest.unwrap_or(&addresses.room);
        let title = query.title.clone().unwrap_or_else(|| query.room.readable());
        CalendarEvent {
            uid: format!("{}@{}", query.room, self.state.authority.as_str()),
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

/// What the address of a meeting's page and file says.
struct MeetingQuery {
    room: RoomKey,
    start: Option<Timestamp>,
    minutes: u32,
    title: Option<String>,
}

// === impl MeetingQuery ===

impl MeetingQuery {
    fn parse(query: &str) -> Result<Self, RequestError> {
        let (mut room, mut start, mut minutes, mut title) = (None, None, DEFAULT_MINUTES, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "room" => room = Some(RoomKey::try_from(value.into_owned())?),
                "start" if !value.is_empty() => {
                    start = Some(Timestamp::parse(&value).ok_or(EndpointError::Form("no time"))?);
                }
                "minutes" if !value.is_empty() => {
                    let read = value
                        .parse()
                        .ok()
                        .filter(|minutes| MINUTES.contains(minutes));
                    minutes = read.ok_or(EndpointError::Form("no length of a meeting"))?;
                }
                "title" if !value.trim().is_empty() => {
                    title = Some(value.trim().chars().take(MAX_TITLE_CHARS).collect());
                }
                _ => {}
            }
        }
        Ok(Self {
            room: room.ok_or(EndpointError::NoRoom)?,
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

/// The address of a meeting's page.
pub(crate) fn meeting_path(room: &RoomKey) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("room", &room.to_string());
    format!("/_gateway/meeting?{}", query.finish())
}

const HOUR: u64 = 3600;

/// What most calendars begin with.
const DEFAULT_MINUTES: u32 = 60;

/// From a word to a weekend.
const MINUTES: std::ops::RangeInclusive<u32> = 5..=4320;

/// Calendars show no more.
const MAX_TITLE_CHARS: usize = 200;
