//! The registry of a worker's open WebSockets and long polls, by which revocations, moves, reloads and
//! a stop end them.

mod close_reason;

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

pub(crate) use self::close_reason::{CloseReason, SIGNED_OUT};
use crate::{
    DrainSchedule,
    revalidation::{Revalidations, SessionHold},
    shard_upstreams::RoomShard,
    table_memory::shrink_if_sparse,
};
use cluster::revocation::Revocations;
use model::{random::Random, room::RoomKey, session::Principal};

/// The open WebSockets and long polls of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionRegistry(Rc<RefCell<Entries>>);

/// An open socket or poll; deregisters on drop.
#[derive(Debug)]
pub(crate) struct Registration {
    connections: ConnectionRegistry,
    number: u64,
    end: oneshot::Receiver<CloseReason>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: HashMap<u64, Entry>,
    /// The gateway has stopped: new connections are ended at once.
    closed: bool,
    /// The number of entries that are held.
    held: usize,
    /// Told which members' sessions are in use.
    revalidations: Option<Arc<Revalidations>>,
}

#[derive(Debug)]
struct Entry {
    owner: ConnectionOwner,
    kind: ConnectionKind,
    room_shard: Option<RoomShard>,
    /// What the policy admitted the principal to; re-evaluated on reload.
    admitted: Option<AdmissionScope>,
    /// The client is away; its stream at Prosody is kept.
    held: bool,
    end: Option<oneshot::Sender<CloseReason>>,
    _session: Option<SessionHold>,
}

/// Whose connection it is.
#[derive(Clone, Debug)]
pub(crate) enum ConnectionOwner {
    /// A person with credentials.
    Principal(Rc<Principal>),
    /// A client without any, at a location for anybody; its address, if it is known.
    Address(Option<IpAddr>),
}

/// What the policy admitted the principal of a connection to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdmissionScope {
    /// One room.
    Room(RoomKey),
    /// Some room, whichever.
    SomeRoom,
    /// Nothing but what every member may.
    Account,
}

/// The kind of an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    /// A WebSocket: open until either side ends it.
    Socket,
    /// A BOSH request, which ends within its `wait`, or an event stream.
    Poll,
    /// A WebSocket that is not XMPP.
    LocationSocket,
    /// A request to a location, with its response.
    LocationRequest,
}

// === impl ConnectionRegistry ===

impl ConnectionRegistry {
    /// A registry whose connections keep members' sessions in use.
    pub(crate) fn new(revalidations: Arc<Revalidations>) -> Self {
        let registry = Self::default();
        registry.0.borrow_mut().revalidations = Some(revalidations);
        registry
    }

    /// Registers a connection of a principal; on a shard, if there are shards.
    pub(crate) fn register(
        &self,
        principal: Rc<Principal>,
        kind: ConnectionKind,
        room_shard: Option<RoomShard>,
    ) -> Registration {
        self.add(ConnectionOwner::Principal(principal), kind, room_shard)
    }

    /// Registers a connection to a location; `None` if its owner has too many sockets open.
    pub(crate) fn register_location(
        &self,
        owner: ConnectionOwner,
        kind: ConnectionKind,
    ) -> Option<Registration> {
        if kind == ConnectionKind::LocationSocket {
            let entries = self.0.borrow();
            let sockets = entries.open.values().filter(|entry| entry.kind == kind);
            let of_owner = sockets.filter(|entry| entry.owner.is_same(&owner)).count();
            let most = match &owner {
                ConnectionOwner::Principal(_) => MAX_LOCATION_SOCKETS_OF_ONE,
                ConnectionOwner::Address(_) => MAX_LOCATION_SOCKETS_OF_ADDRESS,
            };
            if of_owner >= most {
                return None;
            }
        }
        Some(self.add(owner, kind, None))
    }

    fn add(
        &self,
        owner: ConnectionOwner,
        kind: ConnectionKind,
        room_shard: Option<RoomShard>,
    ) -> Registration {
        let (sender, end) = oneshot::channel();
        let mut entries = self.0.borrow_mut();
        let number = entries.next;
        entries.next += 1;
        let revalidations = entries.revalidations.as_ref();
        let session = revalidations.and_then(|it| it.hold(owner.principal()?));
        let mut entry = Entry {
            _session: session,
            owner,
            kind,
            room_shard,
            admitted: None,
            held: false,
            end: Some(sender),
        };
        if entries.closed && kind.ends_at_stop() {
            entry.end(CloseReason::Shutdown);
        }
        entries.open.insert(number, entry);
        Registration {
            connections: self.clone(),
            number,
            end,
        }
    }

    /// Ends all connections of revoked principals.
    pub(crate) fn end_revoked(&self, revocations: &Revocations) {
        self.end_where(|entry| {
            let principal = entry.owner.principal()?;
            revocations
                .cause(principal.credentials())
                .map(CloseReason::Revoked)
        });
    }

