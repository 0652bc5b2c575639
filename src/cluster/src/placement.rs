//! The shard of each room.
//!
//! A room without a pin begins on the shard that the ring names (`model::shard`); from then on it is
//! pinned there. A pin lives in the store for five minutes after the room was last used, and every
//! replica caches all pins. Only for a room without a cached pin does a request wait for the store,
//! where one of several replicas decides. While the store is unreachable, known rooms stay where they
//! are, and every replica computes the same shard for others.
//!
//! Three parts: the [`ShardMap`] (shards and their states), the pin cache (rooms and their shards),
//! and a task on the control plane ([`PlacementSync::run`]) that saves pins, exchanges them with the
//! other replicas, and probes the shards.

mod health;
mod message;
mod pin_cache;
mod probe;
mod probe_set;
mod publisher;
mod resolve_pin;
mod settings;
mod shard_map;
mod sync;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use model::{
    clock::Clock,
    room::RoomKey,
    shard::{ShardName, ShardState},
};
use observe::metrics::{ShardMetrics, ShardStateLabels};
use tokio::sync::{broadcast, mpsc::UnboundedSender};
use tracing::info;

use self::{
    health::Finding,
    message::{Override, Pin},
    pin_cache::PinCache,
    shard_map::ShardFacts,
    sync::Machine,
};
pub use self::{
    settings::{PlacementContext, PlacementSettings, ShardEndpoints, ShardSettings, VisitorNode},
    shard_map::{Shard, ShardMap, ShardStatus},
    sync::PlacementSync,
};
use crate::{
    replication::{self, Replication},
    store::Store,
};

/// The shards of all rooms; shared by all workers.
pub struct Placement {
    shard_map: ArcSwap<ShardMap>,
    /// Locked by the control plane only.
    facts: Mutex<ShardFacts>,
    pins: PinCache,
    inbox: UnboundedSender<Notice>,
    moves: broadcast::Sender<Move>,
    store: Arc<dyn Store>,
    /// The `Host` of probes.
    xmpp_domain: Arc<str>,
    /// Random name of this replica, new at each start.
    replica: String,
    clock: Clock,
    metrics: ShardMetrics,
}

/// Connections that must not stay on their shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// All connections on this shard.
    From(ShardName),
    /// All connections of this room on another shard than this one.
    Room(RoomKey, ShardName),
}

/// A WebSocket in a room; the room's pin is renewed until the last guard of the room is dropped.
#[derive(Debug)]
pub struct RoomGuard {
    inbox: UnboundedSender<Notice>,
    room: RoomKey,
}

/// There is no shard of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such shard")]
pub struct UnknownShard;

/// A change on this replica, for the placement task.
#[derive(Debug)]
enum Notice {
    /// A request was sent to the shard of this pin. `is_published` if the pin is another replica's.
    Placed {
        room: RoomKey,
        pin: Pin,
        is_published: bool,
    },
    /// A WebSocket opened.
    Joined(RoomKey),
    /// A WebSocket closed.
    Left(RoomKey),
    Overridden(Override),
    Reconfigured,
    Probed {
        shard: ShardName,
        finding: Finding,
    },
}

// === impl Placement ===

impl Placement {
    /// Creates a placement without pins, and the task that keeps and replicates it.
    pub fn new(
        settings: PlacementSettings,
        xmpp_domain: &str,
        context: PlacementContext,
    ) -> (Arc<Self>, PlacementSync) {
        let PlacementContext {
            clock,
            random,
            store,
            metrics,
        } = context;
        let (inbox, inputs) = replication::inbox();
        let facts = ShardFacts::new(settings);
        let placement = Arc::new(Self {
            shard_map: ArcSwap::from_pointee(facts.shard_map()),
            facts: Mutex::new(facts),
            pins: PinCache::new(),
            inbox,
            moves: broadcast::Sender::new(MOVE_CAPACITY),
            store: Arc::clone(&store),
            xmpp_domain: xmpp_domain.into(),
            replica: random.text::<9>(),
            clock,
            metrics,
        });
        placement.publish_shard_map();
        // Starts the probes.
        placement.notify(Notice::Reconfigured);
        let machine = Machine::new(Arc::clone(&placement));
        let sync = PlacementSync::new(Replication::new(machine, inputs), store);
        (placement, sync)
    }

    /// The shards in their current states.
    pub fn shard_map(&self) -> Guard<Arc<ShardMap>> {
        self.shard_map.load()
    }

    /// The shard of a room for a request to that room; pins the room.
    pub async fn place(&self, room: &RoomKey) -> Arc<Shard> {
        let map = self.shard_map();
        if !map.is_sharded() {
            return Arc::clone(map.default_shard());
        }
        if let Some(cached) = self.pins.touch(room)
            && let Some(shard) = map.usable(cached.pin.shard.as_str())
        {
            return Arc::clone(shard);
        }
        drop(map);
        self.resolve_pin(room).await
    }

    /// The shard of a room, or the one on which it would begin; does not pin. `None` if the pinned
    /// shard is no longer configured: established connections to it may stay.
    pub fn locate(&self, room: &RoomKey) -> Option<Arc<Shard>> {
        let map = self.shard_map();
        let Some(cached) = self.pins.get(room).filter(|_| map.is_sharded()) else {
            return Some(Arc::clone(map.place(room)));
        };
        map.named(cached.pin.shard.as_str())?;
        let shard = map.usable(cached.pin.shard.as_str());
        Some(Arc::clone(shard.unwrap_or_else(|| map.place(room))))
    }

