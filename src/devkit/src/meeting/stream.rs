//! An XMPP stream over either transport: login by token, resource binding, rooms.

use std::sync::Arc;

use model::{token::prosody::ProsodyClaims, xml::Element};

use super::{
    DevMeetingState,
    namespaces::{
        BIND, CLIENT, DISCO_INFO, FOCUS, JITSI, MUC, PING, SASL, SESSION, STANZA_ERROR, STREAM,
    },
    rooms::{JoinError, Occupant, Outbox, RoomAddress},
};

/// A client's stream. Dropping it leaves all rooms.
pub(super) struct Stream {
    meeting: Arc<DevMeetingState>,
    /// The token of the first request, verified at the login.
    token: Option<String>,
    phase: Phase,
    attempts: usize,
    joined: Vec<RoomAddress>,
    outbox: Outbox,
}

/// The progress of the login.
enum Phase {
    Anonymous,
    LoggedIn(ProsodyClaims),
    Bound { claims: ProsodyClaims, jid: String },
}

/// The result of an iq.
enum IqResult {
    Empty,
    Payload(Element),
}

/// Whether the stream continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    End,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(
        meeting: Arc<DevMeetingState>,
        token: Option<String>,
        outbox: Outbox,
    ) -> Self {
        Self {
            meeting,
            token,
            phase: Phase::Anonymous,
            attempts: 0,
            joined: Vec::new(),
            outbox,
        }
    }

    /// The stream features of the current phase (RFC 6120 § 4.3.2).
    pub(super) fn features(&self) -> Element {
        let offered = match &self.phase {
            Phase::Anonymous => Element::new("mechanisms", SASL)
                .with_child(Element::new("mechanism", SASL).with_text("ANONYMOUS")),
            _ => Element::new("bind", BIND),
        };
        Element::prefixed("stream", "features", STREAM).with_child(offered)
    }

    /// Handles one stanza; replies go to the outbox.
    pub(super) fn receive(&mut self, stanza: &Element) -> Flow {
        if matches!(self.phase, Phase::Anonymous) {
            return self.log_in(stanza);
        }
        match stanza.name() {
            "iq" => self.receive_iq(stanza),
            "presence" => self.receive_presence(stanza),
            "message" => self.receive_message(stanza),
            _ => return Flow::End,
        }
        Flow::Continue
    }

    fn log_in(&mut self, stanza: &Element) -> Flow {
        if !stanza.is("auth", SASL) || self.attempts >= MAX_ATTEMPTS {
            return Flow::End;
        }
        self.attempts += 1;
        let failure = |condition: &str, text: Option<String>| {
            let text = text.map(|text| Element::new("text", SASL).with_text(&text));
            Element::new("failure", SASL)
                .with_child(Element::new(condition, SASL))
                .with_children(text)
        };
        if stanza.attribute("mechanism") != Some("ANONYMOUS") {
            self.outbox.send(&failure("invalid-mechanism", None));
            return Flow::Continue;
        }
        match self.meeting.verify(self.token.as_deref()) {
            Ok(claims) => {
                self.phase = Phase::LoggedIn(claims);
                self.outbox.send(&Element::new("success", SASL));
            }
            // Some tokens make the plugin fail without a reply.
            Err(refusal) => {
                if let Some(condition) = refusal.condition() {
                    let failure = failure(condition.as_str(), Some(refusal.to_string()));
                    self.outbox.send(&failure);
                }
            }
        }
        Flow::Continue
    }

    fn receive_iq(&mut self, iq: &Element) {
        if !matches!(iq.attribute("type"), Some("get" | "set")) {
            return;
        }
        let payload = iq.children().next();
        let answer = payload.and_then(|payload| self.iq_result(payload));
        let answered = |kind: &str| {
            let mut answer = Element::new("iq", CLIENT).with("type", kind);
            for (name, from) in [("id", "id"), ("from", "to")] {
                if let Some(value) = iq.attribute(from) {
                    answer = answer.with(name, value);
                }
            }
            answer
        };
        self.outbox.send(&match answer {
            Some(IqResult::Empty) => answered("result"),
            Some(IqResult::Payload(payload)) => answered("result").with_child(payload),
            None => answered("error").with_child(stanza_error("service-unavailable", None, None)),
        });
    }

    /// The result for a payload; `None` for unknown ones.
    fn iq_result(&mut self, payload: &Element) -> Option<IqResult> {
        match (payload.name(), payload.namespace()) {
            ("bind", BIND) => self.bind().map(IqResult::Payload),
            ("session", SESSION) | ("ping", PING) => Some(IqResult::Empty),
            ("query", DISCO_INFO) => {
                let identity = Element::new("identity", DISCO_INFO)
                    .with("category", "server")
                    .with("type", "im")
                    .with("name", "development meeting");
                Some(IqResult::Payload(
                    Element::new("query", DISCO_INFO).with_child(identity),
                ))
            }
            // Jicofo's response: rooms are always ready.
            ("conference", FOCUS) => {
                let focus = format!("focus@auth.{}", self.meeting.domain());
                let ready = Element::new("conference", FOCUS)
                    .with("ready", "true")
                    .with("focusjid", &focus);
                let ready = match payload.attribute("room") {
                    Some(room) => ready.with("room", room),
                    None => ready,
                };
                Some(IqResult::Payload(ready))
            }
            _ => None,
        }
    }

    fn bind(&mut self) -> Option<Element> {
        let Phase::LoggedIn(claims) = &self.phase else {
            return None;
        };
        let name = self.meeting.random().text::<12>();
        let jid = format!("{name}@{}/{name}", self.meeting.domain());
        let bound = Element::new("jid", BIND).with_text(&jid);
        self.phase = Phase::Bound {
            claims: claims.clone(),
            jid,
        };
        Some(Element::new("bind", BIND).with_child(bound))
    }

    fn receive_presence(&mut self, presence: &Element) {
        let Phase::Bound { claims, jid } = &self.phase else {
            return;
        };
        let Some(to) = presence.attribute("to") else {
            return;
        };
        let domain = self.meeting.domain();
        let place = RoomAddress::parse(to, domain);
        let refuse = |error: Element| {
            let refused = Element::new("presence", CLIENT)
                .with("type", "error")
                .with("from", to)
                .with("to", jid)
                .with_child(error);
            self.outbox.send(&refused);
        };
        let Some((room, Some(nick))) = place else {
            return refuse(stanza_error("jid-malformed", None, None));
        };
        match presence.attribute("type") {
            Some("unavailable") => {
                self.meeting.rooms().leave(&room, jid);
                self.joined.retain(|joined| *joined != room);
                return;
            }
            Some(_) => return,
            None => {}
        }
        if !is_acceptable_nick(nick) || self.joined.len() >= MAX_JOINED {
            return refuse(stanza_error("not-allowed", None, None));
        }
        if let Err(refusal) = self
            .meeting
            .rules()
            .check_room(claims, &room.as_muc_room(domain))
        {
            let text = refusal.to_string();
            return refuse(stanza_error("not-allowed", Some(&text), refusal.marker()));
        }
        let occupant = Occupant {
            nick: nick.to_owned(),
            jid: jid.clone(),
            affiliation: claims.affiliation(),
            identity: identity(claims),
            extensions: extensions(presence),
            outbox: self.outbox.clone(),
        };
        match self.meeting.rooms().enter(&room, occupant) {
            Ok(()) if self.joined.contains(&room) => {}
            Ok(()) => self.joined.push(room),
            Err(JoinError::NickTaken) => refuse(stanza_error("conflict", None, None)),
            Err(JoinError::Full) => refuse(stanza_error("service-unavailable", None, None)),
        }
    }

    fn receive_message(&self, message: &Element) {
        let Phase::Bound { jid, .. } = &self.phase else {
            return;
        };
        let to = message.attribute("to").unwrap_or_default();
        let room = RoomAddress::parse(to, self.meeting.domain());
        let sent = match room {
            Some((room, None)) if message.attribute("type") == Some("groupchat") => {
                self.meeting.rooms().broadcast(&room, jid, message)
            }
            _ => false,
        };
        if !sent && message.attribute("type") != Some("error") {
            let refused = Element::new("message", CLIENT)
                .with("type", "error")
                .with("from", to)
                .with("to", jid)
                .with_child(stanza_error("not-acceptable", None, None));
            self.outbox.send(&refused);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Phase::Bound { jid, .. } = &self.phase {
            for room in &self.joined {
                self.meeting.rooms().leave(room, jid);
            }
        }
    }
}

