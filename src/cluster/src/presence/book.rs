//! The book of who is where: what this replica's own people do, and what other replicas say of
//! theirs. No I/O; the time comes with every call.

mod others;
mod room;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::others::{Errand, SILENCE};
use self::{
    others::Others,
    room::{Lease, Room},
};
use super::{
    Happening, Who,
    message::{Change, Changes, List, Listed},
    views::View,
};
use model::room::RoomKey;

/// Everything that is known of rooms in which somebody is, or was lately.
#[derive(Debug, Default)]
pub(super) struct Book {
    rooms: HashMap<RoomKey, Room>,
    others: Others,
    /// When to look at what again, soonest first.
    due: BinaryHeap<Reverse<Due>>,
    /// Rooms whose view may differ from what the book says.
    dirty: HashSet<RoomKey>,
    /// Own changes that no other replica was told of yet.
    unsaid: Vec<(RoomKey, Who)>,
    /// Of what was said last.
    number: u64,
}

/// A room that may close, or somebody in it whose lease may end.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    room: RoomKey,
    who: Option<Who>,
}

// === impl Book ===

impl Book {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One of this replica's own people did something.
    pub(super) fn happened(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Came { room, who, opens } => self.change_own(room, who, now, |person| {
                person.sockets += 1;
                person.opening_sockets += u32::from(opens);
            }),
            Happening::Went { room, who, opens } => self.change_own(room, who, now, |person| {
                person.sockets = person.sockets.saturating_sub(1);
                person.opening_sockets = person.opening_sockets.saturating_sub(u32::from(opens));
            }),
            Happening::Polled {
                room,
                who,
                opens,
                lease,
            } => {
                let until = now + lease;
                self.change_own(room, who, now, |person| {
                    person.lease = Some(Lease { until, opens });
                });
            }
            Happening::Left { room, who } => {
                self.change_own(room, who, now, |person| person.lease = None);
            }
        }
    }

    /// When [`Book::look`] has something to do, if nothing happens before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let own = self.due.peek().map(|Reverse(due)| due.at);
        own.into_iter().chain(self.others.next_due()).min()
    }

    /// Ends leases, closes rooms and forgets replicas whose time has come.
    pub(super) fn look(&mut self, now: Instant) {
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { at, room, who })) = self.due.pop() else {
                break;
            };
            match who {
                Some(who) => self.change_own(room, who, now, |person| {
                    if person.looked_at == Some(at) {
                        person.looked_at = None;
                    }
                    if person.lease.is_some_and(|lease| lease.until <= now) {
                        person.lease = None;
                    }
                }),
                None => self.settle(room, now),
            }
        }
        for replica in self.others.silent(now) {
            self.forget(&replica, now);
        }
    }

    /// What to tell the other replicas, if anything.
    pub(super) fn take_changes(&mut self) -> Option<Changes> {
        if self.unsaid.is_empty() {
            return None;
        }
        self.number += 1;
        let changes = self.unsaid.drain(..).map(|(room, who)| {
            let known = self.rooms.get(&room);
            Change {
                here: known.and_then(|known| known.own(&who)),
                open: known.is_some_and(|known| known.opened),
                who: (*who).to_owned(),
                room,
            }
        });
        Some(Changes {
            number: self.number,
            changes: changes.collect(),
        })
    }

    /// All that this replica knows of its own people, and the number up to which it goes.
    pub(super) fn list(&self) -> List {
        let rooms = self.rooms.iter().filter_map(|(key, room)| {
            let people: Vec<_> = room
                .own_people()
                .map(|(who, opens)| ((**who).to_owned(), opens))
                .collect();
            let told = !people.is_empty() || room.is_left_open();
            told.then(|| Listed {
                room: key.clone(),
                open: room.opened,
                people,
            })
        });
        List::new(self.number, rooms.collect())
    }

    /// The views to replace, and the rooms that opened or closed.
    pub(super) fn take_views(&mut self) -> (Vec<(RoomKey, Option<View>)>, Vec<RoomKey>) {
        let mut changed = Vec::new();
        let mut views = Vec::new();
        for key in self.dirty.drain() {
            let Some(room) = self.rooms.get_mut(&key) else {
                continue;
            };
            if room.shown_open != room.opened {
                room.shown_open = room.opened;
                changed.push(key.clone());
            }
            if room.is_over() {
                self.rooms.remove(&key);
                views.push((key, None));
            } else {
                views.push((key, Some(room.view())));
            }
        }
        (views, changed)
    }

    fn change_own(
        &mut self,
        key: RoomKey,
        who: Who,
        now: Instant,
        change: impl FnOnce(&mut room::Person),
    ) {
        let room = self.rooms.entry(key.clone()).or_default();
        let person = room.here.entry(who.clone()).or_default();
        let before = person.status();
        change(person);
        let after = person.status();
        if let Some(lease) = person.lease
            && person.looked_at.is_none()
        {
            person.looked_at = Some(lease.until);
            self.due.push(Reverse(Due {
                at: lease.until,
                room: key.clone(),
                who: Some(who.clone()),
            }));
        }
        if after.is_none() {
            room.here.remove(&who);
        }
        if before != after {
            self.unsaid.push((key.clone(), who));
        }
        if before != after || after.is_none() {
            self.settle(key, now);
        }
    }

    /// Draws the conclusions for a room in which somebody came or went, or time passed.
    fn settle(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(&key) else {
            return;
        };
        if let Some(closes) = room.settle(now) {
            self.due.push(Reverse(Due {
                at: closes,
                room: key.clone(),
                who: None,
            }));
        }
        self.dirty.insert(key);
    }
}

/// How long a meeting stays open with nobody in it: a reload of the page, a change of network, or
/// a restart of this replica takes less.
const GRACE: Duration = Duration::from_mins(1);
