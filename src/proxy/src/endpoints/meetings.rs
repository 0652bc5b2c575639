//! Meetings of members: the page with their addresses, links and calendar entries.

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};

use crate::{
    Body, RequestContext, RequestError, Worker,
    authorize::{AccessError, AccessRequest},
    credentials::Intent,
    endpoints::{EndpointError, api::has_key_to},
    request_context::SiteAuthority,
    respond::{self, Responder, login_path, plain, redirect_to_sign_in_for},
    server::ClientBody,
};
use model::{
    calendar::{CalendarEvent, Outlook},
    clock::Timestamp,
    policy::Role,
    room::RoomKey,
    session::{Principal, ReturnTo, Session},
};
use pages::{self, Content};

/// The page of a meeting, for who hosts it: addresses, and how long they are good for.
pub(crate) fn page(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    context: &RequestContext,
) -> Result<Response<Body>, RequestError> {
    let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
    let room = &query.room;
    responder.lead_to(&ReturnTo::of_link(room, None));
    let session = match hosting(worker, request, room, context) {
        Err(RequestError::Access(AccessError::SignInFirst | AccessError::GuestFirst { .. })) => {
            return redirect_to_sign_in_for(worker, request, &responder.return_to());
        }
        outcome => outcome?,
    };
    let rules = worker.rules();
    let addresses =
        worker
            .state
            .meetings
            .addresses(&rules.policy, room, &session.identity().subject);
    let start = query.start(worker.state.clock.now());
    let url = addresses.for_calendar();
    let event = event(&worker.state.authority, &query, start, url);
    let link = |(url, expires): &'_ (String, Timestamp)| (url.clone(), *expires);
    let (host_url, host_expires) = link(&addresses.host);
    let guest = addresses.guest.as_ref().map(link);
    let (google, outlook) = (event.google_url(), event.outlook_url(Outlook::Work));
    let switch = login_path(&ReturnTo::default(), true);
    let content = Content::Meeting {
        room,
        person: session.identity().display_name(),
        sign_in: Some(&switch),
        room_url: &addresses.room,
        admits_guests: addresses.admits_guests,
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
    Ok(respond::page(&worker.state.pages, &content, responder))
}

/// The same meeting as a file for calendars: for who hosts it, and for an integration that has the
/// room. The integration's entry has the room's plain address, because it made the links itself.
pub(crate) fn calendar_file(
    worker: &Worker,
    request: &Request<ClientBody>,
    context: &RequestContext,
) -> Result<Response<Body>, RequestError> {
    let query = MeetingQuery::parse(request.uri().query().unwrap_or_default())?;
    let room = &query.room;
    let url = if has_key_to(worker, request.headers(), room) {
        worker.state.invitations.room_url(room)
    } else {
        let session = match hosting(worker, request, room, context) {
            Err(RequestError::Access(
                AccessError::SignInFirst | AccessError::GuestFirst { .. },
            )) => {
                return redirect_to_sign_in_for(
                    worker,
                    request,
                    &ReturnTo::parse(&room.page_path()),
                );
            }
            outcome => outcome?,
        };
        let subject = &session.identity().subject;
        let meetings = &worker.state.meetings;
        let addresses = meetings.addresses(&worker.rules().policy, room, subject);
        addresses.for_calendar().to_owned()
    };
    let now = worker.state.clock.now();
    let event = event(&worker.state.authority, &query, query.start(now), &url);
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

/// The session of a host or moderator by account, who may pass a meeting's links on.
/// A link or another system can make a host for a while; links that such a host made would
/// outlast that.
fn hosting(
    worker: &Worker,
    request: &Request<ClientBody>,
    room: &RoomKey,
    context: &RequestContext,
) -> Result<Session, RequestError> {
    let (rules, headers) = (worker.rules(), request.headers());
    let authenticator = &worker.state.authenticator;
    let member = authenticator.session(headers);
    let visitor = match &member {
        Some(member) => Principal::Member(member.clone()).into(),
        None => authenticator.visitor(&worker.opened_sessions, headers, room, &rules.integrations),
    };
    let request = AccessRequest {
        room,
        visitor: &visitor,
        intent: Intent::Connect,
        context,
    };
    let authorizer = &worker.state.authorizer;
    let grant = authorizer.authorize(&rules.policy, request, &worker.metrics)?;
    member
        .filter(|_| grant.role() == Role::Moderator)
        .ok_or_else(|| EndpointError::NotHost.into())
}

fn event(own: &SiteAuthority, query: &MeetingQuery, start: Timestamp, url: &str) -> CalendarEvent {
    let title = query.title.clone().unwrap_or_else(|| query.room.readable());
    CalendarEvent {
        uid: format!("{}@{}", query.room, own.as_str()),
        title,
        start,
        duration: Duration::from_mins(u64::from(query.minutes)),
        url: url
            .parse()
            .expect("our origin, a room's path and a token are an address"),
        description: String::new(),
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
