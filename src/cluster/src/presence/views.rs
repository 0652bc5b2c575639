//! What readers see: for each room a view that is replaced whole.
//!
//! Rooms are spread over stripes, so that a change copies the index of few rooms.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::Who;
use model::room::RoomKey;

/// All rooms in which somebody is, or was lately. One task writes, anybody reads.
#[derive(Debug)]
pub(super) struct Views {
    stripes: [ArcSwap<Stripe>; STRIPES],
    hasher: RandomState,
}

/// One room.
#[derive(Debug)]
pub(super) struct View {
    /// The meeting goes on.
    pub(super) open: bool,
    /// Somebody who may start it is there.
    pub(super) host: bool,
    /// Who is there, on any replica.
    pub(super) people: HashSet<Who>,
}

type Stripe = HashMap<RoomKey, Arc<View>>;

// === impl Views ===

impl Views {
    pub(super) fn new() -> Self {
        Self {
            stripes: std::array::from_fn(|_| ArcSwap::default()),
            hasher: RandomState::new(),
        }
    }

    /// Reads something of a room, if it is known.
    pub(super) fn read<T>(&self, room: &RoomKey, read: impl FnOnce(&View) -> T) -> Option<T> {
        let stripe = self.stripes.get(self.stripe_of(room))?.load();
        stripe.get(room).map(|view| read(view))
    }

    /// How many rooms have somebody in them, and how many people are in rooms.
    pub(super) fn totals(&self) -> (usize, usize) {
        let mut totals = (0, 0);
        for stripe in &self.stripes {
            for view in stripe.load().values() {
                totals.0 += usize::from(!view.people.is_empty());
                totals.1 += view.people.len();
            }
        }
        totals
    }

    /// Replaces views; `None` takes the room out.
    pub(super) fn write(&self, views: Vec<(RoomKey, Option<View>)>) {
        let mut changed: HashMap<usize, Stripe> = HashMap::new();
        for (room, view) in views {
            let at = self.stripe_of(&room);
            let Some(stripe) = self.stripes.get(at) else {
                continue;
            };
            let stripe = changed
                .entry(at)
                .or_insert_with(|| Stripe::clone(&stripe.load()));
            match view {
                Some(view) => stripe.insert(room, Arc::new(view)),
                None => stripe.remove(&room),
            };
        }
        for (at, changed) in changed {
            if let Some(stripe) = self.stripes.get(at) {
                stripe.store(Arc::new(changed));
            }
        }
    }

    fn stripe_of(&self, room: &RoomKey) -> usize {
        let hash = self.hasher.hash_one(room);
        usize::try_from(hash % STRIPES as u64).expect("the remainder is below STRIPES")
    }
}

/// So many that with ten thousand rooms a change copies forty entries.
const STRIPES: usize = 256;
