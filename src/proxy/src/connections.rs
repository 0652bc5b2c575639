//! The registry of a worker's open WebSockets and long polls, by which revocations, moves, reloads and
//! a stop end them.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::{DrainSchedule, shard_upstreams::RoomShard};
use cluster::revocation::{Cause, Revocations};
use model::{random::Random, room::RoomKey, session::Principal};
use observe::metrics::CutReason;

/// The open WebSockets and long polls of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionRegistry(Rc<RefCell<Entries>>);

/// Why the gateway ends a socket or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// A credential of the principal was revoked.
    Revoked(Cause),
    /// The session or visit reached its end.
    Expired,
    /// The gateway stops.
    Shutdown,
    /// The room is on another shard now.
    Moved,
    /// Reloaded rules no longer admit the principal.
    Refused,
}

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
    /// The gateway has stopped: new sockets are ended at once.
    closed: bool,
    /// The number of entries that are held.
    held: usize,
}

#[derive(Debug)]
struct Entry {
    principal: Rc<Principal>,
    kind: ConnectionKind,
    room_shard: Option<RoomShard>,
    /// The room that the policy admitted the principal to; re-evaluated on reload.
    admitted: Option<RoomKey>,
    /// The client is away; its stream at Prosody is kept.
    held: bool,
    end: Option<oneshot::Sender<CloseReason>>,
}

/// The kind of an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    /// A WebSocket: open until either side ends it.
    Socket,
    /// A BOSH request: ends by itself within its `wait`.
    Poll,
}

// === impl ConnectionRegistry ===

