//! Server-sent events, which notify waiting visitors that their room opens.

mod listeners;

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, sleep_until},
};

use self::listeners::Listener;
pub(crate) use self::listeners::Listeners;
use crate::{
    Body, RequestContext, RequestError, Worker, authorize::AccessError,
    connections::ConnectionKind, credentials::Intent, endpoints::EndpointError, server::ClientBody,
};
use model::{
    headers::{self, RequestOrigin},
    policy::Admission,
    room::RoomKey,
    session::Principal,
};

/// The purpose of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    /// The visitor waits for the room to open.
    Waiting,
    /// The visitor is in a JaaS meeting: the open stream is the visitor's presence.
    Calling,
}

/// The state of a listener.
enum ListenerState {
    /// The listener may enter.
    Open {
        /// Whether entering opens the room.
        opens: bool,
    },
    /// The listener waits.
    Waiting,
    /// The listener may not even wait any more.
    Over,
}

/// Answers a request for a room's events, from its waiting page or its JaaS page.
pub(crate) fn answer(
    worker: &Rc<Worker>,
    request: &Request<ClientBody>,
    context: &RequestContext,
) -> Result<Response<Body>, RequestError> {
    if headers::request_origin(request.headers(), &worker.state.authenticator.origin)
        == RequestOrigin::CrossOrigin
    {
        return Err(AccessError::ForeignSender.into());
    }
    let (room, mut listening) = wanted(request.uri().query().unwrap_or_default())?;
    if worker.state.jaas.is_none() {
        // Who is in a meeting here is known by their connection to Prosody.
        listening = Listening::Waiting;
    }
    let rules = worker.rules();
    let state = &worker.state;
    let visitor = state.authenticator.visitor(
        &worker.opened_sessions,
        request.headers(),
        &room,
        &rules.integrations,
    );
    let principal = visitor.principal();
    let admission = state.authorizer.evaluate(
        &rules.policy,
        &room,
        principal.map(|principal| &**principal),
        Intent::Connect,
    );
    match admission {
        Admission::Wait(_) | Admission::Admit(_) => {}
        Admission::SignIn | Admission::StepUp(_) | Admission::Guest { .. } => {
            return Err(AccessError::SignInFirst.into());
        }
        Admission::Refuse(refusal) => {
            return Err(AccessError::Refused {
                refusal,
                room,
                person: None,
            }
            .into());
        }
    }
    let principal = Rc::clone(principal.ok_or(AccessError::SignInFirst)?);
    let entered =
        worker
            .listeners
            .enter(&room, principal.id(), context.client.ip(), &worker.metrics);
    let listener = entered.ok_or(EndpointError::TooManyStreams)?;
    let (sender, receiver) = mpsc::channel(EVENTS_KEPT);
    let events = send_events(
        Rc::clone(worker),
        listener,
        room,
        principal,
        listening,
        sender,
    );
    tokio::task::spawn_local(events);
    let mut answer = Response::new(Body::Events(receiver));
    *answer.status_mut() = StatusCode::OK;
    *answer.headers_mut() = HeaderMap::from_iter([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        // For nginx, if one is in front.
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ]);
    Ok(answer)
}

async fn send_events(
    worker: Rc<Worker>,
    mut listener: Listener,
    room: RoomKey,
    principal: Rc<Principal>,
    listening: Listening,
    events: mpsc::Sender<Bytes>,
) {
    let mut registration =
        worker
            .connections
            .register(Rc::clone(&principal), ConnectionKind::Poll, None);
    let sessions = &worker.state.authenticator.sessions;
    let ends = Instant::now() + LONGEST;
    let mut attendance = None;
    let mut next = BEGIN;
    // A client that does not read is not waited for: it would keep the room open, and delay a stop.
    while !matches!(
        events.try_send(Bytes::from_static(next)),
        Err(TrySendError::Closed(_))
    ) {
        let last = match state_of_listener(&worker, &principal, &room) {
            ListenerState::Over => Some(CLOSE),
            ListenerState::Open { opens } if listening == Listening::Calling => {
                attendance.get_or_insert_with(|| {
                    let presence = &worker.state.authorizer.presence;
                    presence.attend(&room, principal.id(), opens)
                });
                None
            }
            ListenerState::Open { .. } => Some(OPEN),
            ListenerState::Waiting => None,
        };
        if let Some(last) = last {
            let _ = events.try_send(Bytes::from_static(last));
            break;
        }
        tokio::select! {
            goes_on = listener.woken() => if !goes_on {
                break;
            },
            _ = registration.closed() => {
                let _ = events.try_send(Bytes::from_static(CLOSE));
                break;
            }
            () = sleep(HEARTBEAT.min(sessions.time_left(&principal))) => {}
            () = events.closed() => break,
            () = sleep_until(ends) => break,
        }
        next = BEAT;
    }
}

/// The state of a listener, by the current rules and occupants.
fn state_of_listener(worker: &Worker, principal: &Principal, room: &RoomKey) -> ListenerState {
    let (state, rules) = (&worker.state, worker.rules());
    let time_left = state.authenticator.sessions.time_left(principal);
    if time_left.is_zero() || !state.authenticator.is_valid(principal, &rules.integrations) {
        return ListenerState::Over;
    }
    let intent = Intent::Connect;
    match state
        .authorizer
        .evaluate(&rules.policy, room, Some(principal), intent)
    {
        Admission::Admit(grant) => ListenerState::Open {
            opens: grant.opens(),
        },
        Admission::Wait(_) => ListenerState::Waiting,
        _ => ListenerState::Over,
    }
}

fn wanted(query: &str) -> Result<(RoomKey, Listening), RequestError> {
    let (mut room, mut listening) = (None, Listening::Waiting);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "room" => room = Some(RoomKey::try_from(value.into_owned())?),
            "call" => listening = Listening::Calling,
            _ => {}
        }
    }
    Ok((room.ok_or(EndpointError::NoRoom)?, listening))
}

const BEGIN: &[u8] = b"retry: 2000\n\n";
const BEAT: &[u8] = b":\n\n";
const OPEN: &[u8] = b"event: open\ndata: open\n\n";
const CLOSE: &[u8] = b"event: close\ndata: close\n\n";

const X_ACCEL_BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

/// Proxies in front close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Then the client reconnects, and is authorized anew.
const LONGEST: Duration = Duration::from_mins(30);

/// The first message, a few heartbeats, and the last message.
const EVENTS_KEPT: usize = 8;
