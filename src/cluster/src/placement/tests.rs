//! Replicas over one store, in paused time.

mod hostile;
mod outages;
mod pins;
mod shards;

use model::clock::Timestamp;
use observe::metrics::{PlacementLabels, PlacementOutcome};
use tokio::{
    task::JoinHandle,
    time::{advance, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    message::{Message, Payload, RoomPin, to_json},
    pin_cache::PinOrigin,
    publisher::pin_key,
    *,
};
use crate::{
    replication::testing::run_until_idle,
    store::{StoreEvent, Topic, testing::FaultyStore},
};
use model::random::Random;

/// A placement whose task runs.
struct Replica {
    placement: Arc<Placement>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    fn start(store: &Arc<FaultyStore>, settings: PlacementSettings) -> Self {
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let context = PlacementContext {
            clock,
            random: Random::system(),
            store: Arc::<FaultyStore>::clone(store),
            metrics: ShardMetrics::default(),
        };
        let (placement, sync) = Placement::new(settings, "meet.jitsi", context);
        let stop = CancellationToken::new();
        let task = tokio::spawn(sync.run(stop.clone()));
        Self {
            placement,
            stop,
            task,
        }
    }

    async fn place(&self, room: &RoomKey) -> String {
        self.placement.place(room).await.name.to_string()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// The shard of the cached pin.
    fn pinned(&self, room: &RoomKey) -> Option<String> {
        let cached = self.placement.pins.get(room)?;
        Some(cached.pin.shard.to_string())
    }

    fn status(&self, shard: &str) -> ShardStatus {
        self.placement.shard_map().named(shard).unwrap().clone()
    }

    fn state(&self, shard: &str) -> ShardState {
        self.status(shard).state
    }

    /// The number of rooms that were placed with an outcome.
    fn placements(&self, outcome: PlacementOutcome) -> u64 {
        let placements = &self.placement.metrics.placements;
        placements.get_or_create(&PlacementLabels { outcome }).get()
    }
}

/// Shards whose Prosodys refuse connections. After three failed probes of each, all are lost, which
/// is treated as none.
fn settings(shards: &[(&str, ShardState)]) -> PlacementSettings {
    let shard = |(name, state): &(&str, ShardState)| ShardSettings {
        name: name_of(name),
        weight: 100,
        state: *state,
        endpoints: ShardEndpoints {
            web: "127.0.0.1:1".parse().unwrap(),
            jicofo: None,
            xmpp: "127.0.0.1:1".parse().unwrap(),
            visitors: vec![],
        },
    };
    PlacementSettings {
        shards: shards.iter().map(shard).collect(),
        sharded: true,
    }
}

fn name_of(shard: &str) -> ShardName {
    ShardName::parse(shard).unwrap()
}

fn room(number: usize) -> RoomKey {
    RoomKey::from_text(&format!("room-{number}")).unwrap()
}

const THREE: [(&str, ShardState); 3] = [
    ("s1", ShardState::Ready),
    ("s2", ShardState::Ready),
    ("s3", ShardState::Ready),
];
const ROOMS: usize = 300;
