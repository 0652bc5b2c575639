//! A BOSH server (XEP-0124, XEP-0206) with the features that Jitsi's clients need: one held
//! request, and a repeated response for a repeated request id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use model::xml::Element;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    DevMeetingState, MAX_MESSAGE_BYTES,
    namespaces::{BOSH, BOSH_XMPP},
    rooms::Outbox,
    stream::{Flow, Stream},
};
use crate::http::{self as server, HttpResponse};

/// Open sessions by `sid`.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, mpsc::Sender<Turn>>>);

/// One request of a session. `reply` receives the response body.
#[derive(Debug)]
pub(super) struct Turn {
    body: Element,
    reply: oneshot::Sender<String>,
}

/// One session, owned by its task.
struct Session {
    meeting: Arc<DevMeetingState>,
    sid: String,
    stream: Stream,
    outbox: Outbox,
    stanzas: mpsc::Receiver<String>,
    overflow: CancellationToken,
    /// The longest time for which a request is held.
    wait: Duration,
    /// The highest request id so far.
    rid: u64,
    held: Option<(u64, oneshot::Sender<String>)>,
    /// A request that arrived before its predecessor.
    early: Option<Turn>,
    /// The last request id and response, for a repeated request.
    answered: Option<(u64, String)>,
    deadline: Instant,
}

/// Handles a request for `/http-bind`.
pub(super) async fn handle(
    meeting: &Arc<DevMeetingState>,
    token: Option<String>,
    method: &Method,
    body: Option<Bytes>,
) -> HttpResponse {
    match *method {
        Method::POST => {}
        Method::GET | Method::OPTIONS => {
            return server::text(StatusCode::OK, "connect a BOSH client to this address");
        }
        _ => return server::text(StatusCode::METHOD_NOT_ALLOWED, "POST only"),
    }
    let Some(body) = body else {
        return server::text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
    };
    let parsed = std::str::from_utf8(&body).ok().map(Element::parse);
    let Some(Ok(body)) = parsed else {
        return terminate("bad-request");
    };
    if !body.is("body", BOSH) {
        return terminate("bad-request");
    }
    let turns = match body.attribute("sid") {
        Some(sid) => meeting.sessions().find(sid),
        None => match open(meeting, token, &body) {
            Ok(turns) => Some(turns),
            Err(condition) => return terminate(condition),
        },
    };
    let (reply, answered) = oneshot::channel();
    let turn = Turn { body, reply };
    let sent = match turns {
        Some(turns) => turns.send(turn).await.is_ok(),
        None => false,
    };
    if !sent {
        return terminate("item-not-found");
    }
    match answered.await {
        Ok(body) => server::response(StatusCode::OK, XML, body),
        Err(_) => terminate("item-not-found"),
    }
}

/// Whether a body has no `sid`. Only such a request may have a token.
pub(super) fn opens_session(body: &[u8]) -> bool {
    let parsed = std::str::from_utf8(body).ok().map(Element::parse);
    matches!(parsed, Some(Ok(body)) if body.attribute("sid").is_none())
}

/// Reads a request body; `None` if it is too large or incomplete.
pub(super) async fn read(request: Request<Incoming>) -> Option<Bytes> {
    server::read(request.into_body(), MAX_MESSAGE_BYTES).await
}

fn open(
    meeting: &Arc<DevMeetingState>,
    token: Option<String>,
    body: &Element,
) -> Result<mpsc::Sender<Turn>, &'static str> {
    let number = |name: &str| body.attribute(name).and_then(|text| text.parse().ok());
    if body.attribute("to") != Some(meeting.domain()) {
        return Err("host-unknown");
    }
    let rid = number("rid").filter(|rid| (1..MAX_RID).contains(rid));
    let rid = rid.ok_or("bad-request")?;
    let wait = Duration::from_secs(number("wait").unwrap_or(0)).min(MAX_WAIT);
    let sid = meeting.random().text::<18>();
    let (turns, received) = mpsc::channel(WINDOW);
    if !meeting.sessions().add(&sid, turns.clone()) {
        return Err("policy-violation");
    }
    let overflow = CancellationToken::new();
    let (outbox, stanzas) = Outbox::new(overflow.clone());
    let session = Session {
        meeting: Arc::clone(meeting),
        sid,
        stream: Stream::new(Arc::clone(meeting), token, outbox.clone()),
        outbox,
        stanzas,
        overflow,
        wait,
        rid: rid - 1,
        held: None,
        early: None,
        answered: None,
        deadline: Instant::now() + INACTIVITY,
    };
    meeting.tasks().spawn(session.run(received));
    Ok(turns)
}

// === impl Sessions ===

impl Sessions {
    fn find(&self, sid: &str) -> Option<mpsc::Sender<Turn>> {
        self.lock().get(sid).cloned()
    }

    fn add(&self, sid: &str, turns: mpsc::Sender<Turn>) -> bool {
        let mut sessions = self.lock();
        let room = sessions.len() < MAX_SESSIONS;
        if room {
            sessions.insert(sid.to_owned(), turns);
        }
        room
    }

