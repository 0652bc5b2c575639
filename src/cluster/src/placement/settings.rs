//! Settings and dependencies of placement.

use std::sync::Arc;

use http::uri::Authority;
use model::{
    clock::Clock,
    random::Random,
    shard::{ShardEntry, ShardName, ShardSet, ShardState},
};
use observe::metrics::ShardMetrics;

use crate::store::Store;

/// All shards of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementSettings {
    /// The shards; at least one.
    pub shards: Vec<ShardSettings>,
    /// Whether the configuration has `[[shard]]` sections; otherwise the deployment has one Jitsi
    /// and nothing is placed.
    pub sharded: bool,
}

/// One shard of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSettings {
    /// The unique name.
    pub name: ShardName,
    /// The share of rooms, relative to those of the other shards.
    pub weight: u32,
    /// The state without an operator's override.
    pub state: ShardState,
    /// The addresses of its servers.
    pub endpoints: ShardEndpoints,
}

/// The addresses of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEndpoints {
    /// Jitsi's web server.
    pub web: Authority,
    /// Prosody's HTTP port.
    pub xmpp: Authority,
    /// Jicofo's HTTP port, if it gets conference requests there.
    pub jicofo: Option<Authority>,
    /// Further Prosodys for viewers (Jitsi's visitor mode).
    pub visitors: Vec<VisitorNode>,
}

/// A Prosody for viewers (Jitsi's visitor mode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitorNode {
    /// The name that clients send in the query parameter `vnode`.
    pub name: String,
    /// Prosody's HTTP port.
    pub xmpp: Authority,
}

/// The dependencies of placement, besides its settings.
#[derive(Clone, Debug)]
pub struct PlacementContext {
    /// The source of pin versions.
    pub clock: Clock,
    /// The source of this replica's name.
    pub random: Random,
    /// The store for pins and overrides.
    pub store: Arc<dyn Store>,
    /// Metrics of shards and placements.
    pub metrics: ShardMetrics,
}

// === impl PlacementSettings ===

impl PlacementSettings {
    /// The ring without overrides and with all shards reachable.
    pub fn ring(&self) -> ShardSet {
        let member = |shard: &ShardSettings| ShardEntry {
            name: shard.name.clone(),
            weight: shard.weight,
            state: shard.state,
        };
        ShardSet::new(self.shards.iter().map(member).collect())
    }
}
