//! This replica's copy of all pins: lookups wait for nobody, one task writes.
//!
//! Rooms are spread over stripes, each replaced whole, so that a new pin copies few entries.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{PIN_LIFETIME, message::Pin};
use model::{room::RoomKey, shard::ShardName};

/// All pins that are known here.
#[derive(Debug)]
pub(super) struct Copies {
    stripes: [ArcSwap<Stripe>; STRIPES],
    hasher: RandomState,
    began: Instant,
    /// How many there are, those included that are over and not swept away yet.
    count: AtomicUsize,
}

/// A pin, and when it was last heard of. Times are milliseconds since the start.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) pin: Pin,
    /// Another replica, or the store, said so.
    told: AtomicU64,
    /// A request here was for the room; 0 for never.
    used: AtomicU64,
}

/// What a pin is for those who knew another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Nothing was known of the room.
    New,
    /// The same was known, or something that counts more.
    Known,
    /// The room was elsewhere.
    Elsewhere,
}

type Stripe = HashMap<RoomKey, Arc<Copied>>;

// === impl Copies ===

impl Copies {
    pub(super) fn new() -> Self {
        Self {
            stripes: std::array::from_fn(|_| ArcSwap::default()),
            hasher: RandomState::new(),
            began: Instant::now(),
            count: AtomicUsize::new(0),
        }
    }

    /// A room's pin, if it is still good.
    pub(super) fn get(&self, room: &RoomKey) -> Option<Arc<Copied>> {
        let stripe = self.stripe_of(room).load();
        let copied = stripe.get(room)?;
        copied.is_alive(self.now()).then(|| Arc::clone(copied))
    }

    /// The same, and the room is used now.
    pub(super) fn used(&self, room: &RoomKey) -> Option<Arc<Copied>> {
        let copied = self.get(room)?;
        let now = self.now();
        // Readers on other cores keep their copy of the line for most requests.
        if now.saturating_sub(copied.used.load(Ordering::Relaxed)) > USED_STEP {
            copied.used.store(now, Ordering::Relaxed);
        }
        Some(copied)
    }

    /// Whether there are as many as may be; no other rooms' are taken then.
    pub(super) fn are_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= MAX_PINS
    }

    /// Takes pins over, as far as they count more than what is known, and tells of each what it
    /// was. `used` if they are of this replica's own people.
    pub(super) fn merge(
        &self,
        pins: Vec<(RoomKey, Pin)>,
        used: bool,
    ) -> Vec<(RoomKey, ShardName, Merged)> {
        let now = self.now();
        let mut by_stripe: HashMap<usize, Vec<(RoomKey, Pin)>> = HashMap::new();
        for (room, pin) in pins {
            by_stripe
                .entry(self.index_of(&room))
                .or_default()
                .push((room, pin));
        }
        let mut merged = Vec::new();
        for (at, pins) in by_stripe {
            let Some(slot) = self.stripes.get(at) else {
                continue;
            };
            let mut stripe = Stripe::clone(&slot.load());
            let mut changed = false;
            for (room, pin) in pins {
                let is_new = !stripe.contains_key(&room);
                if is_new && self.are_full() {
                    continue;
                }
                let known = stripe.get(&room).filter(|known| known.is_alive(now));
                let what = match known {
                    Some(known) if known.pin >= pin => Merged::Known,
                    Some(known) if known.pin.shard != pin.shard => Merged::Elsewhere,
                    Some(_) => Merged::Known,
                    None => Merged::New,
                };
                if let Some(known) = known.filter(|known| known.pin >= pin) {
                    let heard = if used { &known.used } else { &known.told };
                    heard.fetch_max(now, Ordering::Relaxed);
                } else {
                    let was_used = known.map_or(0, |known| known.used.load(Ordering::Relaxed));
                    let copied = Copied {
                        told: AtomicU64::new(if used { 0 } else { now }),
                        used: AtomicU64::new(if used { now } else { was_used }),
                        pin: pin.clone(),
                    };
                    changed = true;
                    self.count.fetch_add(usize::from(is_new), Ordering::Relaxed);
                    stripe.insert(room.clone(), Arc::new(copied));
                }
                merged.push((room, pin.shard, what));
            }
            if changed {
                slot.store(Arc::new(stripe));
            }
        }
        merged
    }

    /// Forgets what is over, and tells the pins that are left to `each`, with how long ago (in
    /// milliseconds) this replica used them, if it did.
    pub(super) fn sweep(
        &self,
        keep: impl Fn(&RoomKey) -> bool,
        mut each: impl FnMut(&RoomKey, &Pin, Option<u64>),
    ) {
        let now = self.now();
        for slot in &self.stripes {
            let stripe = slot.load();
            let lives =
                |(room, copied): &(&RoomKey, &Arc<Copied>)| copied.is_alive(now) || keep(room);
            if !stripe.iter().all(|entry| lives(&entry)) {
                let left = stripe.iter().filter(lives);
                let left = left.map(|(room, copied)| (room.clone(), Arc::clone(copied)));
                let left: Stripe = left.collect();
                self.count
                    .fetch_sub(stripe.len() - left.len(), Ordering::Relaxed);
                slot.store(Arc::new(left));
            }
            for (room, copied) in stripe.iter().filter(lives) {
                let used = copied.used.load(Ordering::Relaxed);
                each(
                    room,
                    &copied.pin,
                    (used > 0).then(|| now.saturating_sub(used)),
                );
            }
        }
    }

    fn now(&self) -> u64 {
        let since = self.began.elapsed().as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn stripe_of(&self, room: &RoomKey) -> &ArcSwap<Stripe> {
        let stripe = self.stripes.get(self.index_of(room));
        stripe.expect("the index is below STRIPES")
    }

    fn index_of(&self, room: &RoomKey) -> usize {
        let hash = self.hasher.hash_one(room);
        usize::try_from(hash % STRIPES as u64).expect("the remainder is below STRIPES")
    }
}

