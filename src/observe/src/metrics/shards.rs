//! What is counted of shards. Their names come from the configuration, so they are few.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::OutcomeLabel;

/// What is counted of shards; nothing unless there are some.
#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    /// 1 for the state that a shard is in, 0 for the others.
    pub states: Family<ShardStateLabels, Gauge>,
    /// Rooms that this replica knows, by shard.
    pub rooms: Family<ShardLabel, Gauge>,
    /// Probes that failed, by shard.
    pub probe_failures: Family<ShardLabel, Counter>,
    /// Rooms that this replica did not know and asked the store for, by outcome; `without_store` if
    /// it could not be asked, `unpinned` if there are too many rooms to remember another one.
    pub placements: Family<OutcomeLabel, Counter>,
}

/// A shard.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ShardLabel {
    /// Its name.
    pub shard: String,
}

/// A shard and one of its states.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ShardStateLabels {
    /// Its name.
    pub shard: String,
    /// The state's word.
    pub state: &'static str,
}

// === impl ShardMetrics ===

impl ShardMetrics {
    /// Shows all of it.
    pub fn register(&self, registry: &mut Registry) {
        let (help, states) = ("1 for the state that a shard is in", self.states.clone());
        registry.register("shard_state", help, states);
        let (help, rooms) = ("Known rooms by shard", self.rooms.clone());
        registry.register("shard_rooms", help, rooms);
        let help = "Probes of shards that failed";
        registry.register("shard_probe_failures", help, self.probe_failures.clone());
        let help = "Rooms that were placed, by outcome";
        registry.register("shard_placements", help, self.placements.clone());
    }
}
