//! The peers: their reports, gaps in the reports, and whether they are alive.
//!
//! A peer numbers its changes. After a gap this replica still applies later changes, since each is
//! complete in itself, and reads the peer's list at its next heartbeat. Changes that arrive during
//! the read are kept and applied after the list; those that the list includes, by its number, are
//! skipped.

use std::{
    collections::{HashMap, HashSet},
    mem,
    time::Duration,
};

use model::room::RoomKey;
use tokio::time::Instant;

use super::Roster;
use crate::presence::message::{Change, Changes, List, Payload};

/// The other replicas by name.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<String, Peer>);

#[derive(Debug)]
struct Peer {
    last_message: Instant,
    /// The number of the last change; `None` after a gap.
    number: Option<u64>,
    /// Changes since a read of the peer's list began; `None` while none is read.
    since_read: Option<Vec<Changes>>,
    /// Rooms with occupants of the peer.
    rooms: HashSet<RoomKey>,
}

/// An operation that a message requires.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::presence) enum Action {
    /// Read this replica's list for [`Roster::apply_list`].
    ReadList(String),
    /// Write this replica's list and publish a heartbeat.
    SendHeartbeat,
}

// === impl Peers ===

impl Peers {
    pub(super) fn next_due(&self) -> Option<Instant> {
        let peers = self.0.values();
        peers.map(|peer| peer.last_message + PEER_TIMEOUT).min()
    }

    /// The peers without a message within [`PEER_TIMEOUT`].
    pub(super) fn timed_out(&self, now: Instant) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, peer)| peer.last_message + PEER_TIMEOUT <= now)
            .map(|(replica, _)| replica.clone())
            .collect()
    }

    /// Returns the peer of a message, adding it if it is new.
    fn touch(&mut self, replica: &str, now: Instant) -> &mut Peer {
        let peer = self.0.entry(replica.to_owned()).or_insert_with(|| Peer {
            last_message: now,
            number: None,
            since_read: None,
            rooms: HashSet::new(),
        });
        peer.last_message = now;
        peer
    }
}

// === impl Peer ===

impl Peer {
    /// Whether to apply the changes of a number: not if the list included them. Detects gaps.
    fn accept(&mut self, number: u64) -> bool {
        match self.number {
            Some(last) if number <= last => return false,
            Some(last) if number == last + 1 => self.number = Some(number),
            _ => self.number = None,
        }
        true
    }
}

// === impl Roster ===

impl Roster {
    /// Applies a message of a peer.
    pub(in crate::presence) fn receive(
        &mut self,
        replica: &str,
        payload: Payload,
        now: Instant,
    ) -> Option<Action> {
        match payload {
            Payload::HeartbeatRequest => return Some(Action::SendHeartbeat),
            Payload::Leave => self.remove_peer(replica, now),
            Payload::Heartbeat(number) => {
                let peer = self.peers.touch(replica, now);
                if peer.number != Some(number) && peer.since_read.is_none() {
                    peer.since_read = Some(Vec::new());
                    return Some(Action::ReadList(replica.to_owned()));
                }
            }
            Payload::Changes(changes) => {
                let peer = self.peers.touch(replica, now);
                match &mut peer.since_read {
                    Some(since_read) => since_read.push(changes),
                    None => self.apply(replica, changes, now),
                }
            }
        }
        None
    }

    /// Applies a peer's list; `None` if the read failed, which the next heartbeat repeats.
    pub(in crate::presence) fn apply_list(
        &mut self,
        replica: &str,
        list: Option<List>,
        now: Instant,
    ) {
        let Some(peer) = self.peers.0.get_mut(replica) else {
            // The peer left or timed out during the read.
            return;
        };
        let since_read = peer.since_read.take().unwrap_or_default();
        if let Some(list) = list {
            peer.number = Some(list.number);
            let before = mem::take(&mut peer.rooms);
            self.clear_rooms(replica, &before);
            for listed in list.rooms {
                let room = self.rooms.entry(listed.room.clone()).or_default();
                room.is_open |= listed.open;
                for (person, is_host) in listed.people {
                    let change = Change {
                        room: listed.room.clone(),
                        person,
                        presence: Some(is_host),
                        open: listed.open,
                    };
                    self.apply_one(replica, change);
                }
                self.update_open_state(listed.room, now);
            }
            for room in before {
                self.update_open_state(room, now);
            }
        }
        for changes in since_read {
            self.apply(replica, changes, now);
        }
    }

    /// Removes a peer and its occupants.
    pub(super) fn remove_peer(&mut self, replica: &str, now: Instant) {
        let Some(peer) = self.peers.0.remove(replica) else {
            return;
        };
        self.clear_rooms(replica, &peer.rooms);
        for room in peer.rooms {
            self.update_open_state(room, now);
        }
    }

    fn apply(&mut self, replica: &str, changes: Changes, now: Instant) {
        if !self.peers.touch(replica, now).accept(changes.number) {
            return;
        }
        for change in changes.changes {
            let room = change.room.clone();
            self.apply_one(replica, change);
            self.update_open_state(room, now);
        }
    }

    fn apply_one(&mut self, replica: &str, change: Change) {
        let Some(peer) = self.peers.0.get_mut(replica) else {
            return;
        };
        let room = self.rooms.entry(change.room.clone()).or_default();
        if let Some(is_host) = change.presence {
            room.is_open |= change.open;
            let people = room.by_peer.entry(replica.to_owned()).or_default();
            people.insert(change.person.into(), is_host);
            peer.rooms.insert(change.room);
        } else if let Some(people) = room.by_peer.get_mut(replica) {
            people.remove(&*change.person);
            if people.is_empty() {
                room.by_peer.remove(replica);
                peer.rooms.remove(&change.room);
            }
        }
    }

    fn clear_rooms(&mut self, replica: &str, rooms: &HashSet<RoomKey>) {
        for room in rooms {
            if let Some(room) = self.rooms.get_mut(room) {
                room.by_peer.remove(replica);
            }
        }
    }
}

/// A peer without a message for three heartbeats counts as dead.
pub(in crate::presence) const PEER_TIMEOUT: Duration = Duration::from_secs(30);
