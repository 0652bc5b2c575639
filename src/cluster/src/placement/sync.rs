//! Replication of pins, overrides and reachability.
//!
//! Pins and overrides are saved in the store and then published. A resync reads all of them, merges
//! them by version, and writes those that the store lacks. Reachability is not stored: each replica
//! publishes the findings of its probes as a heartbeat every ten seconds.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use model::{room::RoomKey, shard::ShardName};
use observe::metrics::ShardLabel;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Notice, PIN_LIFETIME, Placement,
    health::{Finding, Health},
    message::{Message, Override, Payload, RoomPin, from_json, to_json},
    pin_cache::PinOrigin,
    probe_set::ProbeSet,
    publisher::{SavedPins, Snapshot, read_snapshot, save_override, save_pins},
};
use crate::{
    replication::{Outbox, Replication, StateMachine},
    store::{Store, StoreError, Topic},
};

/// The task that keeps and replicates placement; see [`PlacementSync::run`].
pub struct PlacementSync {
    replication: Replication<Machine>,
    store: Arc<dyn Store>,
}

pub(super) struct Machine {
    placement: Arc<Placement>,
    health: Health,
    /// Numbers of open WebSockets on this replica, by room.
    sockets: HashMap<RoomKey, usize>,
    probes: ProbeSet,
    /// Shards with an override of this replica's operator that is not saved yet.
    unsaved_overrides: HashSet<ShardName>,
    next_heartbeat: Instant,
    next_renewal: Instant,
}

pub(super) enum Completion {
    Snapshot(Result<Snapshot, StoreError>),
    PinsSaved(SavedPins),
    OverrideSaved {
        shard: ShardName,
        result: Result<(), StoreError>,
    },
    Published(Result<(), StoreError>),
}

// === impl PlacementSync ===

impl PlacementSync {
    pub(super) fn new(replication: Replication<Machine>, store: Arc<dyn Store>) -> Self {
        Self { replication, store }
    }

