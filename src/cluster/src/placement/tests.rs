mod hostile;

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use tokio::{
    task::JoinHandle,
    time::{advance, sleep, timeout},
};

use super::*;
use crate::store::{
    Claim, Event, Memory, Note, Remembered, State as StoreState, StoreError, Topic,
};
use model::clock::Timestamp;
use observe::metrics::{PlacementLabels, PlacementOutcome};

/// A store that can go away and come back, with or without what was in it.
#[derive(Debug)]
struct Fragile {
    kept: Memory,
    away: AtomicBool,
    /// It takes what is asked, and says nothing.
    silent: AtomicBool,
    events: broadcast::Sender<Event>,
}

/// One replica.
struct Replica {
    placement: Arc<Placement>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Fragile ===

impl Fragile {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Memory::new(),
            away: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            events: broadcast::Sender::new(1024),
        })
    }

    fn goes(&self) {
        self.away.store(true, Ordering::Relaxed);
        let _ = self.events.send(Event::Lost);
    }

    fn returns(&self) {
        self.away.store(false, Ordering::Relaxed);
        let _ = self.events.send(Event::Connected);
    }

    fn when_there<'a, T: Send + 'a>(
        &'a self,
        what: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(StoreError::Unreachable("away".into()));
            }
            what.await
        })
    }
}

impl Store for Fragile {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.when_there(self.kept.claim(key, limit, lifetime))
    }

    fn remember<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Remembered, StoreError>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Timeout) });
        }
        if self.silent.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        self.kept.remember(key, value, lifetime)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.when_there(self.kept.get(key))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Timeout) });
        }
        self.kept.put(key, value, lifetime)
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.when_there(self.kept.remove(key))
    }

    fn note<'a>(
        &'a self,
        list: &'a str,
        notes: &'a [Note],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Timeout) });
        }
        self.kept.note(list, notes)
    }

    fn notes<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        self.when_there(self.kept.notes(list))
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let text = text.into();
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(StoreError::Timeout);
            }
            let _ = self.events.send(Event::Said { topic, text });
            Ok(())
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn state(&self) -> StoreState {
        if self.away.load(Ordering::Relaxed) {
            StoreState::Unreachable {
                reason: "away".into(),
            }
        } else {
            StoreState::Ready
        }
    }

    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move { stopped.cancelled().await })
    }
}

// === impl Replica ===

impl Replica {
    fn start(store: &Arc<Fragile>, settings: Settings) -> Self {
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let store: Arc<dyn Store> = Arc::<Fragile>::clone(store);
        let shared = (clock, Random::system(), store);
        let placement = Placement::new(settings, "meet.jitsi", shared, ShardMetrics::default());
        let placement = Arc::new(placement);
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&placement).run(stop.clone()));
        Self {
            placement,
            stop,
            task,
        }
    }

    async fn place(&self, room: &RoomKey) -> String {
        self.placement.place(room).await.name.to_string()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Where it would send people without asking anybody.
    fn knows(&self, room: &RoomKey) -> Option<String> {
        let known = self.placement.copies.get(room)?;
        Some(known.pin.shard.to_string())
    }
}

/// Shards whose Prosodys nobody can reach; probes find that out after three failures, all of them,
/// which makes no shard count as lost.
fn settings(shards: &[(&str, State)]) -> Settings {
    let shard = |(name, state): &(&str, State)| ShardSettings {
        name: ShardName::parse(name).unwrap(),
        weight: 100,
        state: *state,
        place: Place {
            web: "127.0.0.1:1".parse().unwrap(),
            xmpp: "127.0.0.1:1".parse().unwrap(),
            visitors: vec![],
        },
    };
    Settings {
        shards: shards.iter().map(shard).collect(),
        sharded: true,
    }
}

fn room(number: usize) -> RoomKey {
    RoomKey::from_text(&format!("room-{number}")).unwrap()
}

/// Lets every task do what it can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
}

const THREE: [(&str, State); 3] = [
    ("s1", State::Ready),
    ("s2", State::Ready),
    ("s3", State::Ready),
];
const ROOMS: usize = 300;

