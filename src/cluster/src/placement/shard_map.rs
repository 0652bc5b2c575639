//! The map of shards that requests read, and the facts from which it is computed: the
//! configuration, the overrides of operators, and the lost shards.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use http::HeaderValue;
use model::{
    room::RoomKey,
    shard::{ShardEntry, ShardName, ShardSet, ShardState},
};
use tokio::sync::Notify;

use super::{PlacementSettings, ShardEndpoints, ShardSettings, message::Override};

/// One web server, Prosody and Jicofo, for as long as its addresses are configured.
#[derive(Debug)]
pub struct Shard {
    /// The unique name.
    pub name: ShardName,
    /// The value of the response header `X-Jitsi-Shard`.
    pub header: HeaderValue,
    /// The addresses.
    pub endpoints: ShardEndpoints,
    /// Wakes the probe of this shard.
    pub(super) probe_requested: Notify,
}

/// All shards with their states. Immutable; a change of any fact replaces the map.
#[derive(Debug)]
pub struct ShardMap {
    shards: Vec<ShardStatus>,
    ring: ShardSet,
    sharded: bool,
}

/// A shard with its state and the reasons for it.
#[derive(Clone, Debug)]
pub struct ShardStatus {
    /// The shard.
    pub shard: Arc<Shard>,
    /// The share of rooms.
    pub weight: u32,
    /// The state in the configuration.
    pub configured: ShardState,
    /// The state that an operator set.
    pub override_state: Option<ShardState>,
    /// Whether neither this replica nor a peer reaches it.
    pub lost: bool,
    /// The resulting state.
    pub state: ShardState,
}

/// The facts from which a [`ShardMap`] is computed.
#[derive(Debug)]
pub(super) struct ShardFacts {
    shards: Vec<ConfiguredShard>,
    sharded: bool,
    overrides: HashMap<ShardName, Override>,
    lost: HashSet<ShardName>,
}

#[derive(Debug)]
struct ConfiguredShard {
    shard: Arc<Shard>,
    weight: u32,
    state: ShardState,
}

// === impl Shard ===

impl Shard {
    pub(super) fn new(name: ShardName, endpoints: ShardEndpoints) -> Self {
        Self {
            // Infallible: `ShardName::parse` admits letters, digits, dashes and underscores.
            header: HeaderValue::from_str(name.as_str()).expect("a shard's name is a header value"),
            name,
            endpoints,
            probe_requested: Notify::new(),
        }
    }
}

// === impl ShardMap ===

impl ShardMap {
    /// Whether rooms are placed on shards; otherwise the deployment has one Jitsi without a name.
    pub fn is_sharded(&self) -> bool {
        self.sharded
    }

    /// All shards, sorted by name.
    pub fn shards(&self) -> &[ShardStatus] {
        &self.shards
    }

    /// The ring of all shards in their resulting states.
    pub fn ring(&self) -> &ShardSet {
        &self.ring
    }

    /// The shard of a name, in any state.
    pub fn named(&self, name: &str) -> Option<&ShardStatus> {
        let mut shards = self.shards.iter();
        shards.find(|status| status.shard.name.as_str() == name)
    }

    /// The shard of a name if it may serve rooms: unless it is down while another shard is not.
    pub fn usable(&self, name: &str) -> Option<&Arc<Shard>> {
        self.named(name)
            .filter(|status| status.state != ShardState::Down || self.is_all_down())
            .map(|status| &status.shard)
    }

    /// The shard on which a room without a pin begins.
    pub(super) fn place(&self, room: &RoomKey) -> &Arc<Shard> {
        self.resolve(self.ring.place(room))
    }

    /// The shard of a room whose pin cannot be read. Every replica computes the same one, even
    /// before it learns that a shard drains.
    pub(super) fn fallback_shard(&self, room: &RoomKey) -> &Arc<Shard> {
        self.resolve(self.ring.guess(room))
    }