    /// The shard of an established BOSH stream, `None` if its room has moved. A room without a pin
    /// is pinned to the shard of its stream.
    pub fn shard_for_stream(&self, shard: &str, room: &RoomKey) -> Option<Arc<Shard>> {
        let map = self.shard_map();
        let shard = map.usable(shard)?;
        match self.pins.touch(room) {
            Some(cached) if cached.pin.shard == shard.name => {}
            Some(cached) if map.usable(cached.pin.shard.as_str()).is_some() => return None,
            _ => self.notify(Notice::Placed {
                room: room.clone(),
                // Loses against any pin that this replica has not learned yet.
                pin: Pin {
                    version: 0,
                    shard: shard.name.clone(),
                },
                is_published: false,
            }),
        }
        Some(Arc::clone(shard))
    }

    /// The shard for requests without a room.
    pub fn default_shard(&self) -> Arc<Shard> {
        Arc::clone(self.shard_map().default_shard())
    }

    /// Keeps the pin of a room alive until the guard is dropped. `None` if the deployment has one
    /// Jitsi.
    pub fn hold(&self, room: &RoomKey) -> Option<RoomGuard> {
        self.shard_map().is_sharded().then(|| {
            self.notify(Notice::Joined(room.clone()));
            RoomGuard {
                inbox: self.inbox.clone(),
                room: room.clone(),
            }
        })
    }

    /// Requests a probe of a shard, because a connection to it failed.
    pub fn request_probe(&self, shard: &Shard) {
        shard.probe_requested.notify_one();
    }

    /// Subscribes to moves. On `Lagged`, check all connections.
    pub fn moves(&self) -> broadcast::Receiver<Move> {
        self.moves.subscribe()
    }

    /// Replaces the configured shards. If the address of a shard's Prosody changes, its connections
    /// move; otherwise they and new occupants of the same room would not meet.
    pub fn replace(&self, settings: PlacementSettings) {
        let before = Guard::into_inner(self.shard_map());
        self.facts().reconfigure(settings);
        // Removes those of removed shards; the next heartbeat sets the others.
        self.metrics.rooms.clear();
        self.publish_shard_map();
        for ShardStatus { shard, .. } in self.shard_map().shards() {
            let earlier = before.named(shard.name.as_str());
            if earlier.is_some_and(|earlier| earlier.shard.endpoints.xmpp != shard.endpoints.xmpp) {
                self.publish_move(Move::From(shard.name.clone()));
            }
        }
        self.notify(Notice::Reconfigured);
    }

    /// Overrides the configured state of a shard on all replicas until the next override; `None`
    /// returns to the configured state.
    pub fn set_override(&self, shard: &str, state: Option<ShardState>) -> Result<(), UnknownShard> {
        let map = self.shard_map();
        let status = map.named(shard).filter(|_| map.is_sharded());
        let name = status.ok_or(UnknownShard)?.shard.name.clone();
        info!(shard = %name, state = state.map(ShardState::as_str), "an operator sets the state of a shard");
        let mut facts = self.facts();
        let before = facts.overrides().find(|known| known.shard == name);
        let new = Override {
            version: self.next_version(before.map(|before| before.version)),
            shard: name,
            state,
        };
        facts.apply_override(new.clone());
        drop(facts);
        self.publish_shard_map();
        self.notify(Notice::Overridden(new));
        Ok(())
    }

    /// The version of a pin or override that wins over an earlier one: the time in seconds, which
    /// also wins over versions that this replica has not learned yet, or one more than the earlier
    /// version if that is greater.
    fn next_version(&self, before: Option<u64>) -> u64 {
        let now = self.clock.now().as_unix();
        before.map_or(now, |before| now.max(before.saturating_add(1)))
    }

    fn notify(&self, notice: Notice) {
        // Fails only at stop, when the task has ended.
        let _ = self.inbox.send(notice);
    }

    fn facts(&self) -> MutexGuard<'_, ShardFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recomputes the map from the facts, and moves connections off shards that went down.
    fn publish_shard_map(&self) {
        let facts = self.facts();
        let map = Arc::new(facts.shard_map());
        let before = self.shard_map.swap(Arc::clone(&map));
        drop(facts);
        self.update_state_metrics(&map);
        for status in map.shards() {
            let name = &status.shard.name;
            let earlier = before.named(name.as_str()).map(|status| status.state);
            if earlier.is_some_and(|earlier| earlier != status.state) {
                let (ring, state) = (map.ring().fingerprint(), status.state.as_str());
                info!(shard = %name, state, ring, "the state of a shard changed");
            }
            let is_usable = map.usable(name.as_str()).is_some();
            if !is_usable && earlier.is_some_and(|earlier| earlier != ShardState::Down) {
                self.publish_move(Move::From(name.clone()));
            }
        }
    }

    fn publish_move(&self, moved: Move) {
        // Fails without subscribers.
        let _ = self.moves.send(moved);
    }

    fn update_state_metrics(&self, map: &ShardMap) {
        let states = &self.metrics.states;
        // Removes those of removed shards.
        states.clear();
        for status in map.shards().iter().filter(|_| map.is_sharded()) {
            for state in ShardState::ALL {
                let labels = ShardStateLabels {
                    shard: status.shard.name.to_string(),
                    state: state.as_str(),
                };
                let value = i64::from(state == status.state);
                states.get_or_create(&labels).set(value);
            }
        }
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("shard_map", &self.shard_map())
            .finish_non_exhaustive()
    }
}

// === impl RoomGuard ===

impl Drop for RoomGuard {
    fn drop(&mut self) {
        let _ = self.inbox.send(Notice::Left(self.room.clone()));
    }
}

/// Lifetime of an unused room's pin, as in Jitsi's own load balancers.
const PIN_LIFETIME: Duration = Duration::from_mins(5);

/// Capacity of a subscription to moves: a draining shard of a small deployment fits without
/// `Lagged`.
const MOVE_CAPACITY: usize = 4096;

#[cfg(test)]
mod tests;
