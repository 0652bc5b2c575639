//! Pins of rooms.

use super::*;

#[tokio::test(start_paused = true)]
async fn replicas_with_different_rings_agree_on_rooms_that_both_can_place() {
    let store = FaultyStore::new();
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
        // The first replica does not know s3, so it cannot follow a pin to it.
        if number % 2 == 0 || places.1 != "s3" {
            assert_eq!(places.0, places.1, "{room}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn adding_or_draining_a_shard_moves_no_pinned_room() {
    let store = FaultyStore::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE[..2])),
        Replica::start(&store, settings(&THREE[..2])),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    run_until_idle().await;
    let drained = [("s1", ShardState::Drain), THREE[1], THREE[2]];
    one.placement.replace(settings(&drained));
    other.placement.replace(settings(&drained));
    assert_eq!(
        one.placement.shard_map().ring(),
        other.placement.shard_map().ring()
    );
    for (number, before) in before.iter().enumerate() {
        assert_eq!(other.pinned(&room(number)).as_ref(), Some(before));
        assert_eq!(&other.place(&room(number)).await, before);
    }
    for number in ROOMS..2 * ROOMS {
        let place = other.place(&room(number)).await;
        assert_ne!(place, "s1");
        assert_eq!(one.place(&room(number)).await, place);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pin_lives_while_a_connection_uses_the_room() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE[..1]));
    let other = Replica::start(&store, settings(&THREE[..1]));
    let (held, polled, left) = (room(0), room(1), room(2));
    for room in [&held, &polled, &left] {
        one.place(room).await;
    }
    let guard = one.placement.hold(&held);
    run_until_idle().await;
    for _ in 0..20 {
        advance(Duration::from_secs(61)).await;
        run_until_idle().await;
        one.placement.shard_for_stream("s1", &polled);
    }
    for room in [&held, &polled] {
        assert_eq!(other.pinned(room).as_deref(), Some("s1"));
        assert!(store.get(&pin_key(room)).await.unwrap().is_some());
    }
    assert_eq!(one.pinned(&left), None);
    assert_eq!(store.get(&pin_key(&left)).await, Ok(None));
    drop(guard);
    run_until_idle().await;
    advance(2 * PIN_LIFETIME).await;
    run_until_idle().await;
    assert_eq!(other.pinned(&held), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_pins_a_room_without_a_pin_to_its_shard() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    let room = room(0);
    let shard_for_stream = |shard: &str| {
        one.placement
            .shard_for_stream(shard, &room)
            .map(|shard| shard.name.to_string())
    };
    // The room has no pin, only a stream.
    let ranked = one.placement.locate(&room).unwrap().name.to_string();
    let elsewhere = THREE
        .iter()
        .map(|(name, _)| *name)
        .find(|name| *name != ranked);
    let elsewhere = elsewhere.unwrap();
    assert_eq!(shard_for_stream(elsewhere).as_deref(), Some(elsewhere));
    run_until_idle().await;
    assert_eq!(one.place(&room).await, elsewhere);
    assert_eq!(
        shard_for_stream(&ranked),
        None,
        "the room is on another shard"
    );
    assert_eq!(shard_for_stream("s9"), None);
    one.placement
        .set_override(elsewhere, Some(ShardState::Down))
        .unwrap();
    assert_eq!(shard_for_stream(elsewhere), None);
}

#[tokio::test(start_paused = true)]
async fn a_single_jitsi_pins_no_rooms() {
    let store = FaultyStore::new();
    let settings = PlacementSettings {
        sharded: false,
        ..settings(&THREE[..1])
    };
    let one = Replica::start(&store, settings);
    store.disconnect();
    for number in 0..10 {
        assert_eq!(one.place(&room(number)).await, "s1");
        assert!(one.placement.hold(&room(number)).is_none());
    }
    advance(Duration::from_mins(5)).await;
    run_until_idle().await;
    assert_eq!(one.pinned(&room(0)), None);
    assert_eq!(one.placement.set_override("s1", None), Err(UnknownShard));
    assert_eq!(store.content().list_members("pins").await, Ok(vec![]));
    let text = {
        let mut registry = prometheus_client::registry::Registry::default();
        one.placement.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    };
    assert!(!text.contains("s1"), "{text}");
}
