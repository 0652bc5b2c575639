//! The other replicas: what they say, whether anything was missed, and whether they are alive.

use std::{
    collections::{HashMap, HashSet},
    mem,
    time::Duration,
};

use tokio::time::Instant;

use super::Book;
use crate::presence::message::{Change, Changes, List, Said};
use model::room::RoomKey;

/// What is known of the other replicas, by their names.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<String, Other>);

#[derive(Debug)]
struct Other {
    heard: Instant,
    /// Of the last change that was heard; `None` if one was missed.
    number: Option<u64>,
    /// Its list is being read, and what it said meanwhile.
    reading: Option<Vec<Changes>>,
    /// Where its people are.
    rooms: HashSet<RoomKey>,
}

/// What somebody else has to do for the book.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::presence) enum Errand {
    /// Read a replica's list, and bring it with [`Book::read`].
    Read(String),
    /// Write the own list and tell the others.
    Tell,
}

// === impl Others ===

impl Others {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|other| other.heard + SILENCE).min()
    }

    /// Those that have not been heard of for too long.
    pub(super) fn silent(&self, now: Instant) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, other)| other.heard + SILENCE <= now)
            .map(|(replica, _)| replica.clone())
            .collect()
    }

    fn heard(&mut self, replica: &str, now: Instant) -> &mut Other {
        let other = self.0.entry(replica.to_owned()).or_insert_with(|| Other {
            heard: now,
            number: None,
            reading: None,
            rooms: HashSet::new(),
        });
        other.heard = now;
        other
    }
}

// === impl Other ===

impl Other {
    /// Whether a change is to be applied; notes whether one is missing before it.
    fn takes(&mut self, number: u64) -> bool {
        match self.number {
            Some(last) if number <= last => return false,
            Some(last) if number == last + 1 => self.number = Some(number),
            _ => self.number = None,
        }
        true
    }
}

// === impl Book ===

impl Book {
    /// Another replica said something.
    pub(in crate::presence) fn hear(
        &mut self,
        replica: &str,
        said: Said,
        now: Instant,
    ) -> Option<Errand> {
        match said {
            Said::Who => return Some(Errand::Tell),
            Said::Bye => self.forget(replica, now),
            Said::Beat(number) => {
                let other = self.others.heard(replica, now);
                if other.number != Some(number) && other.reading.is_none() {
                    other.reading = Some(Vec::new());
                    return Some(Errand::Read(replica.to_owned()));
                }
            }
            Said::Changes(changes) => {
                let other = self.others.heard(replica, now);
                match &mut other.reading {
                    Some(meanwhile) => meanwhile.push(changes),
                    None => self.apply(replica, changes, now),
                }
            }
        }
        None
    }

    /// A replica's list was read, or could not be: its next beat is another chance.
    pub(in crate::presence) fn read(&mut self, replica: &str, list: Option<List>, now: Instant) {
        let Some(other) = self.others.0.get_mut(replica) else {
            // It said goodbye meanwhile, or has been silent for too long.
            return;
        };
        let meanwhile = other.reading.take().unwrap_or_default();
        if let Some(list) = list {
            other.number = Some(list.number);
            let before = mem::take(&mut other.rooms);
            self.empty(replica, &before);
            for listed in list.rooms {
                let opened = &mut self.rooms.entry(listed.room.clone()).or_default().opened;
                *opened |= listed.open;
                for (who, opens) in listed.people {
                    let change = Change {
                        room: listed.room.clone(),
                        who,
                        here: Some(opens),
                        open: listed.open,
                    };
                    self.apply_one(replica, change);
                }
                self.settle(listed.room, now);
            }
            for room in before {
                self.settle(room, now);
            }
        }
        for changes in meanwhile {
            self.apply(replica, changes, now);
        }
    }

    /// A replica and its people are gone.
    pub(super) fn forget(&mut self, replica: &str, now: Instant) {
        let Some(other) = self.others.0.remove(replica) else {
            return;
        };
        self.empty(replica, &other.rooms);
        for room in other.rooms {
            self.settle(room, now);
        }
    }

    fn apply(&mut self, replica: &str, changes: Changes, now: Instant) {
        if !self.others.heard(replica, now).takes(changes.number) {
            return;
        }
        for change in changes.changes {
            let room = change.room.clone();
            self.apply_one(replica, change);
            self.settle(room, now);
        }
    }

    fn apply_one(&mut self, replica: &str, change: Change) {
        let Some(other) = self.others.0.get_mut(replica) else {
            return;
        };
        let room = self.rooms.entry(change.room.clone()).or_default();
        if let Some(opens) = change.here {
            room.opened |= change.open;
            let people = room.elsewhere.entry(replica.to_owned()).or_default();
            people.insert(change.who.into(), opens);
            other.rooms.insert(change.room);
        } else if let Some(people) = room.elsewhere.get_mut(replica) {
            people.remove(&*change.who);
            if people.is_empty() {
                room.elsewhere.remove(replica);
                other.rooms.remove(&change.room);
            }
        }
    }

    fn empty(&mut self, replica: &str, rooms: &HashSet<RoomKey>) {
        for room in rooms {
            if let Some(room) = self.rooms.get_mut(room) {
                room.elsewhere.remove(replica);
            }
        }
    }
}

/// After so long without a word a replica is taken for dead: three beats.
pub(in crate::presence) const SILENCE: Duration = Duration::from_secs(30);
