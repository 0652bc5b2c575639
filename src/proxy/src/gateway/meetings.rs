//! The meetings that people made: their addresses, and what calendars want.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{
    Body, Facts, Failure, Worker,
    failure::{Asking, plain},
};
use model::{
    calendar::{Event, Outlook},
    clock::Timestamp,
    identity::{Identity, Invited, Standing},
    invitation::Link,
    policy::{Admission, Role, Situation, Visitor},
    room::RoomKey,
    session::{ReturnTo, Session},
};
use pages::{self, Content};

/// The addresses of one meeting, to be passed on.
pub(super) struct Addresses {
    pub(super) room: String,
    pub(super) host: (String, Timestamp),
    pub(super) guest: Option<(String, Timestamp)>,
}

// === impl Worker ===

impl Worker {
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
                return self.to_sign_in_for(request, &ReturnTo::parse(&room.page_path()));
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

    pub(super) fn situation(&self) -> Situation {
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

/// The address of a meeting's page.
pub(super) fn meeting_path(room: &RoomKey) -> String {
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
