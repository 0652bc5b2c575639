//! Placement while the store fails.

use tokio::time::timeout;

use observe::metrics::PlacementOutcome;

use super::*;

#[tokio::test(start_paused = true)]
async fn without_the_store_pinned_rooms_stay_and_replicas_agree_on_others() {
    let store = FaultyStore::new();
    let drained = [THREE[0], ("s2", ShardState::Drain), THREE[2]];
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    run_until_idle().await;
    store.disconnect();
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
    assert_eq!(one.placements(PlacementOutcome::WithoutStore), ROOMS as u64);
    // A replica that starts after the outage receives the pins of the rooms placed during it.
    run_until_idle().await;
    store.reconnect();
    run_until_idle().await;
    let late = Replica::start(&store, settings(&drained));
    run_until_idle().await;
    for number in 0..2 * ROOMS {
        assert_eq!(late.pinned(&room(number)), one.pinned(&room(number)));
        assert!(late.pinned(&room(number)).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_that_one_replica_knows_splits_no_room_during_an_outage() {
    let store = FaultyStore::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    run_until_idle().await;
    store.disconnect();
    one.placement
        .set_override("s2", Some(ShardState::Drain))
        .unwrap();
    run_until_idle().await;
    assert_eq!(one.state("s2"), ShardState::Drain);
    assert_eq!(other.state("s2"), ShardState::Ready);
    for number in 0..ROOMS {
        let room = room(number);
        assert_eq!(one.place(&room).await, other.place(&room).await, "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_store_delays_placement_by_less_than_a_second() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    store.stall();
    let room = room(0);
    let placing = timeout(Duration::from_secs(1), one.placement.place(&room));
    assert!(placing.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn two_pins_of_one_room_become_one_after_an_outage() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE[..1]));
    let other = Replica::start(&store, settings(&THREE[1..2]));
    run_until_idle().await;
    store.disconnect();
    let room = room(0);
    assert_eq!(one.place(&room).await, "s1");
    assert_eq!(other.place(&room).await, "s2");
    for replica in [&one, &other] {
        replica.placement.replace(settings(&THREE));
    }
    run_until_idle().await;
    let (mut first, mut second) = (one.placement.moves(), other.placement.moves());
    store.reconnect();
    run_until_idle().await;
    assert_eq!(one.pinned(&room), other.pinned(&room));
    let here = name_of(&one.pinned(&room).unwrap());
    assert_eq!(here.as_str(), "s2", "the greater pin wins");
    assert_eq!(first.try_recv(), Ok(Move::Room(room, here)));
    assert!(
        second.try_recv().is_err(),
        "its clients are on the right shard"
    );
}

#[tokio::test(start_paused = true)]
async fn an_override_that_timed_out_is_saved_again_within_a_minute() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    // The connection stays up, so no event triggers a resync.
    store.time_out();
    one.placement
        .set_override("s1", Some(ShardState::Drain))
        .unwrap();
    run_until_idle().await;
    store.recover();
    advance(Duration::from_secs(61)).await;
    run_until_idle().await;
    for replica in [&one, &other] {
        assert_eq!(replica.state("s1"), ShardState::Drain);
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_that_is_not_saved_is_delivered_at_stop() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    store.time_out();
    one.placement
        .set_override("s1", Some(ShardState::Drain))
        .unwrap();
    run_until_idle().await;
    store.recover();
    one.stop().await;
    let other = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    assert_eq!(other.state("s1"), ShardState::Drain);
}
