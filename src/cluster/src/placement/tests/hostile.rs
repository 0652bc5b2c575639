//! What strangers, faulty neighbours and changes of mind must not do.

use super::*;
use crate::placement::{
    copies::MAX_PINS,
    message::{Message, Said, write},
};

#[tokio::test(start_paused = true)]
async fn who_may_enter_any_room_does_not_fill_the_memory() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    settle().await;
    let pin = |shard| Pin {
        number: 1,
        shard: ShardName::parse(shard).unwrap(),
    };
    let rooms = (0..MAX_PINS).map(|number| (room(number), pin("s1")));
    one.placement.copies.merge(rooms.collect(), true);
    let late = room(MAX_PINS);
    let shard = one.place(&late).await;
    settle().await;
    assert_eq!(one.knows(&late), None);
    assert_eq!(store.get(&pin_key(&late)).await, Ok(None));
    // It is where everybody would look for it, also when its shard is to drain.
    assert_eq!(other.place(&late).await, shard);
    one.placement
        .order(&shard, Some(ShardState::Drain))
        .unwrap();
    assert_eq!(one.place(&late).await, shard);
    assert_eq!(one.place(&room(7)).await, "s1");
}

#[tokio::test(start_paused = true)]
async fn numbers_that_nobody_can_count_beyond_end_nothing() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    settle().await;
    let [s1, gone] = ["s1", "s9"].map(|name| ShardName::parse(name).unwrap());
    let number = u64::MAX;
    let order = Order {
        shard: s1,
        state: Some(ShardState::Drain),
        number,
    };
    let replica = "stranger".to_owned();
    let said = Said::Order(order);
    let text = write(&Message { replica, said });
    store.publish(Topic::Shard, &text).await.unwrap();
    settle().await;
    one.placement.order("s1", None).unwrap();
    let pin = write(&Pin {
        number,
        shard: gone,
    });
    let key = pin_key(&room(0));
    store.put(&key, &pin, PIN_LIFETIME).await.unwrap();
    assert!(
        THREE
            .iter()
            .any(|(name, _)| *name == one.placement.view().common().name.as_str())
    );
    one.place(&room(0)).await;
    settle().await;
    one.place(&room(0)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_ordered_of_a_shard_before_it_was_configured_here_counts() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    settle().await;
    one.placement.order("s3", Some(ShardState::Drain)).unwrap();
    settle().await;
    // It starts when s3 is taken out, and is there when it comes back.
    let other = Replica::start(&store, settings(&THREE[..2]));
    settle().await;
    other.placement.replace(settings(&THREE));
    settle().await;
    let rings = [&one, &other].map(|replica| replica.placement.view().ring().clone());
    assert_eq!(rings[0], rings[1]);
    assert_eq!(
        other.placement.view().named("s3").unwrap().state,
        ShardState::Drain
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_on_a_shard_that_gets_another_address_goes_there() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    settle().await;
    let mut moves = one.placement.moves();
    one.placement.replace(settings(&THREE));
    assert!(moves.try_recv().is_err(), "nothing changed");
    let mut elsewhere = settings(&THREE);
    elsewhere.shards[1].place.xmpp = "127.0.0.1:2".parse().unwrap();
    one.placement.replace(elsewhere);
    let s2 = ShardName::parse("s2").unwrap();
    assert_eq!(moves.try_recv(), Ok(Move::From(s2)));
    assert!(moves.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_order_that_a_slow_store_did_not_take_is_said_again() {
    let store = Fragile::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    settle().await;
    // Nobody hears that it is away, for the connection stays.
    store.away.store(true, Ordering::Relaxed);
    one.placement.order("s1", Some(ShardState::Drain)).unwrap();
    settle().await;
    store.away.store(false, Ordering::Relaxed);
    advance(Duration::from_secs(61)).await;
    settle().await;
    for replica in [&one, &other] {
        let state = replica.placement.view().named("s1").unwrap().state;
        assert_eq!(state, ShardState::Drain);
    }
}