#[tokio::test(start_paused = true)]
async fn replicas_with_other_rings_agree_on_every_room_because_one_decides() {
    let store = Fragile::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE[..2])),
        Replica::start(&store, settings(&THREE)),
    );
    for number in 0..ROOMS {
        let room = room(number);
        let places = if number % 2 == 0 {
            (one.place(&room).await, other.place(&room).await)
        } else {
            let second = other.place(&room).await;
            (one.place(&room).await, second)
        };
        // What only one of them has is of no use to the other, which goes on with what it has; but
        // where the other came first, it is where both can be.
        if number % 2 == 0 || places.1 != "s3" {
            assert_eq!(places.0, places.1, "{room}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn adding_or_draining_a_shard_moves_no_room_that_lives() {
    let store = Fragile::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE[..2])),
        Replica::start(&store, settings(&THREE[..2])),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    settle().await;
    let drained = [("s1", State::Drain), THREE[1], THREE[2]];
    one.placement.replace(settings(&drained));
    other.placement.replace(settings(&drained));
    assert_eq!(one.placement.view().ring(), other.placement.view().ring());
    for (number, before) in before.iter().enumerate() {
        assert_eq!(other.knows(&room(number)).as_ref(), Some(before));
        assert_eq!(&other.place(&room(number)).await, before);
    }
    for number in ROOMS..2 * ROOMS {
        let place = other.place(&room(number)).await;
        assert_ne!(place, "s1");
        assert_eq!(one.place(&room(number)).await, place);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_known_rooms_stay_and_replicas_agree_on_the_others() {
    let store = Fragile::new();
    let drained = [THREE[0], ("s2", State::Drain), THREE[2]];
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    settle().await;
    store.goes();
    for replica in [&one, &other] {
        replica.placement.replace(settings(&drained));
    }
    for number in 0..2 * ROOMS {
        let places = (
            one.place(&room(number)).await,
            other.place(&room(number)).await,
        );
        assert_eq!(places.0, places.1);
        if let Some(before) = before.get(number) {
            assert_eq!(*before, places.0);
        }
    }
    let without = |replica: &Replica| {
        let label = PlacementLabels {
            outcome: PlacementOutcome::WithoutStore,
        };
        replica
            .placement
            .metrics
            .placements
            .get_or_create(&label)
            .get()
    };
    assert_eq!(without(&one), ROOMS as u64);
    // What was placed meanwhile is known to who starts when the store is back.
    settle().await;
    store.returns();
    settle().await;
    let late = Replica::start(&store, settings(&drained));
    settle().await;
    for number in 0..2 * ROOMS {
        assert_eq!(late.knows(&room(number)), one.knows(&room(number)));
        assert!(late.knows(&room(number)).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_only_one_replica_knows_of_parts_no_room_without_the_store() {
    let store = Fragile::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    settle().await;
    store.goes();
    one.placement.order("s2", Some(State::Drain)).unwrap();
    settle().await;
    let state = |replica: &Replica| replica.placement.view().named("s2").unwrap().state;
    assert_eq!((state(&one), state(&other)), (State::Drain, State::Ready));
    for number in 0..ROOMS {
        let room = room(number);
        assert_eq!(one.place(&room).await, other.place(&room).await, "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_nothing_is_not_waited_for() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    settle().await;
    store.silent.store(true, Ordering::Relaxed);
    let room = room(0);
    let placing = timeout(Duration::from_secs(1), one.placement.place(&room));
    assert!(placing.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_another_replica_reaches_is_not_lost() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    settle().await;
    let says = |said| {
        let replica = "another".to_owned();
        let text = message::write(&message::Message { replica, said }).into();
        let topic = Topic::Shard;
        store.events.send(Event::Said { topic, text }).unwrap();
    };
    let reached = vec![ShardName::parse("s1").unwrap()];
    let lost = Vec::new();
    says(message::Said::Reach(message::Reach { reached, lost }));
    sleep(Duration::from_secs(20)).await;
    let lost = || {
        let names = THREE.map(|(name, _)| name);
        names.map(|name| one.placement.view().named(name).unwrap().lost)
    };
    assert_eq!(lost(), [false, true, true]);
    says(message::Said::Bye);
    settle().await;
    assert_eq!(lost(), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn rooms_of_a_shard_that_is_down_move_to_one_place_and_who_was_there_is_told() {
    let store = Fragile::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    settle().await;
    let mut moves = other.placement.moves();
    one.placement.order("s2", Some(State::Down)).unwrap();
    settle().await;
    let s2 = ShardName::parse("s2").unwrap();
    assert_eq!(moves.try_recv(), Ok(Move::From(s2)));
    assert_eq!(
        one.placement.view().ring().fingerprint(),
        other.placement.view().ring().fingerprint()
    );
    for (number, before) in before.iter().enumerate() {
        let place = other.place(&room(number)).await;
        assert_eq!(one.place(&room(number)).await, place);
        if before == "s2" {
            assert_ne!(place, "s2");
        } else {
            assert_eq!(*before, place);
        }
    }
    // Whoever comes back to what was down does not find its rooms there again.
    settle().await;
    let lived: Vec<_> = (0..ROOMS)
        .map(|number| other.knows(&room(number)))
        .collect();
    one.placement.order("s2", None).unwrap();
    settle().await;
    for (number, lived) in lived.into_iter().enumerate() {
        assert_eq!(Some(one.place(&room(number)).await), lived);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_outlives_restarts_and_outages_of_the_store() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    let state = |replica: &Replica| replica.placement.view().named("s1").unwrap().state;
    settle().await;
    one.placement.order("s1", Some(State::Drain)).unwrap();
    settle().await;
    assert_eq!(state(&other), State::Drain);
    one.stop().await;
    other.stop().await;
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    settle().await;
    assert_eq!((state(&one), state(&other)), (State::Drain, State::Drain));
    store.goes();
    one.placement.order("s1", None).unwrap();
    settle().await;
    assert_eq!((state(&one), state(&other)), (State::Ready, State::Drain));
    store.returns();
    settle().await;
    assert_eq!((state(&one), state(&other)), (State::Ready, State::Ready));
    let unknown = one.placement.order("s9", None);
    assert_eq!(unknown, Err(UnknownShard));
}

#[tokio::test(start_paused = true)]
async fn a_pin_lives_as_long_as_somebody_is_there() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE[..1]));
    let other = Replica::start(&store, settings(&THREE[..1]));
    let (held, polled, left) = (room(0), room(1), room(2));
    for room in [&held, &polled, &left] {
        one.place(room).await;
    }
    let stay = one.placement.stay(&held);
    settle().await;
    for _ in 0..20 {
        advance(Duration::from_secs(61)).await;
        settle().await;
        one.placement.again("s1", &polled);
    }
    for room in [&held, &polled] {
        assert_eq!(other.knows(room).as_deref(), Some("s1"));
        assert!(store.get(&pin_key(room)).await.unwrap().is_some());
    }
    assert_eq!(one.knows(&left), None);
    assert_eq!(store.get(&pin_key(&left)).await, Ok(None));
    drop(stay);
    settle().await;
    advance(2 * PIN_LIFETIME).await;
    settle().await;
    assert_eq!(other.knows(&held), None);
}

#[tokio::test(start_paused = true)]
async fn two_places_of_one_room_become_one_and_who_is_at_the_other_moves() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE[..1]));
    let other = Replica::start(&store, settings(&THREE[1..2]));
    settle().await;
    store.goes();
    let room = room(0);
    assert_eq!(one.place(&room).await, "s1");
    assert_eq!(other.place(&room).await, "s2");
    for replica in [&one, &other] {
        replica.placement.replace(settings(&THREE));
    }
    settle().await;
    let (mut first, mut second) = (one.placement.moves(), other.placement.moves());
    store.returns();
    settle().await;
    assert_eq!(one.knows(&room), other.knows(&room));
    let here = ShardName::parse(&one.knows(&room).unwrap()).unwrap();
    assert_eq!(here.as_str(), "s2", "the greater one counts");
    assert_eq!(first.try_recv(), Ok(Move::Room(room, here)));
    assert!(second.try_recv().is_err(), "nobody has to move there");
}

#[tokio::test(start_paused = true)]
async fn a_stream_stays_where_it_was_made_and_its_room_with_it() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    let room = room(0);
    let again = |shard: &str| {
        one.placement
            .again(shard, &room)
            .map(|shard| shard.name.to_string())
    };
    // Nobody remembers the room but its streams.
    let ranked = one.placement.locate(&room).unwrap().name.to_string();
    let elsewhere = THREE
        .iter()
        .map(|(name, _)| *name)
        .find(|name| *name != ranked);
    let elsewhere = elsewhere.unwrap();
    assert_eq!(again(elsewhere).as_deref(), Some(elsewhere));
    settle().await;
    assert_eq!(one.place(&room).await, elsewhere);
    assert_eq!(again(&ranked), None, "the room is not there");
    assert_eq!(again("s9"), None);
    one.placement.order(elsewhere, Some(State::Down)).unwrap();
    assert_eq!(again(elsewhere), None);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_one_jitsi_nothing_is_pinned_and_nothing_asked() {
    let store = Fragile::new();
    let settings = Settings {
        sharded: false,
        ..settings(&THREE[..1])
    };
    let one = Replica::start(&store, settings);
    store.goes();
    for number in 0..10 {
        assert_eq!(one.place(&room(number)).await, "s1");
        assert!(one.placement.stay(&room(number)).is_none());
    }
    advance(Duration::from_mins(5)).await;
    settle().await;
    assert_eq!(one.knows(&room(0)), None);
    assert_eq!(one.placement.order("s1", None), Err(UnknownShard));
    assert_eq!(store.kept.notes("pins").await, Ok(vec![]));
    let text = {
        let mut registry = prometheus_client::registry::Registry::default();
        one.placement.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    };
    assert!(!text.contains("s1"), "{text}");
}