    fn remove(&self, sid: &str) {
        self.lock().remove(sid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Session ===

impl Session {
    async fn run(mut self, mut turns: mpsc::Receiver<Turn>) {
        let stopped = self.meeting.stop().clone();
        loop {
            let flow = tokio::select! {
                () = stopped.cancelled() => Flow::End,
                () = self.overflow.cancelled() => Flow::End,
                Some(turn) = turns.recv() => self.receive(turn),
                Some(stanza) = self.stanzas.recv(), if self.held.is_some() => {
                    self.reply_with(stanza);
                    Flow::Continue
                }
                () = tokio::time::sleep_until(self.deadline) => self.deadline_passed(),
            };
            if flow == Flow::End {
                break;
            }
        }
        self.meeting.sessions().remove(&self.sid);
        self.reply(&Element::new("body", BOSH).with("type", "terminate"));
    }

    /// Processes a request in the order of request ids; an early one waits for its predecessor.
    fn receive(&mut self, turn: Turn) -> Flow {
        let rid = turn.body.attribute("rid").and_then(|rid| rid.parse().ok());
        let next = self.rid + 1;
        match (rid, &self.answered) {
            (Some(rid), Some((last, body))) if rid == *last => {
                // The client may have disconnected.
                let _ = turn.reply.send(body.clone());
                Flow::Continue
            }
            (Some(rid), _) if rid == next => {
                let flow = self.process(rid, turn);
                match self.early.take() {
                    Some(early) if flow == Flow::Continue => self.process(rid + 1, early),
                    _ => flow,
                }
            }
            (Some(rid), _) if rid == next + 1 && self.early.is_none() => {
                self.early = Some(turn);
                Flow::Continue
            }
            _ => {
                let _ = turn.reply.send(terminated("item-not-found").to_string());
                Flow::End
            }
        }
    }

    fn process(&mut self, rid: u64, turn: Turn) -> Flow {
        let opening = self.answered.is_none() && self.held.is_none();
        // XEP-0124 § 11: at most one request is held.
        self.reply(&Element::new("body", BOSH));
        self.rid = rid;
        self.held = Some((rid, turn.reply));
        self.deadline = Instant::now() + self.wait;
        let mut stanzas = turn.body.children();
        let ended = stanzas.any(|stanza| self.stream.receive(stanza) == Flow::End);
        if ended || turn.body.attribute("type") == Some("terminate") {
            return Flow::End;
        }
        if opening {
            let opened = self.opened();
            self.reply(&opened);
        } else if turn.body.attribute_of(BOSH_XMPP, "restart") == Some("true") {
            self.outbox.send(&self.stream.features());
        }
        Flow::Continue
    }

    /// Answers the held request with an empty body. Without one, the client was inactive for too
    /// long.
    fn deadline_passed(&mut self) -> Flow {
        if self.held.is_none() {
            return Flow::End;
        }
        self.reply(&Element::new("body", BOSH));
        Flow::Continue
    }

    /// Answers the held request with all queued stanzas.
    fn reply_with(&mut self, first: String) {
        let mut stanzas = first;
        while let Ok(stanza) = self.stanzas.try_recv() {
            stanzas.push_str(&stanza);
        }
        self.reply_text(format!("<body xmlns='{BOSH}'>{stanzas}</body>"));
    }

    fn reply(&mut self, body: &Element) {
        if self.held.is_some() {
            self.reply_text(body.to_string());
        }
    }

    fn reply_text(&mut self, body: String) {
        if let Some((rid, reply)) = self.held.take() {
            let _ = reply.send(body.clone());
            self.answered = Some((rid, body));
            self.deadline = Instant::now() + INACTIVITY;
        }
    }

    /// The response that opens the session (XEP-0124 § 7.2, XEP-0206 § 3).
    fn opened(&self) -> Element {
        Element::new("body", BOSH)
            .with("sid", &self.sid)
            .with("from", self.meeting.domain())
            .with("authid", &self.meeting.random().text::<12>())
            .with("wait", &self.wait.as_secs().to_string())
            .with("hold", "1")
            .with("requests", &WINDOW.to_string())
            .with("inactivity", &INACTIVITY.as_secs().to_string())
            .with("ver", "1.6")
            .with_prefixed("xmpp", BOSH_XMPP, "version", "1.0")
            .with_prefixed("xmpp", BOSH_XMPP, "restartlogic", "true")
            .with_child(self.stream.features())
    }
}

fn terminated(condition: &str) -> Element {
    Element::new("body", BOSH)
        .with("type", "terminate")
        .with("condition", condition)
}

/// A response that ends a session, or refuses one. The status is 200, as Prosody's.
fn terminate(condition: &str) -> HttpResponse {
    server::response(StatusCode::OK, XML, terminated(condition).to_string())
}

const XML: &str = "text/xml; charset=utf-8";

/// Prosody's `bosh_max_wait`.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// Prosody's `bosh_max_inactivity`.
const INACTIVITY: Duration = Duration::from_mins(1);

/// Requests in flight per session (`requests`): a held one, and one that releases it.
const WINDOW: usize = 2;

/// Request ids must not exceed 2⁵³ − 1 (XEP-0124 § 7.1); the margin serves the requests of the
/// session.
const MAX_RID: u64 = 1 << 52;

/// More than clients that break off leave behind within [`INACTIVITY`], at some ten a second.
const MAX_SESSIONS: usize = 4096;
