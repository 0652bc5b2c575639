//! Rooms (XEP-0045) and their occupants.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{
    token::prosody::{Affiliation, MucRoom},
    xml::Element,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::namespaces::{CLIENT, MUC_USER};

/// All rooms. A room exists as long as it has an occupant.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    occupants: Mutex<HashMap<RoomAddress, Vec<Occupant>>>,
    /// Notified when someone has left a room.
    departures: watch::Sender<()>,
}

/// A person in a room, as Prosody knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevOccupant {
    /// The local part of the room's address.
    pub room: String,
    /// The full JID of the connection.
    pub jid: String,
    /// `context.user.id` of the token.
    pub user: String,
    /// `context.user.name` of the token.
    pub name: String,
    /// Whether the affiliation is that of a moderator.
    pub moderator: bool,
}

/// `node@muc.<domain>`, or `node@muc.<tenant>.<domain>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RoomAddress {
    node: String,
    tenant: Option<String>,
    host: String,
}

/// An occupant of a room.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    pub(super) nick: String,
    /// The full JID of the connection.
    pub(super) jid: String,
    pub(super) affiliation: Affiliation,
    /// `<identity/>`, from the token.
    pub(super) identity: Element,
    /// The other children of the client's presence.
    pub(super) extensions: Vec<Element>,
    pub(super) outbox: Outbox,
}

/// The queue of stanzas for one connection.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    stanzas: mpsc::Sender<String>,
    /// Cancelled if the queue is full.
    overflow: CancellationToken,
}

/// Why an occupant cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinError {
    NickTaken,
    Full,
}

// === impl Rooms ===

impl Rooms {
    /// Adds an occupant, or updates the presence of one, and broadcasts the presence.
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

    /// Removes an occupant and broadcasts that.
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
        // The receivers lock the rooms, too.
        drop(rooms);
        self.departures.send_replace(());
    }

    /// Everyone in a room, by room and in the order of their arrival.
    pub(super) fn occupants(&self) -> Vec<DevOccupant> {
        let rooms = self.lock();
        let mut all: Vec<_> = rooms
            .iter()
            .flat_map(|(room, occupants)| occupants.iter().map(|one| one.described(&room.node)))
            .collect();
        // The sort is stable: people of one room keep their order.
        all.sort_by(|one, other| one.room.cmp(&other.room));
        all
    }

    /// Waits until none of these connections is in a room.
    pub(super) async fn departure_of(&self, connections: &[String]) {
        let mut departures = self.departures.subscribe();
        let is_absent = |()| {
            let rooms = self.lock();
            let mut present = rooms.values().flatten();
            !present.any(|one| connections.contains(&one.jid))
        };
        // Infallible: the sender lives as long as `self`.
        let _ = departures.wait_for(|&value| is_absent(value)).await;
    }

    /// Broadcasts a groupchat message. Returns whether the sender is an occupant.
    pub(super) fn broadcast(&self, address: &RoomAddress, jid: &str, message: &Element) -> bool {
        let rooms = self.lock();
        let occupants = rooms.get(address).map(Vec::as_slice).unwrap_or_default();
        let Some(sender) = occupants.iter().find(|one| one.jid == jid) else {
            return false;
        };
        for receiver in occupants {
            let copy = Element::new("message", CLIENT)
                .with("type", "groupchat")
                .with("from", &format!("{address}/{}", sender.nick))
                .with("to", &receiver.jid)
                .with_children(message.children().cloned());
            receiver.outbox.send(&copy);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomAddress, Vec<Occupant>>> {
        self.occupants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    /// Parses the JID of a room or an occupant into room and nick.
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

    /// The room, as the token rules expect it.
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
    /// The presence for one receiver. Status 110 marks the receiver's own (XEP-0045 § 7.2.2).
    fn presence(&self, address: &RoomAddress, to: &str, role: &str) -> Element {
        let item = Element::new("item", MUC_USER)
            .with("affiliation", self.affiliation.as_str())
            .with("role", role);
        let self_status =
            (to == self.jid).then(|| Element::new("status", MUC_USER).with("code", "110"));
        let place = Element::new("x", MUC_USER)
            .with_child(item)
            .with_children(self_status);
        Element::new("presence", CLIENT)
            .with("from", &format!("{address}/{}", self.nick))
            .with("to", to)
            .with_children(self.extensions.iter().cloned())
            .with_child(place)
            .with_child(self.identity.clone())
    }

    fn described(&self, room: &str) -> DevOccupant {
        let user = self.identity.children().next();
        let part = |name: &str| {
            let mut parts = user.into_iter().flat_map(Element::children);
            let part = parts.find(|part| part.name() == name);
            part.map(Element::text).unwrap_or_default()
        };
        DevOccupant {
            room: room.to_owned(),
            jid: self.jid.clone(),
            user: part("id"),
            name: part("name"),
            moderator: self.affiliation == Affiliation::Owner,
        }
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
    /// Creates a queue; `overflow` is cancelled if it is full.
    pub(super) fn new(overflow: CancellationToken) -> (Self, mpsc::Receiver<String>) {
        let (stanzas, receiver) = mpsc::channel(MAX_WAITING_STANZAS);
        (Self { stanzas, overflow }, receiver)
    }

    /// Queues a stanza. If the queue is full, the connection ends: a room does not wait for one
    /// slow reader.
    pub(super) fn send(&self, stanza: &Element) {
        if self.stanzas.try_send(stanza.to_string()).is_err() {
            self.overflow.cancel();
        }
    }
}

/// The MUC component's prefix in Docker's setup.
pub(super) const MUC_PREFIX: &str = "muc.";

/// The longest localpart of a JID (RFC 7622 § 3.3.1).
const MAX_NODE_BYTES: usize = 1023;

/// The browsers of one machine need fewer.
const MAX_ROOMS: usize = 256;

/// The number of presences in a room is the square of the number of occupants.
const MAX_OCCUPANTS: usize = 64;

/// A new occupant of a full room receives one presence per occupant at once; the rest is for chat.
const MAX_WAITING_STANZAS: usize = 4 * MAX_OCCUPANTS;
