//! Where a room is that this replica does not know: the store is asked, so that one replica decides.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::debug;

use super::{
    Notice, PIN_LIFETIME, Placement, Shard,
    message::{Pin, read, write},
    pin_key,
};
use crate::store::{Remembered, StoreError};
use model::room::RoomKey;
use observe::metrics::{PlacementLabels, PlacementOutcome};

/// How a room that was not known here got its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It lived nowhere.
    New,
    /// Another replica had placed it.
    Told,
    /// Its shard was gone.
    Moved,
    /// The store was not there.
    Guessed,
    /// There are as many pins as can be.
    Unpinned,
}

// === impl Placement ===

impl Placement {
    /// Pins a room that is not pinned, or not where it can be.
    pub(super) async fn settle(&self, room: &RoomKey) -> Arc<Shard> {
        if self.copies.are_full() && self.copies.get(room).is_none() {
            self.count(Outcome::Unpinned);
            // Of what is not remembered every replica has to think the same tomorrow.
            return Arc::clone(self.view().guess(room));
        }
        let (shard, pin, outcome) = match timeout(PATIENCE, self.agree(room)).await {
            Ok(Ok(agreed)) => agreed,
            failed => {
                let error = failed.unwrap_or(Err(StoreError::Timeout)).err();
                let error = error.map(tracing::field::display);
                debug!(error, "a room is placed without the store");
                let shard = Arc::clone(self.view().guess(room));
                let known = self.copies.get(room);
                let pin = self.pin(&shard, known.as_ref().map(|known| &known.pin));
                (shard, pin, Outcome::Guessed)
            }
        };
        self.count(outcome);
        self.notice(Notice::Placed {
            room: room.clone(),
            pin,
            told: outcome == Outcome::Told,
        });
        shard
    }

    /// Asks the store for a room's pin, or gives it one.
    async fn agree(&self, room: &RoomKey) -> Result<(Arc<Shard>, Pin, Outcome), StoreError> {
        let known = self.copies.get(room);
        let known = known.as_ref().map(|known| &known.pin);
        let shard = Arc::clone(self.view().place(room));
        let pin = self.pin(&shard, known);
        let key = pin_key(room);
        let text = write(&pin);
        let before = match self.store.remember(&key, &text, PIN_LIFETIME).await? {
            Remembered::New => return Ok((shard, pin, Outcome::New)),
            Remembered::Before(text) => read::<Pin>(&text),
        };
        let there = before.as_ref().and_then(|before| {
            let view = self.view();
            view.usable(before.shard.as_str()).cloned()
        });
        if let (Some(before), Some(there)) = (&before, &there)
            && known.is_none_or(|known| known <= before)
        {
            return Ok((Arc::clone(there), before.clone(), Outcome::Told));
        }
        // It was on a shard that is gone: every replica puts it where this one does.
        let shard = there.unwrap_or(shard);
        let pin = self.pin(&shard, before.as_ref().max(known));
        self.store.put(&key, &write(&pin), PIN_LIFETIME).await?;
        Ok((shard, pin, Outcome::Moved))
    }

    fn count(&self, outcome: Outcome) {
        let outcome = outcome.label();
        let placements = &self.metrics.placements;
        placements.get_or_create(&PlacementLabels { outcome }).inc();
    }

    /// A pin that counts more than the one before.
    fn pin(&self, shard: &Shard, before: Option<&Pin>) -> Pin {
        let now = self.clock.now().as_unix();
        Pin {
            shard: shard.name.clone(),
            number: before.map_or(now, |before| now.max(before.number.saturating_add(1))),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    const fn label(self) -> PlacementOutcome {
        match self {
            Self::New => PlacementOutcome::New,
            Self::Told => PlacementOutcome::Existing,
            Self::Moved => PlacementOutcome::Moved,
            Self::Guessed => PlacementOutcome::WithoutStore,
            Self::Unpinned => PlacementOutcome::Unpinned,
        }
    }
}

/// How long a room may wait for the store: people do, and a second is what they notice.
const PATIENCE: Duration = Duration::from_millis(500);
