//! One room of the roster.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::GRACE_PERIOD;
use crate::presence::{PersonId, RoomView};

#[derive(Debug, Default)]
pub(super) struct Room {
    /// Occupants of this replica.
    pub(super) local: HashMap<PersonId, Person>,
    /// Occupants of each peer, and whether they may start the meeting.
    pub(super) by_peer: HashMap<String, HashMap<PersonId, bool>>,
    /// A host opened the meeting, and it has not ended since.
    pub(super) is_open: bool,
    /// `is_open` in the published view.
    pub(super) was_published_open: bool,
    empty_since: Option<Instant>,
}

/// A local occupant. Their connections may have different rights: a person who became a host keeps
/// an earlier socket.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Open WebSockets.
    pub(super) sockets: u32,
    /// Open WebSockets whose admission allows starting the meeting.
    pub(super) host_sockets: u32,
    /// The lease of a BOSH stream.
    pub(super) lease: Option<Lease>,
    /// The deadline in the queue for this person's lease.
    pub(super) lease_check: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) expires: Instant,
    pub(super) is_host: bool,
}

// === impl Room ===

impl Room {
    /// Opens the room if a host is present; closes it when it has been empty for the grace period.
    /// Returns the end of a grace period that begins now.
    pub(super) fn update_open_state(&mut self, now: Instant) -> Option<Instant> {
        if self.has_host() {
            self.is_open = true;
        }
        if !self.is_empty() || !self.is_open {
            self.empty_since = None;
            return None;
        }
        match self.empty_since {
            None => {
                self.empty_since = Some(now);
                Some(now + GRACE_PERIOD)
            }
            Some(since) => {
                if now >= since + GRACE_PERIOD {
                    self.is_open = false;
                    self.empty_since = None;
                }
                None
            }
        }
    }

    /// Whether a person may start the meeting; `None` unless they are an occupant of this replica.
    pub(super) fn local_presence(&self, person: &str) -> Option<bool> {
        self.local.get(person).and_then(Person::presence)
    }

    /// The occupants of this replica, and whether each may start the meeting.
    pub(super) fn local_people(&self) -> impl Iterator<Item = (&PersonId, bool)> {
        self.local
            .iter()
            .filter_map(|(id, person)| Some((id, person.presence()?)))
    }

    /// Whether the room is empty and still open.
    pub(super) fn is_in_grace(&self) -> bool {
        self.empty_since.is_some()
    }

    /// Whether the room has neither occupants nor a grace period, so that it can be removed.
    pub(super) fn is_over(&self) -> bool {
        self.is_empty() && !self.is_open
    }

    pub(super) fn view(&self) -> RoomView {
        let local = self.local_people().map(|(id, _)| id);
        let others = self.by_peer.values().flat_map(HashMap::keys);
        RoomView {
            is_open: self.is_open,
            has_host: self.has_host(),
            people: local.chain(others).cloned().collect::<HashSet<_>>(),
        }
    }

    fn has_host(&self) -> bool {
        let mut others = self.by_peer.values().flat_map(HashMap::values);
        self.local_people().any(|(_, is_host)| is_host) || others.any(|is_host| *is_host)
    }

    fn is_empty(&self) -> bool {
        self.local.is_empty() && self.by_peer.is_empty()
    }
}

// === impl Person ===

impl Person {
    /// Whether the person may start the meeting; `None` without a connection.
    pub(super) fn presence(&self) -> Option<bool> {
        let is_present = self.sockets > 0 || self.lease.is_some();
        let is_host = self.host_sockets > 0 || self.lease.is_some_and(|lease| lease.is_host);
        is_present.then_some(is_host)
    }
}
