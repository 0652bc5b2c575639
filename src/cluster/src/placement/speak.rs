//! What goes to the store, in order, so that nobody waits for it; and what is read from it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{
    PIN_LIFETIME,
    message::{Order, Pin, Pinned, read, write},
    pin_key,
};
use crate::store::{Note, Remembered, Store, StoreError, Topic};
use model::{room::RoomKey, shard::ShardName};

/// One thing for the store.
pub(super) enum Line {
    /// Publish this.
    Say(String),
    /// Keep these pins, and publish this.
    Save(Vec<Pinned>, String),
    /// Keep this order, and publish it.
    Order(Order, String),
}

/// What is in the store.
pub(super) struct Kept {
    pub(super) pins: Vec<(RoomKey, Pin)>,
    pub(super) orders: Vec<Order>,
}

/// Says things in order. What the store does not take is dropped: pins of living rooms are renewed,
/// and all is compared when the store is back.
pub(super) async fn speak(
    store: Arc<dyn Store>,
    mut lines: mpsc::Receiver<Line>,
    greater: mpsc::UnboundedSender<Pinned>,
) {
    while let Some(line) = lines.recv().await {
        let spoken = match line {
            Line::Say(text) => store.publish(Topic::Shard, &text).await,
            Line::Save(pins, text) => match save(&store, &pins, &greater).await {
                Ok(()) => store.publish(Topic::Shard, &text).await,
                Err(error) => Err(error),
            },
            Line::Order(order, text) => {
                let key = order_key(&order.shard);
                let kept = store.put(&key, &write(&order), FOR_EVER).await;
                if let Err(error) = &kept {
                    warn!(%error, shard = %order.shard, "other replicas do not know the state yet");
                }
                match kept {
                    Ok(()) => store.publish(Topic::Shard, &text).await,
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = spoken {
            debug!(%error, "other replicas were not told of shards");
        }
    }
}

/// Reads all pins, and the orders for these shards.
pub(super) async fn read_all(
    store: Arc<dyn Store>,
    shards: Vec<ShardName>,
) -> Result<Kept, StoreError> {
    let notes = store.notes(PINS).await?;
    let pinned = notes.iter().filter_map(|text| read::<Pinned>(text));
    let pins = pinned.map(|Pinned { room, pin }| (room, pin)).collect();
    let mut orders = Vec::new();
    for shard in shards {
        let order = store.get(&order_key(&shard)).await?;
        orders.extend(order.and_then(|text| read(&text)));
    }
    Ok(Kept { pins, orders })
}

/// Keeps pins for their lifetime, each under its room's key and all on one list, which whoever
/// starts or comes back reads.
async fn save(
    store: &Arc<dyn Store>,
    pins: &[Pinned],
    greater: &mpsc::UnboundedSender<Pinned>,
) -> Result<(), StoreError> {
    let note = |pinned| Note {
        text: write(pinned),
        lifetime: PIN_LIFETIME,
    };
    let notes: Vec<_> = pins.iter().map(note).collect();
    store.note(PINS, &notes).await?;
    let mut saving = stream::iter(pins.to_vec())
        .map(|pinned| save_one(Arc::clone(store), pinned))
        .buffer_unordered(AT_ONCE);
    while let Some(saved) = saving.next().await {
        if let Some(pinned) = saved? {
            // The task is gone only when everything stops.
            let _ = greater.send(pinned);
        }
    }
    Ok(())
}

/// Keeps one pin under its room's key, unless there is one that counts more.
async fn save_one(
    store: Arc<dyn Store>,
    Pinned { room, pin }: Pinned,
) -> Result<Option<Pinned>, StoreError> {
    let (key, text) = (pin_key(&room), write(&pin));
    let Remembered::Before(before) = store.remember(&key, &text, PIN_LIFETIME).await? else {
        return Ok(None);
    };
    if let Some(before) = read::<Pin>(&before).filter(|before| *before > pin) {
        return Ok(Some(Pinned { room, pin: before }));
    }
    store.put(&key, &text, PIN_LIFETIME).await?;
    Ok(None)
}

fn order_key(shard: &ShardName) -> String {
    format!("shard:{shard}")
}

/// The key of the list.
const PINS: &str = "pins";

/// An order counts until another one does; the store keeps nothing longer than ten years.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);

/// How many pins are written at a time, over the one connection.
const AT_ONCE: usize = 64;
