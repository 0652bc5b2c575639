//! Server-sent events: who waits for a room hears when it opens.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{Body, Failure, Worker};
use crate::{
    headers::{self, Sender},
    policy::Admission,
    room::RoomKey,
    session::Session,
};

/// Who waits on this worker, by room.
#[derive(Debug, Default)]
pub(super) struct Waiting(RefCell<Rooms>);

#[derive(Debug, Default)]
struct Rooms {
    rooms: HashMap<RoomKey, watch::Sender<()>>,
    closed: bool,
}

/// What somebody listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    /// The room opens.
    Waiting,
    /// The call at another provider goes on: as long as somebody listens they are there.
    Calling,
}

// === impl Worker ===

impl Worker {
    /// Answers a request for a room's events, from the page of somebody who waits for it or is in
    /// it.
    pub(super) fn events(
        self: &Rc<Self>,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        if headers::sender(request.headers(), &self.gateway.origin) == Sender::Foreign {
            return Err(Failure::ForeignSender);
        }
        let (room, listening) = wanted(request.uri().query().unwrap_or_default())?;
        let session = self.visitor(request.headers(), &room);
        let rules = self.rules();
        match self.ask_rules(&rules.policy, &room, session.as_deref()) {
            Admission::Wait(_) | Admission::Admit(_) => {}
            Admission::SignIn | Admission::Guest { .. } => return Err(Failure::SignInFirst),
            Admission::Refuse(refusal) => {
                return Err(Failure::Refused {
                    refusal,
                    room,
                    person: None,
                });
            }
        }
        let session = session.ok_or(Failure::SignInFirst)?;
        let (sender, receiver) = mpsc::channel(EVENTS_KEPT);
        let telling = Rc::clone(self).tell(room, session, listening, sender);
        tokio::task::spawn_local(telling);
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

    /// A room opened or closed.
    pub fn presence_changed(&self, room: &RoomKey) {
        if let Some(waiting) = self.waiting.0.borrow().rooms.get(room) {
            waiting.send_replace(());
        }
    }

    /// Rooms opened or closed, and nobody knows which.
    pub fn presence_unknown(&self) {
        self.wake_waiting();
    }

    /// Has everybody who waits, or is in a call, looked at anew.
    pub(super) fn wake_waiting(&self) {
        for waiting in self.waiting.0.borrow().rooms.values() {
            waiting.send_replace(());
        }
    }

    /// Ends all streams of events: the gateway stops, and their clients come back to another one.
    pub fn end_waiting(&self) {
        let mut waiting = self.waiting.0.borrow_mut();
        waiting.closed = true;
        waiting.rooms.clear();
    }

    async fn tell(
        self: Rc<Self>,
        room: RoomKey,
        session: Rc<Session>,
        listening: Listening,
        events: mpsc::Sender<Bytes>,
    ) {
        let mut woken = self.waiting.enter(&room);
        let ends = Instant::now() + LONGEST;
        let mut attendance = None;
        let mut next = Bytes::from_static(b"retry: 2000\n\n");
        loop {
            if events.send(next).await.is_err() {
                break;
            }
            let rules = self.rules();
            let left = self.gateway.sessions.ends_at_latest(&session);
            let left = left.since(self.gateway.clock.now());
            let over = self.gateway.revocations.contains(&session) || left.is_zero();
            let last = match self.ask_rules(&rules.policy, &room, Some(&session)) {
                _ if over => Some(CLOSE),
                Admission::Admit(grant) if listening == Listening::Calling => {
                    attendance.get_or_insert_with(|| {
                        let presence = &self.gateway.presence;
                        presence.attend(&room, session.id(), grant.opens())
                    });
                    None
                }
                Admission::Admit(_) => Some(OPEN),
                Admission::Wait(_) => None,
                _ => Some(CLOSE),
            };
            if let Some(last) = last {
                let _ = events.send(Bytes::from_static(last)).await;
                break;
            }
            next = tokio::select! {
                changed = woken.changed() => match changed {
                    Ok(()) => Bytes::from_static(b":\n\n"),
                    Err(_) => break,
                },
                () = sleep(HEARTBEAT.min(left)) => Bytes::from_static(b":\n\n"),
                () = events.closed() => break,
                () = sleep_until(ends) => break,
            };
        }
        drop(woken);
        self.waiting.leave(&room);
    }
}

// === impl Waiting ===

impl Waiting {
    fn enter(&self, room: &RoomKey) -> watch::Receiver<()> {
        let mut waiting = self.0.borrow_mut();
        if waiting.closed {
            // A channel whose sender is gone already.
            return watch::channel(()).1;
        }
        let room = waiting
            .rooms
            .entry(room.clone())
            .or_insert_with(|| watch::Sender::new(()));
        room.subscribe()
    }

    fn leave(&self, room: &RoomKey) {
        let mut waiting = self.0.borrow_mut();
        if waiting
            .rooms
            .get(room)
            .is_some_and(watch::Sender::is_closed)
        {
            waiting.rooms.remove(room);
        }
    }
}

fn wanted(query: &str) -> Result<(RoomKey, Listening), Failure> {
    let (mut room, mut listening) = (None, Listening::Waiting);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "room" => room = Some(RoomKey::try_from(value.into_owned())?),
            "call" => listening = Listening::Calling,
            _ => {}
        }
    }
    Ok((room.ok_or(Failure::NoRoom)?, listening))
}

const OPEN: &[u8] = b"event: open\ndata: open\n\n";
const CLOSE: &[u8] = b"event: close\ndata: close\n\n";

const X_ACCEL_BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

/// Proxies in front cut what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Then the client asks anew, and is judged anew.
const LONGEST: Duration = Duration::from_mins(30);

/// A client that does not read has no use for more.
const EVENTS_KEPT: usize = 2;
