//! Replicas over one store, in paused time.

use tokio::{
    task::JoinHandle,
    time::{Instant, advance},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    replication::testing::run_until_idle,
    store::{
        MemoryStore, Store, StoreState, Topic,
        testing::{RedisServer, until},
    },
};

/// Presence whose task runs.
struct Replica {
    presence: Arc<Presence>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The state of a room on one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    open: bool,
    host: bool,
    occupants: u32,
}

// === impl Replica ===

impl Replica {
    fn start(store: &Arc<dyn Store>) -> Self {
        let (presence, sync) = Presence::new(&Random::system());
        let stop = CancellationToken::new();
        let task = tokio::spawn(sync.run(Arc::clone(store), stop.clone()));
        Self {
            presence,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    fn seen(&self, room: &RoomKey) -> Seen {
        Seen {
            open: self.presence.is_open(room),
            host: self.presence.is_host_present(room),
            occupants: self.presence.occupant_count(room),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// A host is present.
    fn hosted(occupants: u32) -> Self {
        Self {
            open: true,
            host: true,
            occupants,
        }
    }

    /// A host opened the meeting and has left.
    fn open(occupants: u32) -> Self {
        Self {
            open: true,
            host: false,
            occupants,
        }
    }

    /// No host has opened the meeting.
    fn closed(occupants: u32) -> Self {
        Self {
            open: false,
            host: false,
            occupants,
        }
    }
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_text(name).unwrap()
}

fn person(name: &str) -> SessionId {
    SessionId::from(name)
}

async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        run_until_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_opens_the_room_and_guests_keep_it_open() {
    let replica = Replica::start(&memory());
    let mut changes = replica.presence.changes();
    let (r, presence) = (room("r"), &replica.presence);
    let guest = presence.attend(&r, &person("guest"), false);
    run_until_idle().await;
    assert_eq!(replica.seen(&r), Seen::closed(1));
    let host = presence.attend(&r, &person("host"), true);
    run_until_idle().await;
    assert_eq!(replica.seen(&r), Seen::hosted(2));
    assert_eq!(changes.try_recv(), Ok(r.clone()));
    assert!(presence.is_present(&r, &person("host")) && !presence.is_present(&r, &person("x")));
    drop(host);
    pass(600).await;
    assert_eq!(replica.seen(&r), Seen::open(1));
    drop(guest);
    pass(50).await;
    assert_eq!(replica.seen(&r), Seen::open(0));
    assert!(changes.try_recv().is_err());
    pass(15).await;
    assert_eq!(replica.seen(&r), Seen::closed(0));
    assert_eq!(changes.try_recv(), Ok(r));
}

#[tokio::test(start_paused = true)]
async fn an_empty_room_stays_open_for_a_minute() {
    let replica = Replica::start(&memory());
    let (r, presence) = (room("r"), &replica.presence);
    drop(presence.attend(&r, &person("host"), true));
    pass(50).await;
    let guest = presence.attend(&r, &person("guest"), false);
    pass(300).await;
    assert_eq!(replica.seen(&r), Seen::open(1));
    drop(guest);
    pass(61).await;
    assert_eq!(replica.seen(&r), Seen::closed(0));
    let _guest = presence.attend(&r, &person("guest"), false);
    run_until_idle().await;
    assert_eq!(
        replica.seen(&r),
        Seen::closed(1),
        "a new meeting without a host"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_makes_an_occupant_until_it_expires_or_ends() {
    let replica = Replica::start(&memory());
    let (r, presence) = (room("r"), &replica.presence);
    let (host, lease) = (person("host"), Duration::from_secs(30));
    for _ in 0..5 {
        presence.renew_lease(&r, &host, true, lease);
        pass(20).await;
        assert_eq!(replica.seen(&r), Seen::hosted(1));
    }
    pass(15).await;
    assert_eq!(replica.seen(&r), Seen::open(0));
    presence.renew_lease(&r, &host, true, lease);
    run_until_idle().await;
    let socket = presence.attend(&r, &host, false);
    presence.end_lease(&r, &host);
    run_until_idle().await;
    assert_eq!(
        replica.seen(&r),
        Seen::open(1),
        "one person with two connections"
    );
    drop(socket);
    run_until_idle().await;
    assert_eq!(replica.seen(&r), Seen::open(0));
}

#[tokio::test(start_paused = true)]
async fn the_roster_forgets_expired_leases_and_empty_rooms() {
    let mut roster = Roster::default();
    let now = Instant::now();
    let lease = Duration::from_secs(30);
    for n in 0..1000_u64 {
        let renewed = PresenceEvent::LeaseRenewed {
            room: room(&format!("r{}", n % 10)),
            person: format!("{}", n % 3).into(),
            is_host: true,
            lease,
        };
        roster.apply_local(renewed, now + Duration::from_secs(n));
    }
    roster.expire(now + Duration::from_secs(1100));
    roster.expire(now + Duration::from_mins(20));
    roster.take_view_changes();
    assert!(format!("{roster:?}").contains("rooms: {}, "), "{roster:?}");
    assert_eq!(roster.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn occupants_of_all_replicas_count_and_a_person_on_two_counts_once() {
    let store = memory();
    let (a, b) = (Replica::start(&store), Replica::start(&store));
    run_until_idle().await;
    let mut changes = b.presence.changes();
    let r = room("acme/r");
    let host = a.presence.attend(&r, &person("host"), true);
    run_until_idle().await;
    assert_eq!(b.seen(&r), Seen::hosted(1));
    assert_eq!(changes.try_recv(), Ok(r.clone()));
    let again = b.presence.attend(&r, &person("host"), true);
    run_until_idle().await;
    assert_eq!((a.seen(&r), b.seen(&r)), (Seen::hosted(1), Seen::hosted(1)));
    drop(host);
    run_until_idle().await;
    assert_eq!((a.seen(&r), b.seen(&r)), (Seen::hosted(1), Seen::hosted(1)));
    drop(again);
    run_until_idle().await;
    assert_eq!(a.seen(&r), Seen::open(0));
    pass(61).await;
    assert_eq!((a.seen(&r), b.seen(&r)), (Seen::closed(0), Seen::closed(0)));
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_learns_the_occupants() {
    let store = memory();
    let a = Replica::start(&store);
    let (r, left) = (room("r"), room("left"));
    let _guest = a.presence.attend(&r, &person("guest"), false);
    drop(a.presence.attend(&r, &person("host"), true));
    drop(a.presence.attend(&left, &person("host"), true));
    run_until_idle().await;
    let b = Replica::start(&store);
    run_until_idle().await;
    assert_eq!(b.seen(&r), Seen::open(1), "a host opened the meeting");
    assert_eq!(b.seen(&left), Seen::open(0), "within the grace period");
    pass(61).await;
    assert_eq!(b.seen(&left), Seen::closed(0));
    assert_eq!(b.seen(&r), Seen::open(1));
}

#[tokio::test(start_paused = true)]
async fn occupants_of_a_replica_that_stops_or_dies_are_removed() {
    let store = memory();
    let (a, b, c) = (
        Replica::start(&store),
        Replica::start(&store),
        Replica::start(&store),
    );
    let r = room("r");
    let of_a = a.presence.attend(&r, &person("a"), true);
    let of_b = b.presence.attend(&r, &person("b"), false);
    run_until_idle().await;
    assert_eq!(c.seen(&r), Seen::hosted(2));
    a.stop().await;
    run_until_idle().await;
    assert_eq!(c.seen(&r), Seen::open(1), "after the replica left");
    b.task.abort();
    pass(25).await;
    assert_eq!(c.seen(&r), Seen::open(1));
    pass(10).await;
    assert_eq!(c.seen(&r), Seen::open(0), "after the timeout");
    drop((of_a, of_b));
}

#[tokio::test(start_paused = true)]
async fn a_missed_change_is_repaired_by_the_next_heartbeat() {
    let store = memory();
    let (a, b) = (Replica::start(&store), Replica::start(&store));
    let r = room("r");
    run_until_idle().await;
    let host = a.presence.attend(&r, &person("host"), true);
    run_until_idle().await;
    // A forged message in the name of `a` creates a gap in its numbers.
    let change = message::Change {
        room: r.clone(),
        person: "ghost".to_owned(),
        presence: Some(true),
        open: true,
    };
    let changes = message::Changes {
        number: 77,
        changes: vec![change],
    };
    let payload = message::Payload::Changes(changes);
    let text = message::Message::to_json(&a.presence.replica, payload);
    store.publish(Topic::Presence, &text).await.unwrap();
    run_until_idle().await;
    assert_eq!(b.seen(&r), Seen::hosted(2));
    pass(10).await;
    assert_eq!(b.seen(&r), Seen::hosted(1));
    drop(host);
    run_until_idle().await;
    assert_eq!(b.seen(&r), Seen::open(0), "and later changes apply at once");
}

#[tokio::test(start_paused = true)]
async fn invalid_messages_are_ignored() {
    let store = memory();
    let a = Replica::start(&store);
    let r = room("r");
    let _host = a.presence.attend(&r, &person("host"), true);
    for text in ["", "{}", "[1]", "{\"v\":2,\"replica\":\"x\",\"bye\":null}"] {
        store.publish(Topic::Presence, text).await.unwrap();
    }
    run_until_idle().await;
    assert_eq!(a.seen(&r), Seen::hosted(1));
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn presence_flows_over_redis_and_is_repaired_after_an_outage() {
    let mut server = RedisServer::start(&[]);
    let stores = [server.store("", "n"), server.store("", "n")];
    let [a, b] = stores
        .each_ref()
        .map(|connected| Replica::start(&(Arc::clone(&connected.store) as Arc<dyn Store>)));
    stores[0].until_ready().await;
    stores[1].until_ready().await;
    let r = room("r");
    let host = a.presence.attend(&r, &person("host"), true);
    let began = Instant::now();
    until(|| (b.seen(&r) == Seen::hosted(1)).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1));

    server.kill().await;
    let lost = |state: &StoreState| *state != StoreState::Ready;
    stores[0].until(lost).await;
    stores[1].until(lost).await;
    drop(host);
    let guest = b.presence.attend(&r, &person("guest"), false);
    until(|| (a.seen(&r) == Seen::open(0)).then_some(())).await;
    until(|| (b.seen(&r) == Seen::hosted(2)).then_some(())).await;
    server.launch();
    until(|| (a.seen(&r) == Seen::open(1)).then_some(())).await;
    until(|| (b.seen(&r) == Seen::open(1)).then_some(())).await;
    drop(guest);
    a.stop().await;
    b.stop().await;
}