// === impl Copied ===

impl Copied {
    fn is_alive(&self, now: u64) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let heard = self.told.load(Ordering::Relaxed).max(used);
        u128::from(now.saturating_sub(heard)) < PIN_LIFETIME.as_millis()
    }
}

/// So many that with ten thousand rooms a new pin copies forty entries.
const STRIPES: usize = 256;

/// More rooms than any deployment has at a time; below a hundred megabytes. Somebody who may enter any
/// room could fill the memory otherwise.
pub(super) const MAX_PINS: usize = 200_000;

/// How exactly is known when a room was used last, in milliseconds.
const USED_STEP: u64 = 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn room(name: &str) -> RoomKey {
        RoomKey::from_text(name).unwrap()
    }

    fn pin(shard: &str, number: u64) -> Pin {
        Pin {
            shard: ShardName::parse(shard).unwrap(),
            number,
        }
    }

    fn merge(copies: &Copies, shard: &str, number: u64) -> Merged {
        let merged = copies.merge(vec![(room("team"), pin(shard, number))], false);
        merged.into_iter().next().unwrap().2
    }

    #[tokio::test(start_paused = true)]
    async fn the_later_pin_counts_and_of_two_at_once_the_same_one_everywhere() {
        let copies = Copies::new();
        assert_eq!(merge(&copies, "s1", 7), Merged::New);
        assert_eq!(merge(&copies, "s1", 7), Merged::Known);
        assert_eq!(merge(&copies, "s2", 6), Merged::Known);
        assert_eq!(merge(&copies, "s0", 7), Merged::Known);
        assert_eq!(copies.get(&room("team")).unwrap().pin.shard.as_str(), "s1");
        assert_eq!(merge(&copies, "s2", 7), Merged::Elsewhere);
        assert_eq!(merge(&copies, "s1", 8), Merged::Elsewhere);
        assert_eq!(merge(&copies, "s1", 9), Merged::Known);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_lives_while_it_is_used_or_heard_of() {
        let copies = Copies::new();
        let minutes = Duration::from_mins;
        merge(&copies, "s1", 1);
        tokio::time::advance(minutes(4)).await;
        assert!(copies.used(&room("team")).is_some());
        tokio::time::advance(minutes(4)).await;
        merge(&copies, "s1", 1);
        tokio::time::advance(minutes(4)).await;
        assert!(copies.get(&room("team")).is_some());
        tokio::time::advance(minutes(1)).await;
        assert!(copies.get(&room("team")).is_none());
        // What is over does not hinder what comes, however it counts.
        assert_eq!(merge(&copies, "s2", 0), Merged::New);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_may_be_and_what_is_swept_makes_room() {
        let copies = Copies::new();
        let rooms = (0..MAX_PINS + 10).map(|n| (room(&n.to_string()), pin("s1", 1)));
        copies.merge(rooms.collect(), false);
        let kept = || -> usize { copies.stripes.iter().map(|slot| slot.load().len()).sum() };
        assert_eq!((kept(), copies.are_full()), (MAX_PINS, true));
        // Who is there already is heard of all the same.
        let known = copies.stripes[0].load().keys().next().unwrap().clone();
        copies.merge(vec![(known.clone(), pin("s2", 2))], false);
        assert_eq!(copies.get(&known).unwrap().pin.shard.as_str(), "s2");
        tokio::time::advance(PIN_LIFETIME).await;
        copies.sweep(|_| false, |_, _, _| {});
        assert_eq!((kept(), copies.are_full()), (0, false));
        assert_eq!(merge(&copies, "s1", 1), Merged::New);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_swept_away_but_for_what_somebody_keeps() {
        let copies = Copies::new();
        let rooms = (0..1000).map(|n| (room(&n.to_string()), pin("s1", 1)));
        copies.merge(rooms.collect(), false);
        tokio::time::advance(PIN_LIFETIME).await;
        let mut left = Vec::new();
        copies.sweep(|of| *of == room("7"), |room, _, _| left.push(room.clone()));
        assert_eq!(left, [room("7")]);
        let kept: usize = copies.stripes.iter().map(|slot| slot.load().len()).sum();
        assert_eq!(kept, 1);
    }
}
