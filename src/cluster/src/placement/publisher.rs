//! Pins and overrides in the store.
//!
//! A pin is stored twice, for its lifetime: under a key per room, which [`super::resolve_pin`] sets
//! atomically, and on one list, which a resync reads. An override is stored under a key per shard.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use model::{room::RoomKey, shard::ShardName};

use super::{
    PIN_LIFETIME,
    message::{Override, Pin, RoomPin, from_json, to_json},
};
use crate::store::{ListItem, PutOutcome, Store, StoreError, Topic};

/// The content of the store.
pub(super) struct Snapshot {
    pub(super) pins: Vec<RoomPin>,
    pub(super) overrides: Vec<Override>,
}

/// The result of [`save_pins`].
pub(super) struct SavedPins {
    /// Pins in the store that win over those to be saved.
    pub(super) superseding: Vec<RoomPin>,
    pub(super) result: Result<(), StoreError>,
}

/// Saves pins and publishes a message.
pub(super) async fn save_pins(
    store: Arc<dyn Store>,
    pins: Vec<RoomPin>,
    message: String,
) -> SavedPins {
    let mut superseding = Vec::new();
    let saving = async {
        let item = |pin| ListItem {
            text: to_json(pin),
            lifetime: PIN_LIFETIME,
        };
        let items: Vec<_> = pins.iter().map(item).collect();
        store.list_add(PINS, &items).await?;
        let mut saving = stream::iter(pins)
            .map(|pin| save_pin(&*store, pin))
            .buffer_unordered(CONCURRENT_WRITES);
        while let Some(saved) = saving.next().await {
            superseding.extend(saved?);
        }
        store.publish(Topic::Shard, &message).await
    };
    let result = saving.await;
    SavedPins {
        superseding,
        result,
    }
}

/// Saves an override and publishes a message.
pub(super) async fn save_override(
    store: Arc<dyn Store>,
    new: Override,
    message: String,
) -> Result<(), StoreError> {
    let key = override_key(&new.shard);
    store.put(&key, &to_json(&new), OVERRIDE_LIFETIME).await?;
    store.publish(Topic::Shard, &message).await
}

/// Reads all pins, and the overrides of the given shards.
pub(super) async fn read_snapshot(
    store: Arc<dyn Store>,
    shards: Vec<ShardName>,
) -> Result<Snapshot, StoreError> {
    let members = store.list_members(PINS).await?;
    let pins = members.iter().filter_map(|text| from_json(text)).collect();
    let mut overrides = Vec::new();
    for shard in shards {
        let text = store.get(&override_key(&shard)).await?;
        overrides.extend(text.and_then(|text| from_json(&text)));
    }
    Ok(Snapshot { pins, overrides })
}

/// The key of a room's pin.
pub(super) fn pin_key(room: &RoomKey) -> String {
    format!("pin:{room}")
}

/// Saves one pin under its room's key, unless the store has a greater one, which is returned.
async fn save_pin(
    store: &dyn Store,
    RoomPin { room, pin }: RoomPin,
) -> Result<Option<RoomPin>, StoreError> {
    let (key, text) = (pin_key(&room), to_json(&pin));
    let outcome = store.put_if_absent(&key, &text, PIN_LIFETIME).await?;
    let PutOutcome::Existing(existing) = outcome else {
        return Ok(None);
    };
    if let Some(pin) = from_json::<Pin>(&existing).filter(|existing| *existing > pin) {
        return Ok(Some(RoomPin { room, pin }));
    }
    store.put(&key, &text, PIN_LIFETIME).await?;
    Ok(None)
}

fn override_key(shard: &ShardName) -> String {
    format!("shard:{shard}")
}

/// The key of the list of pins.
const PINS: &str = "pins";

/// An override is valid until a later one: the longest lifetime that a store supports.
const OVERRIDE_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// Pins written concurrently over the one connection: enough to hide the round trip, few enough to
/// leave other operations a turn.
const CONCURRENT_WRITES: usize = 64;
