//! Resolution of a room without a pin on this replica: the store decides, so all replicas agree.

use std::{sync::Arc, time::Duration};

use model::room::RoomKey;
use observe::metrics::{PlacementLabels, PlacementOutcome};
use tokio::time::timeout;
use tracing::debug;

use super::{
    Notice, PIN_LIFETIME, Placement, Shard,
    message::{Pin, from_json, to_json},
    publisher::pin_key,
};
use crate::store::{PutOutcome, StoreError};

/// How a room got its shard; a label in metrics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The room had no pin.
    New,
    /// Another replica had pinned the room.
    Existing,
    /// The shard of its pin was down or no longer configured.
    Moved,
    /// The store did not respond.
    WithoutStore,
    /// The pin cache is full.
    Unpinned,
}

/// The result of [`Placement::agree`].
struct Agreement {
    shard: Arc<Shard>,
    pin: Pin,
    outcome: Outcome,
}

// === impl Placement ===

impl Placement {
    /// Pins a room that has no pin on this replica, or a pin to a shard that cannot serve it.
    pub(super) async fn resolve_pin(&self, room: &RoomKey) -> Arc<Shard> {
        if self.pins.is_full() && self.pins.get(room).is_none() {
            self.count(Outcome::Unpinned);
            // Without a pin, every replica has to compute the same shard for every request.
            return Arc::clone(self.shard_map().fallback_shard(room));
        }
        let agreed = timeout(STORE_TIMEOUT, self.agree(room)).await;
        let agreement = match agreed.unwrap_or(Err(StoreError::Timeout)) {
            Ok(agreement) => agreement,
            Err(error) => {
                debug!(%error, %room, "placed a room without the store");
                self.place_without_store(room)
            }
        };
        let Agreement {
            shard,
            pin,
            outcome,
        } = agreement;
        self.count(outcome);
        self.notify(Notice::Placed {
            room: room.clone(),
            pin,
            is_published: outcome == Outcome::Existing,
        });
        shard
    }

    /// Agrees with the other replicas through the store.
    ///
    /// 1. `put_if_absent` pins the room to the shard that the ring names. If the room had no pin,
    ///    this is the result: of two replicas that do so at once, the second finds the first's pin.
    /// 2. A pin in the store to a usable shard wins, unless this replica knows a greater one: then
    ///    the room has moved, and the store has not received the move yet.
    /// 3. Otherwise the shard of the pin is unusable, and every replica chooses the same next one by
    ///    the ring. The new pin is greater than both known ones and replaces them everywhere.
    async fn agree(&self, room: &RoomKey) -> Result<Agreement, StoreError> {
        let cached = self.pins.get(room);
        let known = cached.as_ref().map(|cached| &cached.pin);
        let shard = Arc::clone(self.shard_map().place(room));
        let pin = self.next_pin(&shard, known);
        let (key, text) = (pin_key(room), to_json(&pin));
        let stored = match self.store.put_if_absent(&key, &text, PIN_LIFETIME).await? {
            PutOutcome::Stored => {
                return Ok(Agreement {
                    shard,
                    pin,
                    outcome: Outcome::New,
                });
            }
            PutOutcome::Existing(text) => from_json::<Pin>(&text),
        };
        let stored_shard = stored.as_ref().and_then(|stored| {
            let map = self.shard_map();
            map.usable(stored.shard.as_str()).cloned()
        });
        if let (Some(pin), Some(shard)) = (&stored, &stored_shard)
            && known.is_none_or(|known| known <= pin)
        {
            return Ok(Agreement {
                shard: Arc::clone(shard),
                pin: pin.clone(),
                outcome: Outcome::Existing,
            });
        }
        let shard = stored_shard.unwrap_or(shard);
        let pin = self.next_pin(&shard, stored.as_ref().max(known));
        self.store.put(&key, &to_json(&pin), PIN_LIFETIME).await?;
        Ok(Agreement {
            shard,
            pin,
            outcome: Outcome::Moved,
        })
    }

    fn place_without_store(&self, room: &RoomKey) -> Agreement {
        let shard = Arc::clone(self.shard_map().fallback_shard(room));
        let known = self.pins.get(room);
        let pin = self.next_pin(&shard, known.as_ref().map(|known| &known.pin));
        Agreement {
            shard,
            pin,
            outcome: Outcome::WithoutStore,
        }
    }

    /// Creates a pin that wins over an earlier one.
    fn next_pin(&self, shard: &Shard, before: Option<&Pin>) -> Pin {
        Pin {
            shard: shard.name.clone(),
            version: self.next_version(before.map(|before| before.version)),
        }
    }

    fn count(&self, outcome: Outcome) {
        let outcome = outcome.label();
        let placements = &self.metrics.placements;
        placements.get_or_create(&PlacementLabels { outcome }).inc();
    }
}

// === impl Outcome ===

impl Outcome {
    const fn label(self) -> PlacementOutcome {
        match self {
            Self::New => PlacementOutcome::New,
            Self::Existing => PlacementOutcome::Existing,
            Self::Moved => PlacementOutcome::Moved,
            Self::WithoutStore => PlacementOutcome::WithoutStore,
            Self::Unpinned => PlacementOutcome::Unpinned,
        }
    }
}

/// The visitor waits for the page meanwhile, and a healthy store responds within milliseconds.
const STORE_TIMEOUT: Duration = Duration::from_millis(500);
