//! One room in the book.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::GRACE;
use crate::presence::{Who, views::View};

#[derive(Debug, Default)]
pub(super) struct Room {
    /// This replica's own people.
    pub(super) here: HashMap<Who, Person>,
    /// Other replicas' people, by replica, and whether they may start the meeting.
    pub(super) elsewhere: HashMap<String, HashMap<Who, bool>>,
    /// Somebody who may start the meeting was there, and it has not ended since.
    pub(super) opened: bool,
    /// What readers were shown of `opened`.
    pub(super) shown_open: bool,
    empty_since: Option<Instant>,
}

/// One of this replica's own people in one room.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Open WebSockets.
    pub(super) sockets: u32,
    /// Those of them that may start the meeting.
    pub(super) opening_sockets: u32,
    /// Of a BOSH stream.
    pub(super) lease: Option<Lease>,
    /// When the lease is looked at next.
    pub(super) looked_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) until: Instant,
    pub(super) opens: bool,
}

// === impl Room ===

impl Room {
    /// Opens or closes the room as who is there wants it; tells when to look again.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Instant> {
        if self.has_host() {
            self.opened = true;
        }
        if !self.is_empty() || !self.opened {
            self.empty_since = None;
            return None;
        }
        match self.empty_since {
            None => {
                self.empty_since = Some(now);
                Some(now + GRACE)
            }
            Some(since) => {
                if now >= since + GRACE {
                    self.opened = false;
                    self.empty_since = None;
                }
                None
            }
        }
    }

    /// Whether somebody of this replica is there, and if so, whether they may start the meeting.
    pub(super) fn own(&self, who: &str) -> Option<bool> {
        self.here.get(who).and_then(Person::status)
    }

    /// This replica's own people, and whether they may start the meeting.
    pub(super) fn own_people(&self) -> impl Iterator<Item = (&Who, bool)> {
        self.here
            .iter()
            .filter_map(|(who, person)| Some((who, person.status()?)))
    }

    /// Whether nobody is there any more and the meeting could still go on.
    pub(super) fn is_left_open(&self) -> bool {
        self.empty_since.is_some()
    }

    /// Whether the room can be forgotten.
    pub(super) fn is_over(&self) -> bool {
        self.is_empty() && !self.opened
    }

    pub(super) fn view(&self) -> View {
        let own = self.own_people().map(|(who, _)| who);
        let others = self.elsewhere.values().flat_map(HashMap::keys);
        View {
            open: self.opened,
            host: self.has_host(),
            people: own.chain(others).cloned().collect::<HashSet<_>>(),
        }
    }

    fn has_host(&self) -> bool {
        let mut others = self.elsewhere.values().flat_map(HashMap::values);
        self.own_people().any(|(_, opens)| opens) || others.any(|opens| *opens)
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.elsewhere.is_empty()
    }
}

// === impl Person ===

impl Person {
    /// Whether they are there, and if so, whether they may start the meeting.
    pub(super) fn status(&self) -> Option<bool> {
        let by_lease = self.lease.is_some_and(|lease| lease.opens);
        (self.sockets > 0 || self.lease.is_some()).then_some(self.opening_sockets > 0 || by_lease)
    }
}
