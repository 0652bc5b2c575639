//! The roster: the occupants of this replica and those that peers report. No I/O; every call takes
//! the time.

mod peers;
mod room;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    time::Duration,
};

use model::room::RoomKey;
use tokio::time::Instant;

pub(super) use self::peers::{Action, PEER_TIMEOUT};
use self::{
    peers::Peers,
    room::{Lease, Person, Room},
};
use super::{
    PersonId, PresenceEvent, RoomView,
    message::{Change, Changes, List, ListedRoom},
};

/// All rooms with occupants, and those whose occupants left within the grace period.
#[derive(Debug, Default)]
pub(super) struct Roster {
    rooms: HashMap<RoomKey, Room>,
    peers: Peers,
    /// Deadlines of leases and of grace periods, soonest first.
    due: BinaryHeap<Reverse<Due>>,
    /// Rooms whose published view is out of date.
    dirty: HashSet<RoomKey>,
    /// Local changes that are not published yet.
    unpublished: Vec<(RoomKey, PersonId)>,
    /// The number of the last published batch of changes.
    number: u64,
}

/// The deadline of a person's lease or, without a person, of a room's grace period.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    room: RoomKey,
    person: Option<PersonId>,
}

/// The changes of views to publish.
#[derive(Debug, Default)]
pub(super) struct ViewChanges {
    /// New views; `None` removes a room.
    pub(super) views: Vec<(RoomKey, Option<RoomView>)>,
    /// Rooms that opened or closed.
    pub(super) toggled: Vec<RoomKey>,
}

// === impl Roster ===

impl Roster {
    /// Applies a change on this replica.
    pub(super) fn apply_local(&mut self, event: PresenceEvent, now: Instant) {
        match event {
            PresenceEvent::SocketOpened {
                room,
                person,
                is_host,
            } => self.change_own(room, person, now, |person| {
                person.sockets += 1;
                person.host_sockets += u32::from(is_host);
            }),
            PresenceEvent::SocketClosed {
                room,
                person,
                is_host,
            } => self.change_own(room, person, now, |person| {
                person.sockets = person.sockets.saturating_sub(1);
                person.host_sockets = person.host_sockets.saturating_sub(u32::from(is_host));
            }),
            PresenceEvent::LeaseRenewed {
                room,
                person,
                is_host,
                lease,
            } => {
                let expires = now + lease;
                self.change_own(room, person, now, |person| {
                    person.lease = Some(Lease { expires, is_host });
                });
            }
            PresenceEvent::LeaseEnded { room, person } => {
                self.change_own(room, person, now, |person| person.lease = None);
            }
        }
    }

    /// The next time at which [`Roster::expire`] has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let local = self.due.peek().map(|Reverse(due)| due.at);
        local.into_iter().chain(self.peers.next_due()).min()
    }

    /// Ends expired leases and grace periods, and removes peers that timed out.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { at, room, person })) = self.due.pop() else {
                break;
            };
            let Some(person) = person else {
                self.update_open_state(room, now);
                continue;
            };
            self.change_own(room, person, now, |person| {
                if person.lease_check == Some(at) {
                    person.lease_check = None;
                }
                if person.lease.is_some_and(|lease| lease.expires <= now) {
                    person.lease = None;
                }
            });
        }
        for replica in self.peers.timed_out(now) {
            self.remove_peer(&replica, now);
        }
    }

    /// Takes the local changes that are not published yet, as one numbered batch.
    pub(super) fn take_changes(&mut self) -> Option<Changes> {
        if self.unpublished.is_empty() {
            return None;
        }
        self.number += 1;
        let changes = self.unpublished.drain(..).map(|(room, person)| {
            let known = self.rooms.get(&room);
            Change {
                presence: known.and_then(|known| known.local_presence(&person)),
                open: known.is_some_and(|known| known.is_open),
                person: (*person).to_owned(),
                room,
            }
        });
        Some(Changes {
            number: self.number,
            changes: changes.collect(),
        })
    }

    /// The occupants of this replica, with the number of the last published change.
    pub(super) fn list(&self) -> List {
        let rooms = self.rooms.iter().filter_map(|(key, room)| {
            let people: Vec<_> = room
                .local_people()
                .map(|(person, is_host)| ((**person).to_owned(), is_host))
                .collect();
            let is_listed = !people.is_empty() || room.is_in_grace();
            is_listed.then(|| ListedRoom {
                room: key.clone(),
                open: room.is_open,
                people,
            })
        });
        List::new(self.number, rooms.collect())
    }

    /// Takes the outdated views, and removes rooms without occupants.
    pub(super) fn take_view_changes(&mut self) -> ViewChanges {
        let mut changes = ViewChanges::default();
        for key in self.dirty.drain() {
            let Some(room) = self.rooms.get_mut(&key) else {
                continue;
            };
            if room.was_published_open != room.is_open {
                room.was_published_open = room.is_open;
                changes.toggled.push(key.clone());
            }
            if room.is_over() {
                self.rooms.remove(&key);
                changes.views.push((key, None));
            } else {
                changes.views.push((key, Some(room.view())));
            }
        }
        changes
    }

    fn change_own(
        &mut self,
        key: RoomKey,
        person: PersonId,
        now: Instant,
        change: impl FnOnce(&mut Person),
    ) {
        let room = self.rooms.entry(key.clone()).or_default();
        let entry = room.local.entry(person.clone()).or_default();
        let before = entry.presence();
        change(entry);
        let after = entry.presence();
        // One deadline at a time: a renewed lease is checked when the earlier one would have
        // expired, and gets its next deadline then.
        if let Some(lease) = entry.lease
            && entry.lease_check.is_none()
        {
            entry.lease_check = Some(lease.expires);
            self.due.push(Reverse(Due {
                at: lease.expires,
                room: key.clone(),
                person: Some(person.clone()),
            }));
        }
        if after.is_none() {
            room.local.remove(&person);
        }
        if before != after {
            self.unpublished.push((key.clone(), person));
        }
        if before != after || after.is_none() {
            self.update_open_state(key, now);
        }
    }

    /// Recomputes whether the room is open after a change of its occupants or the end of its grace
    /// period.
    fn update_open_state(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(&key) else {
            return;
        };
        if let Some(at) = room.update_open_state(now) {
            self.due.push(Reverse(Due {
                at,
                room: key.clone(),
                person: None,
            }));
        }
        self.dirty.insert(key);
    }
}

/// Time for which a meeting stays open without occupants: longer than a reload of the page, a change
/// of network or a restart of this replica.
const GRACE_PERIOD: Duration = Duration::from_mins(1);
