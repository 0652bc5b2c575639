//! This replica's copy of all pins, for lookups without the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use model::room::RoomKey;
use tokio::time::Instant;

use super::{
    Move, PIN_LIFETIME,
    message::{Pin, RoomPin},
};
use crate::striped_map::StripedMap;

/// The pins that this replica knows, at most [`MAX_PINS`].
#[derive(Debug)]
pub(super) struct PinCache {
    pins: StripedMap<RoomKey, Arc<CachedPin>>,
    began: Instant,
}

/// A pin with the times at which it was confirmed, in milliseconds since the cache began; 0 for
/// never. It expires [`PIN_LIFETIME`] after the later of the two.
#[derive(Debug)]
pub(super) struct CachedPin {
    pub(super) pin: Pin,
    /// The last confirmation by a peer or the store.
    reported_at: AtomicU64,
    /// The last request on this replica.
    used_at: AtomicU64,
}

/// The origin of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinOrigin {
    /// A request on this replica; its client was sent to the pin's shard.
    Local,
    /// A peer or the store.
    Remote,
}

// === impl PinCache ===

impl PinCache {
    pub(super) fn new() -> Self {
        Self {
            pins: StripedMap::new(STRIPES),
            began: Instant::now(),
        }
    }

    /// The pin of a room, unless it has expired.
    pub(super) fn get(&self, room: &RoomKey) -> Option<Arc<CachedPin>> {
        let cached = self.pins.get(room)?;
        cached.is_live(self.now()).then_some(cached)
    }

    /// The pin of a room, which counts as used now.
    pub(super) fn touch(&self, room: &RoomKey) -> Option<Arc<CachedPin>> {
        let cached = self.get(room)?;
        let now = self.now();
        // Most requests only read, which leaves the cache line shared between cores.
        if now.saturating_sub(cached.used_at.load(Ordering::Relaxed)) > USED_RESOLUTION {
            cached.used_at.store(now, Ordering::Relaxed);
        }
        Some(cached)
    }

    /// Whether the limit is reached. Then pins of further rooms are not cached.
    pub(super) fn is_full(&self) -> bool {
        self.pins.len() >= MAX_PINS
    }

    /// Merges pins and returns the resulting moves.
    ///
    /// Of two pins of a room the greater wins, by version and then by name of the shard, so that
    /// all replicas agree in whatever order they receive them. An expired pin never wins over a
    /// live one, whatever its version: the room ended, and began again on another shard. A pin that
    /// does not win still proves that the room is live.
    ///
    /// A room moves if its pin names another shard than before; or if a local client was sent to
    /// the shard of a pin that does not win.
    pub(super) fn merge(&self, pins: Vec<RoomPin>, origin: PinOrigin) -> Vec<Move> {
        let now = self.now();
        let mut merged = Vec::new();
        let pins = pins.into_iter().map(|RoomPin { room, pin }| (room, pin));
        self.pins.update(pins, |stripe, room, pin| {
            let known = stripe.entries().get(&room);
            if known.is_none() && self.is_full() {
                return;
            }
            let live = known.filter(|known| known.is_live(now));
            let mut relocated = false;
            if let Some(winner) = live.filter(|live| live.pin >= pin) {
                winner.confirm(origin, now);
            } else {
                relocated = live.is_some_and(|live| live.pin.shard != pin.shard);
                let used_at = live.map_or(0, |live| live.used_at.load(Ordering::Relaxed));
                let cached = CachedPin {
                    pin: pin.clone(),
                    reported_at: AtomicU64::new(0),
                    used_at: AtomicU64::new(used_at),
                };
                cached.confirm(origin, now);
                stripe.insert(room.clone(), Arc::new(cached));
            }
            merged.push((room, pin.shard, relocated));
        });
        let moves = merged.into_iter().filter_map(|(room, shard, relocated)| {
            let winner = self.get(&room)?.pin.shard.clone();
            let was_sent_elsewhere = origin == PinOrigin::Local && winner != shard;
            (relocated || was_sent_elsewhere).then_some(Move::Room(room, winner))
        });
        moves.collect()
    }

    /// Removes expired pins, except those of rooms for which `keep` returns `true`.
    pub(super) fn sweep(&self, keep: impl Fn(&RoomKey) -> bool) {
        let now = self.now();
        self.pins
            .retain(|room, cached| cached.is_live(now) || keep(room));
    }