    /// The shard for requests without a room.
    pub(super) fn default_shard(&self) -> &Arc<Shard> {
        self.resolve(self.ring.common())
    }

    fn is_all_down(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|status| status.state == ShardState::Down)
    }

    fn resolve(&self, name: Option<&ShardName>) -> &Arc<Shard> {
        let named = name.and_then(|name| self.named(name.as_str()));
        let status = named.or(self.shards.first());
        // Infallible: the configuration has at least one shard.
        &status.expect("there is at least one shard").shard
    }
}

// === impl ShardFacts ===

impl ShardFacts {
    pub(super) fn new(settings: PlacementSettings) -> Self {
        let mut facts = Self {
            shards: Vec::new(),
            sharded: false,
            overrides: HashMap::new(),
            lost: HashSet::new(),
        };
        facts.reconfigure(settings);
        facts
    }

    /// Replaces the configuration. A shard with the same name and addresses stays the same `Arc`, so
    /// that its connections are kept.
    pub(super) fn reconfigure(&mut self, PlacementSettings { shards, sharded }: PlacementSettings) {
        let before = mem::take(&mut self.shards);
        let configure = |settings: ShardSettings| {
            let ShardSettings {
                name,
                weight,
                state,
                endpoints,
            } = settings;
            let mut known = before.iter().map(|configured| &configured.shard);
            let known = known.find(|shard| shard.name == name && shard.endpoints == endpoints);
            ConfiguredShard {
                shard: known
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Shard::new(name, endpoints))),
                weight,
                state,
            }
        };
        self.shards = shards.into_iter().map(configure).collect();
        self.shards
            .sort_unstable_by(|a, b| a.shard.name.cmp(&b.shard.name));
        self.sharded = sharded;
    }

    /// The shards to probe: none if the deployment has one Jitsi.
    pub(super) fn probed(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let probed = self.shards.iter().filter(|_| self.sharded);
        probed.map(|configured| &configured.shard)
    }

    /// Applies an override unless a later one is known.
    pub(super) fn apply_override(&mut self, new: Override) {
        let known = self.overrides.get(&new.shard);
        if known.is_none_or(|known| known.version < new.version) {
            self.overrides.insert(new.shard.clone(), new);
        }
    }

    /// All overrides, including those of shards that are not configured on this replica.
    pub(super) fn overrides(&self) -> impl Iterator<Item = &Override> {
        self.overrides.values()
    }

    /// Replaces the set of lost shards; returns whether it changed.
    pub(super) fn set_lost(&mut self, lost: HashSet<ShardName>) -> bool {
        let changed = self.lost != lost;
        self.lost = lost;
        changed
    }

    pub(super) fn shard_map(&self) -> ShardMap {
        let overridden = |of: &ConfiguredShard| self.overrides.get(&of.shard.name)?.state;
        let wanted = |of: &ConfiguredShard| overridden(of).unwrap_or(of.state);
        let is_lost = |of: &ConfiguredShard| self.lost.contains(&of.shard.name);
        // If all are lost, the fault is more likely in the network of the gateways than in every
        // shard: rooms keep their shards, and requests are sent all the same.
        let is_reached = |of: &ConfiguredShard| wanted(of) != ShardState::Down && !is_lost(of);
        let any_reached = self.shards.iter().any(is_reached);
        let status = |of: &ConfiguredShard| ShardStatus {
            shard: Arc::clone(&of.shard),
            weight: of.weight,
            configured: of.state,
            override_state: overridden(of),
            lost: is_lost(of),
            state: if is_lost(of) && any_reached {
                ShardState::Down
            } else {
                wanted(of)
            },
        };
        let shards: Vec<ShardStatus> = self.shards.iter().map(status).collect();
        let member = |status: &ShardStatus| ShardEntry {
            name: status.shard.name.clone(),
            weight: status.weight,
            state: status.state,
        };
        ShardMap {
            ring: ShardSet::new(shards.iter().map(member).collect()),
            shards,
            sharded: self.sharded,
        }
    }
}
