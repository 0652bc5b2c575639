//! XMPP over HTTP requests (BOSH, XEP-0124 and XEP-0206), as far as Jitsi's clients use it: one
//! request is held at a time, lost answers are given again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
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
use crate::http::{self as server, Answer};
use model::xml::Element;

/// The sessions that are open, by their `sid`.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, mpsc::Sender<Turn>>>);

/// One request of a session, to be answered when there is something to say.
#[derive(Debug)]
pub(super) struct Turn {
    body: Element,
    reply: oneshot::Sender<String>,
}

/// One session; a task of its own owns it.
struct Session {
    meeting: Arc<DevMeetingState>,
    sid: String,
    stream: Stream,
    outbox: Outbox,
    waiting: mpsc::Receiver<String>,
    overflow: CancellationToken,
    /// How long a request may be held.
    wait: Duration,
    /// The highest request id so far.
    rid: u64,
    held: Option<(u64, oneshot::Sender<String>)>,
    /// A request that overtook the one before it.
    early: Option<Turn>,
    /// The last answer, in case it was lost on the way.
    answered: Option<(u64, String)>,
    deadline: Instant,
}

/// Answers a request for `/http-bind`.
pub(super) async fn answer(
    meeting: &Arc<DevMeetingState>,
    token: Option<String>,
    method: &Method,
    body: Option<Bytes>,
) -> Answer {
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
        Ok(body) => server::answer(StatusCode::OK, XML, body),
        Err(_) => terminate("item-not-found"),
    }
}

/// Whether the request opens a session: that is when its token is read.
pub(super) fn opens(body: &[u8]) -> bool {
    let parsed = std::str::from_utf8(body).ok().map(Element::parse);
    matches!(parsed, Some(Ok(body)) if body.attribute("sid").is_none())
}

/// The request's body, if it may have one.
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
    let (outbox, waiting) = Outbox::new(overflow.clone());
    let session = Session {
        meeting: Arc::clone(meeting),
        sid,
        stream: Stream::new(Arc::clone(meeting), token, outbox.clone()),
        outbox,
        waiting,
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
                Some(turn) = turns.recv() => self.take(turn),
                Some(stanza) = self.waiting.recv(), if self.held.is_some() => {
                    self.reply_with(stanza);
                    Flow::Continue
                }
                () = tokio::time::sleep_until(self.deadline) => self.wait_is_over(),
            };
            if flow == Flow::End {
                break;
            }
        }
        self.meeting.sessions().remove(&self.sid);
        self.reply(&Element::new("body", BOSH).with("type", "terminate"));
    }

    /// Takes a request, in the order of the ids: one that overtook another waits for it.
    fn take(&mut self, turn: Turn) -> Flow {
        let rid = turn.body.attribute("rid").and_then(|rid| rid.parse().ok());
        let next = self.rid + 1;
        match (rid, &self.answered) {
            (Some(rid), Some((last, body))) if rid == *last => {
                // Whoever asked first is gone by now, and the answer with it.
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
        // XEP-0124 § 11: no more than one request is held.
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

    /// A held request is answered with nothing; a client without one is gone.
    fn wait_is_over(&mut self) -> Flow {
        if self.held.is_none() {
            return Flow::End;
        }
        self.reply(&Element::new("body", BOSH));
        Flow::Continue
    }

    /// Answers the held request with everything that waits.
    fn reply_with(&mut self, first: String) {
        let mut stanzas = first;
        while let Ok(stanza) = self.waiting.try_recv() {
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

    /// The answer that opens the session (XEP-0124 § 7.2, XEP-0206 § 3).
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

/// Ends a session, or says that there is none; the status is 200, as Prosody's is.
fn terminate(condition: &str) -> Answer {
    server::answer(StatusCode::OK, XML, terminated(condition).to_string())
}

const XML: &str = "text/xml; charset=utf-8";

/// Prosody's `bosh_max_wait`.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// Prosody's `bosh_max_inactivity`.
const INACTIVITY: Duration = Duration::from_mins(1);

/// How many requests a client may have under way: the held one, and another that lets it go.
const WINDOW: usize = 2;

/// Request ids stay exact in JavaScript (XEP-0124 § 7.1: up to 2⁵³ − 1), with some left to count.
const MAX_RID: u64 = 1 << 52;

/// Some windows on one machine.
const MAX_SESSIONS: usize = 256;
