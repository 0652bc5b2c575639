//! Metrics of shards. Shard names come from the configuration, so the number of series is bounded.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::PlacementOutcome;

/// Metrics of shards; empty with a single, unnamed Jitsi.
#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    /// 1 for the current state of a shard, 0 for its other states.
    pub states: Family<ShardStateLabels, Gauge>,
    /// Rooms pinned to a shard, as far as this replica knows.
    pub rooms: Family<ShardLabel, Gauge>,
    /// Failed health probes by shard.
    pub probe_failures: Family<ShardLabel, Counter>,
    /// Rooms unknown to this replica that were placed.
    pub placements: Family<PlacementLabels, Counter>,
}

/// A shard by its configured name.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ShardLabel {
    /// The name.
    pub shard: String,
}

/// A shard and one of its states.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ShardStateLabels {
    /// The name.
    pub shard: String,
    /// `model::shard::State::as_str`.
    pub state: &'static str,
}

/// How a room was placed.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PlacementLabels {
    /// How.
    pub outcome: PlacementOutcome,
}

// === impl ShardMetrics ===

impl ShardMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "shard_state",
            "1 for the current state of a shard",
            self.states.clone(),
        );
        registry.register("shard_rooms", "Known rooms by shard", self.rooms.clone());
        registry.register(
            "shard_probe_failures",
            "Failed health probes by shard",
            self.probe_failures.clone(),
        );
        registry.register(
            "shard_placements",
            "Placed rooms by outcome",
            self.placements.clone(),
        );
    }
}
