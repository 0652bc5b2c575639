//! Limits and forged values.

use super::*;
use crate::placement::pin_cache::MAX_PINS;

#[tokio::test(start_paused = true)]
async fn rooms_beyond_the_limit_are_placed_without_pins() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    let other = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    let pin = |number| RoomPin {
        room: room(number),
        pin: Pin {
            version: 1,
            shard: name_of("s1"),
        },
    };
    let pins = (0..MAX_PINS).map(pin).collect();
    one.placement.pins.merge(pins, PinOrigin::Local);
    let late = room(MAX_PINS);
    let shard = one.place(&late).await;
    run_until_idle().await;
    assert_eq!(one.pinned(&late), None);
    assert_eq!(store.get(&pin_key(&late)).await, Ok(None));
    // Every replica computes the same shard, also while it drains.
    assert_eq!(other.place(&late).await, shard);
    one.placement
        .set_override(&shard, Some(ShardState::Drain))
        .unwrap();
    assert_eq!(one.place(&late).await, shard);
    assert_eq!(one.place(&room(7)).await, "s1");
}

#[tokio::test(start_paused = true)]
async fn the_highest_version_neither_panics_nor_blocks_placement() {
    let store = FaultyStore::new();
    let one = Replica::start(&store, settings(&THREE));
    run_until_idle().await;
    let version = u64::MAX;
    let forged = Override {
        shard: name_of("s1"),
        state: Some(ShardState::Drain),
        version,
    };
    let replica = "stranger".to_owned();
    let payload = Payload::Override(forged);
    let text = to_json(&Message { replica, payload });
    store.publish(Topic::Shard, &text).await.unwrap();
    run_until_idle().await;
    one.placement.set_override("s1", None).unwrap();
    let pin = to_json(&Pin {
        version,
        shard: name_of("s9"),
    });
    let key = pin_key(&room(0));
    store.put(&key, &pin, PIN_LIFETIME).await.unwrap();
    assert!(
        THREE
            .iter()
            .any(|(name, _)| *name == one.placement.default_shard().name.as_str())
    );
    one.place(&room(0)).await;
    run_until_idle().await;
    one.place(&room(0)).await;
}
