//! Replicas over one store, in paused time.

use tokio::time::{advance, sleep};

use super::*;
use crate::store::{Memory, Topic, testing::Server};

/// A replica whose task runs.
struct Replica {
    presence: Arc<Presence>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    fn start(store: &Arc<dyn Store>) -> Self {
        let presence = Arc::new(Presence::new(&Random::system()));
        let stop = CancellationToken::new();
        let running = Arc::clone(&presence).run(Arc::clone(store), stop.clone());
        Self {
            presence,
            stop,
            task: tokio::spawn(running),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Open, host is here, people.
    fn sees(&self, room: &RoomKey) -> (bool, bool, u32) {
        let presence = &self.presence;
        (
            presence.is_open(room),
            presence.host_is_here(room),
            presence.people(room),
        )
    }
}

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_text(name).unwrap()
}

fn person(name: &str) -> SessionId {
    SessionId::from(name)
}

/// Lets every task do what it can do now.
async fn settle() {
    // The clock stands still but for this, and moves when nothing else is left to do.
    sleep(Duration::from_millis(50)).await;
}

async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_opens_the_room_and_guests_keep_it_open() {
    let replica = Replica::start(&memory());
    let mut changes = replica.presence.changes();
    let (r, presence) = (room("r"), &replica.presence);
    let guest = presence.attend(&r, &person("guest"), false);
    settle().await;
    assert_eq!(replica.sees(&r), (false, false, 1));
    let host = presence.attend(&r, &person("host"), true);
    settle().await;
    assert_eq!(replica.sees(&r), (true, true, 2));
    assert_eq!(changes.try_recv(), Ok(r.clone()));
    assert!(presence.is_here(&r, &person("host")) && !presence.is_here(&r, &person("x")));
    drop(host);
    pass(600).await;
    assert_eq!(replica.sees(&r), (true, false, 1));
    drop(guest);
    pass(50).await;
    assert_eq!(replica.sees(&r), (true, false, 0));
    assert!(changes.try_recv().is_err());
    pass(15).await;
    assert_eq!(replica.sees(&r), (false, false, 0));
    assert_eq!(changes.try_recv(), Ok(r));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_within_a_minute_finds_the_room_open() {
    let replica = Replica::start(&memory());
    let (r, presence) = (room("r"), &replica.presence);
    drop(presence.attend(&r, &person("host"), true));
    pass(50).await;
    let guest = presence.attend(&r, &person("guest"), false);
    pass(300).await;
    assert_eq!(replica.sees(&r), (true, false, 1));
    drop(guest);
    pass(61).await;
    assert_eq!(replica.sees(&r), (false, false, 0));
    let _guest = presence.attend(&r, &person("guest"), false);
    settle().await;
    assert_eq!(replica.sees(&r), (false, false, 1), "a meeting of its own");
}

#[tokio::test(start_paused = true)]
async fn a_bosh_stream_is_there_while_it_polls() {
    let replica = Replica::start(&memory());
    let (r, presence) = (room("r"), &replica.presence);
    let (host, lease) = (person("host"), Duration::from_secs(30));
    for _ in 0..5 {
        presence.touch(&r, &host, true, lease);
        pass(20).await;
        assert_eq!(replica.sees(&r), (true, true, 1));
    }
    pass(15).await;
    assert_eq!(replica.sees(&r), (true, false, 0));
    presence.touch(&r, &host, true, lease);
    settle().await;
    let socket = presence.attend(&r, &host, false);
    presence.leave(&r, &host);
    settle().await;
    assert_eq!(
        replica.sees(&r),
        (true, false, 1),
        "one person all the while"
    );
    drop(socket);
    settle().await;
    assert_eq!(replica.sees(&r), (true, false, 0));
}

#[tokio::test(start_paused = true)]
async fn leases_and_rooms_that_are_over_leave_nothing_behind() {
    let mut book = Book::new();
    let now = tokio::time::Instant::now();
    let lease = Duration::from_secs(30);
    for n in 0..1000_u64 {
        let polled = Happening::Polled {
            room: room(&format!("r{}", n % 10)),
            who: format!("{}", n % 3).into(),
            opens: true,
            lease,
        };
        book.happened(polled, now + Duration::from_secs(n));
    }
    book.look(now + Duration::from_secs(1100));
    book.look(now + Duration::from_mins(20));
    book.take_views();
    assert!(format!("{book:?}").contains("rooms: {}, "), "{book:?}");
    assert_eq!(book.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn replicas_see_each_others_people() {
    let store = memory();
    let (a, b) = (Replica::start(&store), Replica::start(&store));
    settle().await;
    let mut changes = b.presence.changes();
    let r = room("acme/r");
    let host = a.presence.attend(&r, &person("host"), true);
    settle().await;
    assert_eq!(b.sees(&r), (true, true, 1));
    assert_eq!(changes.try_recv(), Ok(r.clone()));
    // The same person, elsewhere too, is the same person.
    let again = b.presence.attend(&r, &person("host"), true);
    settle().await;
    assert_eq!((a.sees(&r), b.sees(&r)), ((true, true, 1), (true, true, 1)));
    drop(host);
    settle().await;
    assert_eq!((a.sees(&r), b.sees(&r)), ((true, true, 1), (true, true, 1)));
    drop(again);
    settle().await;
    assert_eq!(a.sees(&r), (true, false, 0));
    pass(61).await;
    assert_eq!(
        (a.sees(&r), b.sees(&r)),
        ((false, false, 0), (false, false, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_learns_who_is_there() {
    let store = memory();
    let a = Replica::start(&store);
    let (r, left) = (room("r"), room("left"));
    let _guest = a.presence.attend(&r, &person("guest"), false);
    drop(a.presence.attend(&r, &person("host"), true));
    drop(a.presence.attend(&left, &person("host"), true));
    settle().await;
    let b = Replica::start(&store);
    settle().await;
    assert_eq!(
        b.sees(&r),
        (true, false, 1),
        "the meeting was begun by a host"
    );
    assert_eq!(b.sees(&left), (true, false, 0), "left a moment ago");
    pass(61).await;
    assert_eq!(b.sees(&left), (false, false, 0));
    assert_eq!(b.sees(&r), (true, false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_or_dies_takes_its_people_along() {
    let store = memory();
    let (a, b, c) = (
        Replica::start(&store),
        Replica::start(&store),
        Replica::start(&store),
    );
    let r = room("r");
    let of_a = a.presence.attend(&r, &person("a"), true);
    let of_b = b.presence.attend(&r, &person("b"), false);
    settle().await;
    assert_eq!(c.sees(&r), (true, true, 2));
    a.stop().await;
    settle().await;
    assert_eq!(c.sees(&r), (true, false, 1), "it said goodbye");
    b.task.abort();
    pass(25).await;
    assert_eq!(c.sees(&r), (true, false, 1));
    pass(10).await;
    assert_eq!(c.sees(&r), (true, false, 0), "it fell silent");
    drop((of_a, of_b));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_good() {
    let store = memory();
    let (a, b) = (Replica::start(&store), Replica::start(&store));
    let r = room("r");
    settle().await;
    let host = a.presence.attend(&r, &person("host"), true);
    settle().await;
    // Somebody speaks in a's name, so that b believes to have missed something, and wrongly.
    let change = message::Change {
        room: r.clone(),
        who: "ghost".to_owned(),
        here: Some(true),
        open: true,
    };
    let changes = message::Changes {
        number: 77,
        changes: vec![change],
    };
    let said = message::Said::Changes(changes);
    let text = message::Message::write(&a.presence.replica, said);
    store.publish(Topic::Presence, &text).await.unwrap();
    settle().await;
    assert_eq!(b.sees(&r), (true, true, 2));
    pass(10).await;
    assert_eq!(b.sees(&r), (true, true, 1));
    drop(host);
    settle().await;
    assert_eq!(b.sees(&r), (true, false, 0), "and goes on at once");
}

#[tokio::test(start_paused = true)]
async fn nonsense_on_the_channel_is_ignored() {
    let store = memory();
    let a = Replica::start(&store);
    let r = room("r");
    let _host = a.presence.attend(&r, &person("host"), true);
    for text in ["", "{}", "[1]", "{\"v\":2,\"replica\":\"x\",\"bye\":null}"] {
        store.publish(Topic::Presence, text).await.unwrap();
    }
    settle().await;
    assert_eq!(a.sees(&r), (true, true, 1));
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn replicas_meet_over_redis_and_again_after_an_outage() {
    use crate::store::testing::until;
    let mut server = Server::start(&[]);
    let stores = [server.store("", "n"), server.store("", "n")];
    let [a, b] = stores
        .each_ref()
        .map(|connected| Replica::start(&(Arc::clone(&connected.store) as Arc<dyn Store>)));
    stores[0].until_ready().await;
    stores[1].until_ready().await;
    let r = room("r");
    let host = a.presence.attend(&r, &person("host"), true);
    let began = tokio::time::Instant::now();
    until(|| (b.sees(&r) == (true, true, 1)).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1));

    server.kill().await;
    let lost = |state: &crate::store::State| *state != crate::store::State::Ready;
    stores[0].until(lost).await;
    stores[1].until(lost).await;
    drop(host);
    let guest = b.presence.attend(&r, &person("guest"), false);
    until(|| (a.sees(&r) == (true, false, 0)).then_some(())).await;
    until(|| (b.sees(&r) == (true, true, 2)).then_some(())).await;
    server.launch();
    until(|| (a.sees(&r) == (true, false, 1)).then_some(())).await;
    until(|| (b.sees(&r) == (true, false, 1)).then_some(())).await;
    drop(guest);
    a.stop().await;
    b.stop().await;
}