    /// Keeps pins and probes shards until `stopped`.
    pub async fn run(self, stopped: CancellationToken) {
        self.replication.run(self.store, stopped).await;
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(placement: Arc<Placement>) -> Self {
        let now = Instant::now();
        Self {
            placement,
            health: Health::default(),
            sockets: HashMap::new(),
            probes: ProbeSet::default(),
            unsaved_overrides: HashSet::new(),
            next_heartbeat: now,
            next_renewal: now,
        }
    }

    fn merge(&self, pins: Vec<RoomPin>, origin: PinOrigin) {
        for moved in self.placement.pins.merge(pins, origin) {
            debug!(?moved, "a room moves");
            self.placement.publish_move(moved);
        }
    }

    /// Merges the store's content, and writes the entries that it lacks.
    fn reconcile(&mut self, snapshot: Snapshot, outbox: &mut Outbox<Completion>) {
        let Snapshot { pins, overrides } = snapshot;
        debug!(pins = pins.len(), "read pins from the store");
        self.merge(pins, PinOrigin::Remote);
        let mut facts = self.placement.facts();
        for stored in &overrides {
            facts.apply_override(stored.clone());
        }
        let missing: Vec<Override> = facts
            .overrides()
            .filter(|known| !overrides.contains(known))
            .cloned()
            .collect();
        drop(facts);
        self.placement.publish_shard_map();
        for missing in missing {
            self.save_override(missing, outbox);
        }
        // All pins that were used during an outage.
        self.renew_pins(PIN_LIFETIME, outbox);
        self.publish_reach(outbox);
    }

    fn read_snapshot(&self, outbox: &mut Outbox<Completion>) {
        let facts = self.placement.facts();
        let names = facts.probed().map(|shard| shard.name.clone()).collect();
        drop(facts);
        outbox.read_snapshot(|store| async move {
            Completion::Snapshot(read_snapshot(store, names).await)
        });
    }

    /// Publishes a heartbeat and removes expired peers.
    fn beat(&mut self, outbox: &mut Outbox<Completion>) {
        self.health.expire_peers(Instant::now());
        self.recompute_lost();
        let pins = &self.placement.pins;
        pins.sweep(|room| self.sockets.contains_key(room));
        let mut rooms: HashMap<String, i64> = HashMap::new();
        pins.for_each(|_, pin, _| *rooms.entry(pin.shard.to_string()).or_default() += 1);
        let map = self.placement.shard_map();
        if !map.is_sharded() {
            return;
        }
        for status in map.shards() {
            let shard = status.shard.name.to_string();
            let count = rooms.get(&shard).copied().unwrap_or(0);
            let gauges = &self.placement.metrics.rooms;
            gauges.get_or_create(&ShardLabel { shard }).set(count);
        }
        self.publish_reach(outbox);
    }

    /// Saves the pins of rooms that this replica used within `within` or that have WebSockets on
    /// it.
    fn renew_pins(&self, within: Duration, outbox: &mut Outbox<Completion>) {
        let pins = &self.placement.pins;
        for room in self.sockets.keys() {
            pins.touch(room);
        }
        let mut live = Vec::new();
        pins.for_each(|room, pin, idle| {
            if idle.is_some_and(|idle| u128::from(idle) < within.as_millis()) {
                let (room, pin) = (room.clone(), pin.clone());
                live.push(RoomPin { room, pin });
            }
        });
        self.save_pins(&live, outbox);
    }

    fn recompute_lost(&self) {
        if self.placement.facts().set_lost(self.health.lost()) {
            self.placement.publish_shard_map();
        }
    }

    fn record_finding(
        &mut self,
        shard: ShardName,
        finding: Finding,
        outbox: &mut Outbox<Completion>,
    ) {
        match finding {
            Finding::Reached => info!(%shard, "a shard responds to probes"),
            Finding::Lost => warn!(%shard, "a shard does not respond to probes"),
        }
        self.health.record(shard, finding);
        self.recompute_lost();
        self.publish_reach(outbox);
    }

    fn save_pins(&self, pins: &[RoomPin], outbox: &mut Outbox<Completion>) {
        for pins in pins.chunks(MAX_PINS_PER_MESSAGE) {
            let message = self.message(Payload::Pins(pins.to_vec()));
            let pins = pins.to_vec();
            outbox.try_write(|store| async move {
                Completion::PinsSaved(save_pins(store, pins, message).await)
            });
        }
    }

    fn save_override(&self, new: Override, outbox: &mut Outbox<Completion>) {
        let message = self.message(Payload::Override(new.clone()));
        let shard = new.shard.clone();
        outbox.write(|store| async move {
            let result = save_override(store, new, message).await;
            Completion::OverrideSaved { shard, result }
        });
    }

    fn save_all_overrides(&self, outbox: &mut Outbox<Completion>) {
        let facts = self.placement.facts();
        let overrides: Vec<Override> = facts.overrides().cloned().collect();
        drop(facts);
        for known in overrides {
            self.save_override(known, outbox);
        }
    }

    fn publish_reach(&self, outbox: &mut Outbox<Completion>) {
        self.publish(Payload::Reach(self.health.reach()), outbox);
    }

    fn publish(&self, payload: Payload, outbox: &mut Outbox<Completion>) {
        let message = self.message(payload);
        outbox.try_write(|store| async move {
            Completion::Published(store.publish(Topic::Shard, &message).await)
        });
    }

    fn message(&self, payload: Payload) -> String {
        to_json(&Message {
            replica: self.placement.replica.clone(),
            payload,
        })
    }
}

impl StateMachine for Machine {
    const TOPIC: Topic = Topic::Shard;

    type Input = Notice;
    type Completion = Completion;