/// The element that Jitsi's `mod_presence_identity` adds: the user of the token.
fn identity(claims: &ProsodyClaims) -> Element {
    let part = |name: &str, value: Option<&str>| {
        value.map(|value| Element::new(name, CLIENT).with_text(value))
    };
    let user = Element::new("user", CLIENT)
        .with_children(part("id", claims.user_id()))
        .with_children(part("name", claims.user_name()));
    Element::new("identity", CLIENT).with_child(user)
}

/// The children of a presence that are broadcast, without those that only the server may add.
fn extensions(presence: &Element) -> Vec<Element> {
    let is_servers =
        |child: &&Element| child.namespace().starts_with(MUC) || child.name() == "identity";
    presence
        .children()
        .filter(|child| !is_servers(child))
        .cloned()
        .collect()
}

/// A stanza error with text and Jitsi's own condition.
fn stanza_error(condition: &str, text: Option<&str>, marker: Option<&str>) -> Element {
    let text = text.map(|text| Element::new("text", STANZA_ERROR).with_text(text));
    let marker = marker.map(|marker| Element::new(marker, JITSI));
    Element::new("error", CLIENT)
        .with("type", "cancel")
        .with_child(Element::new(condition, STANZA_ERROR))
        .with_children(text)
        .with_children(marker)
}

/// The rule of Jitsi's `mod_muc_resource_validate`.
fn is_acceptable_nick(nick: &str) -> bool {
    nick.len() <= MAX_NICK_BYTES
        && nick.starts_with(|c: char| c.is_ascii_alphanumeric())
        && nick.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Clients log in once, because a retry would send the same token.
const MAX_ATTEMPTS: usize = 5;

/// Clients are in one room, and in a second one while they change rooms.
const MAX_JOINED: usize = 4;

/// Jitsi's clients use eight characters.
const MAX_NICK_BYTES: usize = 64;
