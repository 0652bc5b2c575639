//! Who is in which room, on this replica and on the others: whether a meeting is open, whether its
//! host is there, how many people are in it.
//!
//! The request path says who comes and goes and reads views; it waits for nobody. One task on the
//! control plane ([`Presence::run`]) keeps the book, publishes the views, and talks with the other
//! replicas through the store. Without the store this replica's own knowledge goes on.

mod book;
mod message;
mod talk;
mod views;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use self::{book::Book, talk::Talk, views::Views};
use crate::store::Store;
use model::{random::Random, room::RoomKey, session::SessionId};

/// Who is in which room; shared by all workers.
#[derive(Debug)]
pub struct Presence {
    views: Views,
    happenings: mpsc::UnboundedSender<Happening>,
    /// For the task, which takes it.
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Happening>>>,
    changes: broadcast::Sender<RoomKey>,
    /// This replica's random name.
    replica: String,
}

/// Somebody's WebSocket in a room; dropping it is leaving.
#[derive(Debug)]
pub struct Attendance {
    happenings: mpsc::UnboundedSender<Happening>,
    room: RoomKey,
    who: Who,
    opens: bool,
}

/// The text of a [`SessionId`]: one person in one browser, however many connections.
type Who = Arc<str>;

/// What the request path tells the book.
#[derive(Debug)]
enum Happening {
    Came {
        room: RoomKey,
        who: Who,
        opens: bool,
    },
    Went {
        room: RoomKey,
        who: Who,
        opens: bool,
    },
    Polled {
        room: RoomKey,
        who: Who,
        opens: bool,
        lease: Duration,
    },
    Left {
        room: RoomKey,
        who: Who,
    },
}

// === impl Presence ===

impl Presence {
    /// Nobody anywhere.
    pub fn new(random: &Random) -> Self {
        let (happenings, inbox) = mpsc::unbounded_channel();
        Self {
            views: Views::new(),
            happenings,
            inbox: Mutex::new(Some(inbox)),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            replica: random.text::<9>(),
        }
    }

    /// Somebody is in a room until the answer is dropped. `opens` if they may start the meeting.
    pub fn attend(&self, room: &RoomKey, who: &SessionId, opens: bool) -> Attendance {
        let attendance = Attendance {
            happenings: self.happenings.clone(),
            room: room.clone(),
            who: who.as_str().into(),
            opens,
        };
        self.happened(Happening::Came {
            room: attendance.room.clone(),
            who: Arc::clone(&attendance.who),
            opens,
        });
        attendance
    }

    /// Somebody is in a room for as long as the lease lasts: a BOSH stream says so with each poll.
    pub fn touch(&self, room: &RoomKey, who: &SessionId, opens: bool, lease: Duration) {
        self.happened(Happening::Polled {
            room: room.clone(),
            who: who.as_str().into(),
            opens,
            lease,
        });
    }

    /// Ends a lease before its time.
    pub fn leave(&self, room: &RoomKey, who: &SessionId) {
        self.happened(Happening::Left {
            room: room.clone(),
            who: who.as_str().into(),
        });
    }

    /// Whether the meeting goes on: somebody who may start it is there; or was, and people still
    /// are, or were less than a minute ago.
    pub fn is_open(&self, room: &RoomKey) -> bool {
        self.views.read(room, |view| view.open).unwrap_or(false)
    }

    /// Whether somebody is there, on any replica.
    pub fn is_here(&self, room: &RoomKey, who: &SessionId) -> bool {
        let here = |view: &views::View| view.people.contains(who.as_str());
        self.views.read(room, here).unwrap_or(false)
    }

    /// How many people are there; each counts once, whatever they have open wherever.
    pub fn people(&self, room: &RoomKey) -> u32 {
        let count = |view: &views::View| u32::try_from(view.people.len()).unwrap_or(u32::MAX);
        self.views.read(room, count).unwrap_or(0)
    }

    /// Whether somebody who may start the meeting is there.
    pub fn host_is_here(&self, room: &RoomKey) -> bool {
        self.views.read(room, |view| view.host).unwrap_or(false)
    }

    /// How many rooms have somebody in them, and how many people are in rooms.
    pub fn totals(&self) -> (usize, usize) {
        self.views.totals()
    }

    /// Hears of rooms that open or close. Whoever lags has to look at all that they care for.
    pub fn changes(&self) -> broadcast::Receiver<RoomKey> {
        self.changes.subscribe()
    }

    /// Keeps the book until told to stop; says goodbye to the other replicas then.
    pub async fn run(self: Arc<Self>, store: Arc<dyn Store>, stopped: CancellationToken) {
        let inbox = self
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(inbox) = inbox else { return };
        let book = Book::new();
        Talk::new(&self, store, book).run(inbox, stopped).await;
    }

    fn happened(&self, happening: Happening) {
        // The task is gone only when everything stops.
        let _ = self.happenings.send(happening);
    }

    /// Shows what the book says now of the rooms in which something changed.
    fn show(&self, book: &mut Book) {
        let (views, changed) = book.take_views();
        self.views.write(views);
        for room in changed {
            // Nobody may be listening.
            let _ = self.changes.send(room);
        }
    }
}

// === impl Attendance ===

impl Drop for Attendance {
    fn drop(&mut self) {
        let _ = self.happenings.send(Happening::Went {
            room: self.room.clone(),
            who: Arc::clone(&self.who),
            opens: self.opens,
        });
    }
}

/// How many changes a listener may be behind: more than rooms open in a second.
const CHANGES_KEPT: usize = 1024;

#[cfg(test)]
mod tests;
