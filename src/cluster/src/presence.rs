//! The occupants of rooms, on this replica and the others: whether a meeting is open, whether its
//! host is present, how many people are in it.
//!
//! The request path reports joins and leaves, and reads views; neither waits. One task on the
//! control plane ([`PresenceSync::run`]) keeps the roster, publishes views, and exchanges changes
//! with the other replicas. While the store is unreachable, each replica continues with its own
//! roster.

mod message;
mod roster;
mod sync;

use std::{collections::HashSet, sync::Arc, time::Duration};

use model::{random::Random, room::RoomKey, session::SessionId};
use tokio::sync::{broadcast, mpsc::UnboundedSender};

pub use self::sync::PresenceSync;
use self::{roster::Roster, sync::Machine};
use crate::{
    replication::{self, Replication},
    striped_map::StripedMap,
};

/// The occupants of all rooms; shared by all workers.
#[derive(Debug)]
pub struct Presence {
    views: StripedMap<RoomKey, Arc<RoomView>>,
    inbox: UnboundedSender<PresenceEvent>,
    changes: broadcast::Sender<RoomKey>,
    /// Random name of this replica, new at each start.
    replica: String,
}

/// A person's WebSocket in a room; dropping it reports the leave.
#[derive(Debug)]
pub struct Attendance {
    inbox: UnboundedSender<PresenceEvent>,
    room: RoomKey,
    person: PersonId,
    is_host: bool,
}

/// A room with occupants, or one that is open still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomOccupancy {
    /// The room.
    pub room: RoomKey,
    /// As [`Presence::is_open`] says.
    pub is_open: bool,
    /// The number of occupants on all replicas.
    pub occupants: usize,
}

/// Totals for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceTotals {
    /// Rooms with at least one occupant.
    pub rooms: usize,
    /// Occupants of all rooms.
    pub occupants: usize,
}

/// The state of one room. A view is immutable; a change replaces it.
#[derive(Debug)]
struct RoomView {
    is_open: bool,
    has_host: bool,
    /// Occupants on all replicas.
    people: HashSet<PersonId>,
}

/// The text of a [`SessionId`]: one person in one browser, with any number of connections.
type PersonId = Arc<str>;

/// A change on this replica. `is_host` if the person may start the meeting.
#[derive(Debug)]
enum PresenceEvent {
    SocketOpened {
        room: RoomKey,
        person: PersonId,
        is_host: bool,
    },
    SocketClosed {
        room: RoomKey,
        person: PersonId,
        is_host: bool,
    },
    LeaseRenewed {
        room: RoomKey,
        person: PersonId,
        is_host: bool,
        lease: Duration,
    },
    LeaseEnded {
        room: RoomKey,
        person: PersonId,
    },
}

// === impl Presence ===

impl Presence {
    /// Creates an empty registry and the task that keeps and replicates it.
    pub fn new(random: &Random) -> (Arc<Self>, PresenceSync) {
        let (inbox, inputs) = replication::inbox();
        let presence = Arc::new(Self {
            views: StripedMap::new(STRIPES),
            inbox,
            changes: broadcast::Sender::new(CHANGE_CAPACITY),
            replica: random.text::<9>(),
        });
        let machine = Machine::new(Arc::clone(&presence));
        let sync = PresenceSync::new(Replication::new(machine, inputs));
        (presence, sync)
    }

    /// Makes a person an occupant until the guard is dropped.
    pub fn attend(&self, room: &RoomKey, session: &SessionId, is_host: bool) -> Attendance {
        let attendance = Attendance {
            inbox: self.inbox.clone(),
            room: room.clone(),
            person: session.as_str().into(),
            is_host,
        };
        self.report(PresenceEvent::SocketOpened {
            room: attendance.room.clone(),
            person: Arc::clone(&attendance.person),
            is_host,
        });
        attendance
    }