impl ConnectionRegistry {
    /// Registers a connection of a principal; on a shard, if there are shards.
    pub(crate) fn register(
        &self,
        principal: Rc<Principal>,
        kind: ConnectionKind,
        room_shard: Option<RoomShard>,
    ) -> Registration {
        let (sender, end) = oneshot::channel();
        let mut entries = self.0.borrow_mut();
        let number = entries.next;
        entries.next += 1;
        let mut entry = Entry {
            principal,
            kind,
            room_shard,
            admitted: None,
            held: false,
            end: Some(sender),
        };
        if entries.closed && kind == ConnectionKind::Socket {
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
            revocations
                .cause(entry.principal.credentials())
                .map(CloseReason::Revoked)
        });
    }

    /// Ends the sockets because the gateway stops, in random order, so that the occupants of one
    /// meeting do not reconnect at the same moment. Sockets opened meanwhile end last. Polls end by
    /// themselves.
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
        self.end_where(|entry| {
            (entry.kind == ConnectionKind::Socket).then_some(CloseReason::Shutdown)
        });
    }

    /// Ends the connections of principals that the policy no longer admits.
    pub(crate) fn end_refused(&self, is_refused: impl Fn(&Principal, &RoomKey) -> bool) {
        self.end_where(|entry| {
            let room = entry.admitted.as_ref()?;
            is_refused(&entry.principal, room).then_some(CloseReason::Refused)
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
            .filter(|(_, entry)| entry.kind == ConnectionKind::Socket);
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
    /// Notes the room that the policy admitted the principal to; a reload re-evaluates it.
    pub(crate) fn admitted_to(&self, room: &RoomKey) {
        let mut entries = self.connections.0.borrow_mut();
        if let Some(entry) = entries.open.get_mut(&self.number) {
            entry.admitted = Some(room.clone());
        }
    }

    /// Whether the stream may be kept while its client is away.
    pub(crate) fn hold(&self) -> bool {
        let mut entries = self.connections.0.borrow_mut();
        let entries = &mut *entries;
        if entries.held >= MAX_HELD {
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
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.connections.0.borrow_mut();
        let entry = entries.open.remove(&self.number);
        entries.held -= usize::from(entry.is_some_and(|entry| entry.held));
    }
}

// === impl CloseReason ===

impl CloseReason {
    /// The label of metrics and the audit line.
    pub(crate) const fn reason(self) -> CutReason {
        match self {
            Self::Revoked(Cause::SignOut) => CutReason::SignOut,
            Self::Revoked(Cause::BackChannel) => CutReason::BackChannel,
            Self::Revoked(Cause::Link) => CutReason::Link,
            Self::Revoked(Cause::Operator) => CutReason::Operator,
            Self::Expired => CutReason::Expired,
            Self::Shutdown => CutReason::Shutdown,
            Self::Moved => CutReason::Moved,
            Self::Refused => CutReason::Rules,
        }
    }

    /// Whether the client may not resume the connection.
    pub(crate) const fn is_for_good(self) -> bool {
        matches!(self, Self::Revoked(_) | Self::Expired | Self::Refused)
    }

    /// The close code for WebSockets (RFC 6455 § 7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Revoked(_) | Self::Expired | Self::Refused => 1008,
            Self::Shutdown | Self::Moved => 1001,
        }
    }
}

/// Streams of one worker whose clients are away. Each costs a connection to Prosody; the clients of a
/// large network that fails together fit in.
const MAX_HELD: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::principal;

    /// When each of so many sockets was ended, in the order in which they were opened, and how long
    /// ending all took.
    fn ended(sockets: usize, spread: DrainSchedule, random: &Random) -> (Vec<Duration>, Duration) {
        local(async {
            let (live, session) = (ConnectionRegistry::default(), session());
            let began = Instant::now();
            let open: Vec<_> = (0..sockets)
                .map(|_| {
                    let mut socket =
                        live.register(Rc::clone(&session), ConnectionKind::Socket, None);
                    tokio::task::spawn_local(async move {
                        assert_eq!(socket.closed().await, CloseReason::Shutdown);
                        began.elapsed()
                    })
                })
                .collect();
            live.end_sockets(spread, random).await;
            let all = began.elapsed();
            let mut times = Vec::new();
            for socket in open {
                times.push(socket.await.unwrap());
            }
            (times, all)
        })
    }

    fn session() -> Rc<Principal> {
        principal()
    }

    fn local<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap()
            .block_on(test)
    }

    const WINDOW: Duration = Duration::from_secs(45);

    #[test]
    fn sockets_end_evenly_over_the_window_in_an_order_that_nobody_chose() {
        let spread = DrainSchedule {
            window: WINDOW,
            head_start: 0.5,
        };
        let (times, all) = ended(90, spread, &Random::predictable(7));
        assert_eq!(all, WINDOW);
        let mut sorted = times.clone();
        sorted.sort_unstable();
        for (position, time) in (0u32..).zip(&sorted) {
            let due = Duration::from_millis(250) + Duration::from_millis(500) * position;
            let late = time.saturating_sub(due);
            assert!(
                *time >= due && late < Duration::from_millis(5),
                "{position}: {time:?}"
            );
        }
        assert_ne!(times, sorted);
        // Those who came one after another, as the people of one meeting do, go far apart.
        let near = times
            .windows(2)
            .filter(|pair| pair[0].abs_diff(pair[1]) < WINDOW / 20);
        assert!(near.count() < 20, "{times:?}");
        assert_ne!(times, ended(90, spread, &Random::predictable(8)).0);
    }

    #[test]
    fn without_a_window_all_end_at_once() {
        let (times, all) = ended(50, DrainSchedule::AT_ONCE, &Random::system());
        assert_eq!((times, all), (vec![Duration::ZERO; 50], Duration::ZERO));
    }

    #[test]
    fn who_comes_while_sockets_end_may_stay_until_the_end_and_polls_are_left_alone() {
        local(async {
            let (live, session) = (ConnectionRegistry::default(), session());
            let spread = DrainSchedule {
                window: WINDOW,
                head_start: 0.0,
            };
            let began = Instant::now();
            let ending = tokio::task::spawn_local({
                let live = live.clone();
                async move { live.end_sockets(spread, &Random::system()).await }
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut late = live.register(Rc::clone(&session), ConnectionKind::Socket, None);
            let mut poll = live.register(Rc::clone(&session), ConnectionKind::Poll, None);
            assert_eq!(late.closed().await, CloseReason::Shutdown);
            assert_eq!(began.elapsed(), WINDOW);
            ending.await.unwrap();
            let mut later = live.register(session, ConnectionKind::Socket, None);
            let later = tokio::time::timeout(WINDOW, later.closed()).await;
            assert_eq!(later, Ok(CloseReason::Shutdown));
            let polling = tokio::time::timeout(WINDOW, poll.closed()).await;
            assert!(polling.is_err());
        });
    }

    #[test]
    fn who_is_in_a_hurry_ends_what_a_spread_has_left() {
        local(async {
            let (live, session) = (ConnectionRegistry::default(), session());
            let mut open: Vec<_> = (0..10)
                .map(|_| live.register(Rc::clone(&session), ConnectionKind::Socket, None))
                .collect();
            let spread = DrainSchedule {
                window: WINDOW,
                head_start: 1.0,
            };
            tokio::task::spawn_local({
                let live = live.clone();
                async move { live.end_sockets(spread, &Random::system()).await }
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            live.end_sockets(DrainSchedule::AT_ONCE, &Random::system())
                .await;
            let began = Instant::now();
            for socket in &mut open {
                assert_eq!(socket.closed().await, CloseReason::Shutdown);
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        });
    }

    proptest! {
        #[test]
        fn none_is_forgotten_and_none_outlives_the_window(
            sockets in 0usize..200,
            seconds in 0u64..100,
            head_start in 0.0f64..=1.0,
        ) {
            let window = Duration::from_secs(seconds);
            let (times, all) = ended(sockets, DrainSchedule { window, head_start }, &Random::system());
            prop_assert_eq!(times.len(), sockets);
            // Tokio's clock has steps of a millisecond.
            let limit = window + Duration::from_millis(2);
            prop_assert!(all <= limit + window / 100 && times.iter().all(|time| *time <= limit));
        }
    }
}
