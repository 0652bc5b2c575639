//! The rooms and who is in them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::namespaces::{CLIENT, MUC_USER};
use model::{
    token::prosody::{Affiliation, MucRoom},
    xml::Element,
};

/// All rooms; one exists as long as somebody is in it.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<HashMap<RoomAddress, Vec<Occupant>>>);

/// `node@muc.<domain>`, or `node@muc.<tenant>.<domain>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RoomAddress {
    node: String,
    tenant: Option<String>,
    host: String,
}

/// Somebody in a room.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    pub(super) nick: String,
    /// The full address of the connection.
    pub(super) jid: String,
    pub(super) affiliation: Affiliation,
    /// What the server knows of the person, by the token.
    pub(super) identity: Element,
    /// What the client says of itself: everything else of its presence.
    pub(super) extensions: Vec<Element>,
    pub(super) outbox: Outbox,
}

/// What waits to be sent to one connection.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    stanzas: mpsc::Sender<String>,
    /// Cancelled when the connection reads too slowly to be kept.
    overflow: CancellationToken,
}

/// Why somebody cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinError {
    NickTaken,
    Full,
}

// === impl Rooms ===

impl Rooms {
    /// Lets somebody in and tells everybody; who is in already may change their presence.
    pub(super) fn enter(&self, address: &RoomAddress, newcomer: Occupant) -> Result<(), JoinError> {
        let mut rooms = self.lock();
        if !rooms.contains_key(address) && rooms.len() >= MAX_ROOMS {
            return Err(JoinError::Full);
        }
        let occupants = rooms.entry(address.clone()).or_default();
        if let Some(known) = occupants.iter_mut().find(|one| one.nick == newcomer.nick) {
            if known.jid != newcomer.jid {
                return Err(JoinError::NickTaken);
            }
            known.extensions = newcomer.extensions;
            let known = known.clone();
            announce(address, occupants, &known);
            return Ok(());
        }
        if occupants.len() >= MAX_OCCUPANTS {
            return Err(JoinError::Full);
        }
        for present in occupants.iter() {
            let presence = present.presence(address, &newcomer.jid, present.role());
            newcomer.outbox.send(&presence);
        }
        occupants.push(newcomer.clone());
        announce(address, occupants, &newcomer);
        Ok(())
    }

    /// Lets somebody out and tells everybody.
    pub(super) fn leave(&self, address: &RoomAddress, jid: &str) {
        let mut rooms = self.lock();
        let Some(occupants) = rooms.get_mut(address) else {
            return;
        };
        let Some(at) = occupants.iter().position(|one| one.jid == jid) else {
            return;
        };
        let leaver = occupants.swap_remove(at);
        for receiver in occupants.iter().chain([&leaver]) {
            let presence = leaver.presence(address, &receiver.jid, "none");
            receiver.outbox.send(&presence.with("type", "unavailable"));
        }
        if occupants.is_empty() {
            rooms.remove(address);
        }
    }

    /// Says something to everybody in the room; `false` if the speaker is not in it.
    pub(super) fn say(&self, address: &RoomAddress, jid: &str, message: &Element) -> bool {
        let rooms = self.lock();
        let occupants = rooms.get(address).map(Vec::as_slice).unwrap_or_default();
        let Some(speaker) = occupants.iter().find(|one| one.jid == jid) else {
            return false;
        };
        for receiver in occupants {
            let said = Element::new("message", CLIENT)
                .with("type", "groupchat")
                .with("from", &format!("{address}/{}", speaker.nick))
                .with("to", &receiver.jid)
                .with_children(message.children().cloned());
            receiver.outbox.send(&said);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomAddress, Vec<Occupant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn announce(address: &RoomAddress, occupants: &[Occupant], who: &Occupant) {
    for receiver in occupants {
        let presence = who.presence(address, &receiver.jid, who.role());
        receiver.outbox.send(&presence);
    }
}

// === impl RoomAddress ===

impl RoomAddress {
    /// Reads the address of an occupant or a room; the second part is the nick.
    pub(super) fn parse<'a>(address: &'a str, domain: &str) -> Option<(Self, Option<&'a str>)> {
        let (bare, nick) = match address.split_once('/') {
            Some((bare, nick)) => (bare, Some(nick)),
            None => (address, None),
        };
        let (node, host) = bare.split_once('@')?;
        let tenant = host.strip_prefix(MUC_PREFIX)?.strip_suffix(domain)?;
        let tenant = match tenant.strip_suffix('.') {
            Some(tenant) => Some(tenant.to_lowercase()),
            None if tenant.is_empty() => None,
            None => return None,
        };
        let node = node.to_lowercase();
        (1..=MAX_NODE_BYTES)
            .contains(&node.len())
            .then(|| Self {
                node,
                tenant,
                host: host.to_owned(),
            })
            .map(|room| (room, nick))
    }

    /// The room as the token rules know it.
    pub(super) fn as_muc_room<'r>(&'r self, domain: &'r str) -> MucRoom<'r> {
        MucRoom {
            node: &self.node,
            tenant: self.tenant.as_deref(),
            domain,
        }
    }
}

impl fmt::Display for RoomAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.host)
    }
}

// === impl Occupant ===

impl Occupant {
    /// The presence as one receiver sees it; their own is marked (XEP-0045 § 7.2.2).
    fn presence(&self, address: &RoomAddress, to: &str, role: &str) -> Element {
        let item = Element::new("item", MUC_USER)
            .with("affiliation", self.affiliation.as_str())
            .with("role", role);
        let own = (to == self.jid).then(|| Element::new("status", MUC_USER).with("code", "110"));
        let place = Element::new("x", MUC_USER)
            .with_child(item)
            .with_children(own);
        Element::new("presence", CLIENT)
            .with("from", &format!("{address}/{}", self.nick))
            .with("to", to)
            .with_children(self.extensions.iter().cloned())
            .with_child(place)
            .with_child(self.identity.clone())
    }

    fn role(&self) -> &'static str {
        match self.affiliation {
            Affiliation::Owner => "moderator",
            Affiliation::Member => "participant",
        }
    }
}

// === impl Outbox ===

impl Outbox {
    /// An outbox and its other end; `overflow` is cancelled when it is full.
    pub(super) fn new(overflow: CancellationToken) -> (Self, mpsc::Receiver<String>) {
        let (stanzas, receiver) = mpsc::channel(MAX_WAITING_STANZAS);
        (Self { stanzas, overflow }, receiver)
    }

    /// Puts a stanza in. Rooms must not wait for one slow reader, so one whose outbox is full loses
    /// its connection instead.
    pub(super) fn send(&self, stanza: &Element) {
        if self.stanzas.try_send(stanza.to_string()).is_err() {
            self.overflow.cancel();
        }
    }
}

/// Docker's name of the room component.
pub(super) const MUC_PREFIX: &str = "muc.";

/// What an XMPP address may have (RFC 7622 § 3.3).
const MAX_NODE_BYTES: usize = 1023;

/// Some windows on one machine.
const MAX_ROOMS: usize = 256;

/// With everybody told of everybody, a room costs its square.
const MAX_OCCUPANTS: usize = 64;

/// A newcomer to a full room gets one presence of everybody at once, and then some.
const MAX_WAITING_STANZAS: usize = 4 * MAX_OCCUPANTS;