    /// Makes a person an occupant for the duration of the lease. A BOSH stream renews it with its
    /// requests.
    pub fn renew_lease(&self, room: &RoomKey, session: &SessionId, is_host: bool, lease: Duration) {
        self.report(PresenceEvent::LeaseRenewed {
            room: room.clone(),
            person: session.as_str().into(),
            is_host,
            lease,
        });
    }

    /// Ends a lease early.
    pub fn end_lease(&self, room: &RoomKey, session: &SessionId) {
        self.report(PresenceEvent::LeaseEnded {
            room: room.clone(),
            person: session.as_str().into(),
        });
    }

    /// Whether the meeting is open: a host is present, or was and the room has not been empty for a
    /// minute since.
    pub fn is_open(&self, room: &RoomKey) -> bool {
        self.read(room, |view| view.is_open)
    }

    /// Whether a person is an occupant, on any replica.
    pub fn is_present(&self, room: &RoomKey, session: &SessionId) -> bool {
        self.read(room, |view| view.people.contains(session.as_str()))
    }

    /// The number of occupants; a person with several connections counts once.
    pub fn occupant_count(&self, room: &RoomKey) -> u32 {
        let count = self.read(room, |view| view.people.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether a person who may start the meeting is an occupant.
    pub fn is_host_present(&self, room: &RoomKey) -> bool {
        self.read(room, |view| view.has_host)
    }

    /// The occupants of a room, on all replicas, each by the text of its [`SessionId`].
    pub fn occupants(&self, room: &RoomKey) -> Vec<Arc<str>> {
        self.read(room, |view| view.people.iter().cloned().collect())
    }

    /// All rooms, in no order.
    pub fn rooms(&self) -> Vec<RoomOccupancy> {
        let mut rooms = Vec::new();
        self.views.for_each(|room, view| {
            rooms.push(RoomOccupancy {
                room: room.clone(),
                is_open: view.is_open,
                occupants: view.people.len(),
            });
        });
        rooms
    }

    /// Counts rooms and occupants.
    pub fn totals(&self) -> PresenceTotals {
        let mut totals = PresenceTotals::default();
        self.views.for_each(|_, view| {
            totals.rooms += usize::from(!view.people.is_empty());
            totals.occupants += view.people.len();
        });
        totals
    }

    /// Subscribes to rooms that open or close. On `Lagged`, check all rooms of interest.
    pub fn changes(&self) -> broadcast::Receiver<RoomKey> {
        self.changes.subscribe()
    }

    fn read<T: Default>(&self, room: &RoomKey, read: impl FnOnce(&RoomView) -> T) -> T {
        self.views.read(room, |view| read(view)).unwrap_or_default()
    }

    fn report(&self, event: PresenceEvent) {
        // Fails only at stop, when the task has ended.
        let _ = self.inbox.send(event);
    }

    /// Publishes the views of rooms that changed, then the rooms that opened or closed. In this
    /// order, a subscriber that reads a view on a change finds the new one.
    fn publish(&self, roster: &mut Roster) {
        let changes = roster.take_view_changes();
        self.views
            .update(changes.views, |stripe, room, view| match view {
                Some(view) => stripe.insert(room, Arc::new(view)),
                None => stripe.remove(&room),
            });
        for room in changes.toggled {
            // Fails without subscribers.
            let _ = self.changes.send(room);
        }
    }
}

// === impl Attendance ===

impl Drop for Attendance {
    fn drop(&mut self) {
        let _ = self.inbox.send(PresenceEvent::SocketClosed {
            room: self.room.clone(),
            person: Arc::clone(&self.person),
            is_host: self.is_host,
        });
    }
}

/// With ten thousand rooms, a change copies about forty entries.
const STRIPES: usize = 256;

/// Capacity of a subscription to changes: more rooms than open within a second in any deployment. A
/// subscriber that falls behind checks all of its rooms.
const CHANGE_CAPACITY: usize = 1024;

#[cfg(test)]
mod tests;