    /// Ends the sockets because the gateway stops, in random order, so that the occupants of one
    /// meeting do not reconnect at the same moment. Sockets opened meanwhile end last, and polls with
    /// them, which would be open for up to a minute.
    pub(crate) async fn end_sockets(&self, spread: DrainSchedule, random: &Random) {
        let began = Instant::now();
        if !spread.window.is_zero() {
            let order = self.sockets_shuffled(random);
            let pause = spread.window / u32::try_from(order.len()).unwrap_or(u32::MAX).max(1);
            let mut turn = began + pause.mul_f64(spread.head_start);
            for number in order {
                sleep_until(turn).await;
                if let Some(entry) = self.0.borrow_mut().open.get_mut(&number) {
                    entry.end(CloseReason::Shutdown);
                }
                turn += pause;
            }
            sleep_until(began + spread.window).await;
        }
        self.0.borrow_mut().closed = true;
        self.end_where(|entry| entry.kind.ends_at_stop().then_some(CloseReason::Shutdown));
    }

    /// Ends the connections of admitted principals for which there is a reason now.
    pub(crate) fn end_admitted(
        &self,
        reason: impl Fn(&Principal, &AdmissionScope) -> Option<CloseReason>,
    ) {
        self.end_where(|entry| {
            let (scope, principal) = (entry.admitted.as_ref()?, entry.owner.principal()?);
            reason(principal, scope)
        });
    }

    /// Ends the connections that are on a shard which they have to leave.
    pub(crate) fn end_moved(&self, has_moved: impl Fn(&RoomShard) -> bool) {
        let moved = |entry: &Entry| entry.room_shard.as_ref().is_some_and(&has_moved);
        self.end_where(|entry| moved(entry).then_some(CloseReason::Moved));
    }

    /// The numbers of the open sockets, by Fisher and Yates.
    fn sockets_shuffled(&self, random: &Random) -> Vec<u64> {
        let entries = self.0.borrow();
        let sockets = entries
            .open
            .iter()
            .filter(|(_, entry)| entry.kind.is_socket());
        let mut order: Vec<u64> = sockets.map(|(number, _)| *number).collect();
        for last in (1..order.len()).rev() {
            // With 64 bits the bias of the remainder is negligible.
            let chosen = u64::from_be_bytes(random.bytes()) % (last as u64 + 1);
            order.swap(last, usize::try_from(chosen).unwrap_or(last));
        }
        order
    }

    fn end_where(&self, why: impl Fn(&Entry) -> Option<CloseReason>) {
        for entry in self.0.borrow_mut().open.values_mut() {
            if let Some(why) = why(entry) {
                entry.end(why);
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn end(&mut self, why: CloseReason) {
        if let Some(end) = self.end.take() {
            // A dropped receiver is ending anyway.
            let _ = end.send(why);
        }
    }
}

// === impl Registration ===

impl Registration {
    /// Notes what the policy admitted the principal to; a reload re-evaluates it.
    pub(crate) fn admitted_to(&self, scope: AdmissionScope) {
        let mut entries = self.connections.0.borrow_mut();
        if let Some(entry) = entries.open.get_mut(&self.number) {
            entry.admitted = Some(scope);
        }
    }

    /// Whether the stream may be kept while its client is away.
    pub(crate) fn hold(&self) -> bool {
        let mut entries = self.connections.0.borrow_mut();
        let entries = &mut *entries;
        let Some(entry) = entries.open.get(&self.number) else {
            return false;
        };
        let of_person = |other: &&Entry| other.held && other.owner.is_same(&entry.owner);
        let of_one = entries.open.values().filter(of_person).count();
        if entries.held >= MAX_HELD || of_one >= MAX_HELD_OF_ONE {
            return false;
        }
        if let Some(entry) = entries.open.get_mut(&self.number) {
            entry.held = true;
            entries.held += 1;
        }
        true
    }

    /// Waits until the connection is to be closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn closed(&mut self) -> CloseReason {
        // The sender lives as long as the entry, and the entry as long as this.
        (&mut self.end).await.unwrap_or(CloseReason::Shutdown)
    }

    /// Polls [`closed`](Self::closed).
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        Pin::new(&mut self.end)
            .poll(cx)
            .map(|end| end.unwrap_or(CloseReason::Shutdown))
    }
}

// === impl ConnectionOwner ===

impl ConnectionOwner {
    /// The person, if there is one.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Principal(principal) => Some(principal),
            Self::Address(_) => None,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Principal(one), Self::Principal(other)) => one.id() == other.id(),
            (Self::Address(Some(one)), Self::Address(Some(other))) => one == other,
            _ => false,
        }
    }
}

// === impl ConnectionKind ===

impl ConnectionKind {
    /// Whether it stays open until a side ends it.
    const fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::LocationSocket)
    }

    /// Whether a stop ends it. A response of a location is delivered within the grace period.
    const fn ends_at_stop(self) -> bool {
        !matches!(self, Self::LocationRequest)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.connections.0.borrow_mut();
        let entry = entries.open.remove(&self.number);
        shrink_if_sparse(&mut entries.open);
        entries.held -= usize::from(entry.is_some_and(|entry| entry.held));
    }
}

/// Streams of one worker whose clients are away. Each costs a connection to Prosody; the clients of a
/// large network that fails together fit in.
const MAX_HELD: usize = 1024;

/// Whiteboard, notes and statistics of all tabs and devices of one session.
const MAX_LOCATION_SOCKETS_OF_ONE: usize = 32;

/// A school comes from one address.
const MAX_LOCATION_SOCKETS_OF_ADDRESS: usize = 512;

/// Tabs and devices of one session whose network fails at once.
const MAX_HELD_OF_ONE: usize = 8;

#[cfg(test)]
mod tests;
