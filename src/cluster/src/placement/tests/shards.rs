//! States of shards: overrides and reachability.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_shard_that_a_peer_reaches_is_not_lost() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    let report = |payload| {
        let replica = "another".to_owned();
        store.inject(StoreEvent::Message {
            topic: Topic::Shard,
            text: to_json(&Message { replica, payload }).into(),
        });
    };
    let reached = vec![name_of("s1")];
    let lost = Vec::new();
    report(Payload::Reach(message::Reach { reached, lost }));
    sleep(Duration::from_secs(20)).await;
    let lost = || {
        let names = THREE.map(|(name, _)| name);
        names.map(|name| one.status(name).lost)
    };
    assert_eq!(lost(), [false, true, true]);
    report(Payload::Leave);
    run_until_idle().await;
    assert_eq!(lost(), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn rooms_of_a_shard_that_is_down_move_to_the_same_shard_on_all_replicas() {
    let store = FaultyStore::new();
    let (one, other) = (
        Replica::start(&store, settings(&THREE)),
        Replica::start(&store, settings(&THREE)),
    );
    let mut before = Vec::new();
    for number in 0..ROOMS {
        before.push(one.place(&room(number)).await);
    }
    run_until_idle().await;
    let mut moves = other.placement.moves();
    one.placement
        .set_override("s2", Some(ShardState::Down))
        .unwrap();
    run_until_idle().await;
    assert_eq!(moves.try_recv(), Ok(Move::From(name_of("s2"))));
    assert_eq!(
        one.placement.shard_map().ring().fingerprint(),
        other.placement.shard_map().ring().fingerprint()
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
    // The rooms keep their shards when the lost shard recovers.
    run_until_idle().await;
    let pinned: Vec<_> = (0..ROOMS)
        .map(|number| other.pinned(&room(number)))
        .collect();
    one.placement.set_override("s2", None).unwrap();
    run_until_idle().await;
    for (number, pinned) in pinned.into_iter().enumerate() {
        assert_eq!(Some(one.place(&room(number)).await), pinned);
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_survives_restarts_and_outages() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    one.placement
        .set_override("s1", Some(ShardState::Drain))
        .unwrap();
    run_until_idle().await;
    assert_eq!(other.state("s1"), ShardState::Drain);
    one.stop().await;
    other.stop().await;
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    assert_eq!(
        (one.state("s1"), other.state("s1")),
        (ShardState::Drain, ShardState::Drain)
    );
    store.disconnect();
    one.placement.set_override("s1", None).unwrap();
    run_until_idle().await;
    assert_eq!(
        (one.state("s1"), other.state("s1")),
        (ShardState::Ready, ShardState::Drain)
    );
    store.reconnect();
    run_until_idle().await;
    assert_eq!(
        (one.state("s1"), other.state("s1")),
        (ShardState::Ready, ShardState::Ready)
    );
    let unknown = one.placement.set_override("s9", None);
    assert_eq!(unknown, Err(UnknownShard));
}

#[tokio::test(start_paused = true)]
async fn an_override_counts_for_a_shard_that_is_configured_later() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    one.placement
        .set_override("s3", Some(ShardState::Drain))
        .unwrap();
    run_until_idle().await;
    // The other replica gets s3 by a reload.
    let other = Replica::start(&store, settings(&THREE[..2]));
    run_until_idle().await;
    other.placement.replace(settings(&THREE));
    run_until_idle().await;
    let rings = [&one, &other].map(|replica| replica.placement.shard_map().ring().clone());
    assert_eq!(rings[0], rings[1]);
    assert_eq!(other.state("s3"), ShardState::Drain);
}

#[tokio::test(start_paused = true)]
async fn connections_move_when_the_address_of_prosody_changes() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    let mut moves = one.placement.moves();
    one.placement.replace(settings(&THREE));
    assert!(moves.try_recv().is_err(), "the same addresses");
    let mut elsewhere = settings(&THREE);
    elsewhere.shards[1].endpoints.xmpp = "127.0.0.1:2".parse().unwrap();
    one.placement.replace(elsewhere);
    assert_eq!(moves.try_recv(), Ok(Move::From(name_of("s2"))));
    assert!(moves.try_recv().is_err());
}