    fn apply(&mut self, inputs: Vec<Notice>, outbox: &mut Outbox<Completion>) {
        let mut placed = Vec::new();
        let mut unpublished = Vec::new();
        for notice in inputs {
            match notice {
                Notice::Placed {
                    room,
                    pin,
                    is_published,
                } => {
                    let placement = RoomPin { room, pin };
                    if !is_published {
                        unpublished.push(placement.clone());
                    }
                    placed.push(placement);
                }
                Notice::Joined(room) => *self.sockets.entry(room).or_default() += 1,
                Notice::Left(room) => {
                    if let Some(count) = self.sockets.get_mut(&room) {
                        *count -= 1;
                        if *count == 0 {
                            self.sockets.remove(&room);
                        }
                    }
                }
                Notice::Overridden(new) => {
                    self.unsaved_overrides.insert(new.shard.clone());
                    self.save_override(new, outbox);
                }
                Notice::Reconfigured => {
                    for shard in self.probes.update(&self.placement) {
                        self.health.remove_shard(&shard);
                    }
                    self.recompute_lost();
                    // The store may have overrides of shards that are new in this configuration.
                    self.read_snapshot(outbox);
                }
                Notice::Probed { shard, finding } => self.record_finding(shard, finding, outbox),
            }
        }
        self.merge(placed, PinOrigin::Local);
        self.save_pins(&unpublished, outbox);
    }

    fn receive(&mut self, text: &str, outbox: &mut Outbox<Completion>) {
        let Some(Message { replica, payload }) = from_json(text) else {
            debug!("ignored a shard message that is malformed or of another version");
            return;
        };
        if replica == self.placement.replica {
            return;
        }
        match payload {
            Payload::Pins(pins) => self.merge(pins, PinOrigin::Remote),
            Payload::Override(new) => {
                self.placement.facts().apply_override(new);
                self.placement.publish_shard_map();
            }
            Payload::Reach(reach) => {
                self.health.record_peer(replica, reach, Instant::now());
                self.recompute_lost();
            }
            Payload::ReachRequest => self.publish_reach(outbox),
            Payload::Leave => {
                self.health.remove_peer(&replica);
                self.recompute_lost();
            }
        }
    }

    fn resync(&mut self, outbox: &mut Outbox<Completion>) {
        self.read_snapshot(outbox);
        self.publish(Payload::ReachRequest, outbox);
    }

    fn disconnect(&mut self) {
        self.health.clear_peers();
        self.recompute_lost();
    }

    fn complete(&mut self, completion: Completion, outbox: &mut Outbox<Completion>) {
        match completion {
            Completion::Snapshot(Ok(snapshot)) => self.reconcile(snapshot, outbox),
            Completion::Snapshot(Err(error)) => debug!(%error, "cannot read pins from the store"),
            Completion::PinsSaved(SavedPins {
                superseding,
                result,
            }) => {
                self.merge(superseding, PinOrigin::Remote);
                // The next renewal saves the pins of live rooms again.
                if let Err(error) = result {
                    debug!(%error, "cannot save pins in the store");
                }
            }
            Completion::OverrideSaved { shard, result } => match result {
                Ok(()) => {
                    self.unsaved_overrides.remove(&shard);
                }
                Err(error) => {
                    warn!(%error, %shard, "other replicas do not know the state of a shard yet");
                }
            },
            Completion::Published(Ok(())) => {}
            Completion::Published(Err(error)) => {
                debug!(%error, "cannot publish the reachability of shards");
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next_heartbeat.min(self.next_renewal))
    }

    fn expire(&mut self, now: Instant, outbox: &mut Outbox<Completion>) {
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + HEARTBEAT_INTERVAL;
            self.beat(outbox);
        }
        if self.next_renewal <= now {
            self.next_renewal = now + RENEWAL_INTERVAL;
            self.renew_pins(RENEWAL_INTERVAL * 2, outbox);
            // A store that timed out sends no event that would lead to a resync.
            self.save_all_overrides(outbox);
        }
    }

    fn queue_final_writes(&mut self, outbox: &mut Outbox<Completion>) {
        if !self.unsaved_overrides.is_empty() {
            self.save_all_overrides(outbox);
        }
        self.publish(Payload::Leave, outbox);
    }

    fn undelivered(&self) -> usize {
        self.unsaved_overrides.len()
    }
}

/// Three heartbeats fall within the time after which a peer counts as dead.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Four renewals fall within the lifetime of a pin, so three may fail.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(1);

/// Bounds a message to about 50 KiB.
const MAX_PINS_PER_MESSAGE: usize = 500;