    /// Calls a function for every pin, with the milliseconds since the last request on this
    /// replica, if there was one.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&RoomKey, &Pin, Option<u64>)) {
        let now = self.now();
        self.pins.for_each(|room, cached| {
            let used_at = cached.used_at.load(Ordering::Relaxed);
            let idle = (used_at > 0).then(|| now.saturating_sub(used_at));
            visit(room, &cached.pin, idle);
        });
    }

    fn now(&self) -> u64 {
        let elapsed = self.began.elapsed().as_millis();
        // Starts at 1, because 0 means never.
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

// === impl CachedPin ===

impl CachedPin {
    fn confirm(&self, origin: PinOrigin, now: u64) {
        let at = match origin {
            PinOrigin::Local => &self.used_at,
            PinOrigin::Remote => &self.reported_at,
        };
        at.fetch_max(now, Ordering::Relaxed);
    }

    fn is_live(&self, now: u64) -> bool {
        let used_at = self.used_at.load(Ordering::Relaxed);
        let confirmed_at = self.reported_at.load(Ordering::Relaxed).max(used_at);
        u128::from(now.saturating_sub(confirmed_at)) < PIN_LIFETIME.as_millis()
    }
}

/// With ten thousand rooms, inserting a pin copies about forty entries.
const STRIPES: usize = 256;

/// More rooms than any deployment has at once, in less than 100 MB. Without a limit, a visitor who
/// may enter any room could exhaust the memory.
pub(super) const MAX_PINS: usize = 200_000;

/// Resolution of `used_at` in milliseconds. A second is fine enough for a lifetime of minutes, and
/// bounds the writes to a cache line that all cores read.
const USED_RESOLUTION: u64 = 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::shard::ShardName;

    use super::*;

    fn room(name: &str) -> RoomKey {
        RoomKey::from_text(name).unwrap()
    }

    fn pin(room: RoomKey, shard: &str, version: u64) -> RoomPin {
        RoomPin {
            room,
            pin: Pin {
                shard: ShardName::parse(shard).unwrap(),
                version,
            },
        }
    }

    /// Merges a pin of one room; returns the shard of the winner and whether the room moved.
    fn merge(cache: &PinCache, shard: &str, version: u64, origin: PinOrigin) -> (String, bool) {
        let moves = cache.merge(vec![pin(room("team"), shard, version)], origin);
        let winner = cache.get(&room("team")).unwrap().pin.shard.to_string();
        (winner, !moves.is_empty())
    }

    fn count(cache: &PinCache) -> usize {
        let mut count = 0;
        cache.for_each(|_, _, _| count += 1);
        count
    }

    #[tokio::test(start_paused = true)]
    async fn the_greater_version_wins_and_on_a_tie_the_greater_shard() {
        let cache = PinCache::new();
        for (shard, version, winner, moved) in [
            ("s1", 7, "s1", false),
            ("s1", 7, "s1", false),
            ("s2", 6, "s1", false),
            ("s0", 7, "s1", false),
            ("s2", 7, "s2", true),
            ("s1", 8, "s1", true),
            ("s1", 9, "s1", false),
        ] {
            let merged = merge(&cache, shard, version, PinOrigin::Remote);
            assert_eq!(merged, (winner.to_owned(), moved), "{shard} {version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_local_pin_that_does_not_win_moves_its_clients() {
        let cache = PinCache::new();
        merge(&cache, "s1", 7, PinOrigin::Remote);
        let merged = merge(&cache, "s2", 6, PinOrigin::Local);
        assert_eq!(merged, ("s1".to_owned(), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_lives_while_it_is_used_or_confirmed() {
        let cache = PinCache::new();
        let minutes = Duration::from_mins;
        merge(&cache, "s1", 1, PinOrigin::Remote);
        tokio::time::advance(minutes(4)).await;
        assert!(cache.touch(&room("team")).is_some());
        tokio::time::advance(minutes(4)).await;
        merge(&cache, "s1", 1, PinOrigin::Remote);
        tokio::time::advance(minutes(4)).await;
        assert!(cache.get(&room("team")).is_some());
        tokio::time::advance(minutes(1)).await;
        assert!(cache.get(&room("team")).is_none());
        // The expired pin has the greater version and does not win.
        let merged = merge(&cache, "s2", 0, PinOrigin::Remote);
        assert_eq!(merged, ("s2".to_owned(), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_refuses_further_rooms_until_a_sweep() {
        let cache = PinCache::new();
        let pins = (0..MAX_PINS + 10).map(|n| pin(room(&n.to_string()), "s1", 1));
        cache.merge(pins.collect(), PinOrigin::Remote);
        assert_eq!((count(&cache), cache.is_full()), (MAX_PINS, true));
        let mut known = None;
        cache.for_each(|room, _, _| known = Some(room.clone()));
        let known = known.unwrap();
        cache.merge(vec![pin(known.clone(), "s2", 2)], PinOrigin::Remote);
        assert_eq!(cache.get(&known).unwrap().pin.shard.as_str(), "s2");
        tokio::time::advance(PIN_LIFETIME).await;
        cache.sweep(|_| false);
        assert_eq!((count(&cache), cache.is_full()), (0, false));
        let merged = merge(&cache, "s1", 1, PinOrigin::Remote);
        assert_eq!(merged, ("s1".to_owned(), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_removes_expired_pins_except_those_to_keep() {
        let cache = PinCache::new();
        let pins = (0..1000).map(|n| pin(room(&n.to_string()), "s1", 1));
        cache.merge(pins.collect(), PinOrigin::Remote);
        tokio::time::advance(PIN_LIFETIME).await;
        cache.sweep(|of| *of == room("7"));
        let mut left = Vec::new();
        cache.for_each(|room, _, _| left.push(room.clone()));
        assert_eq!(left, [room("7")]);
    }
}
