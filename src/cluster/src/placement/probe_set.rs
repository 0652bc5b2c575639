//! The running probes, one per configured shard.

use std::{collections::HashMap, sync::Arc};

use model::shard::ShardName;
use observe::metrics::ShardLabel;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Notice, Placement, probe, shard_map::Shard};

/// The probes by shard.
#[derive(Default)]
pub(super) struct ProbeSet(HashMap<ShardName, RunningProbe>);

/// The probe of a shard; dropping it ends the probe.
struct RunningProbe {
    shard: Arc<Shard>,
    _stop: DropGuard,
}

// === impl ProbeSet ===

impl ProbeSet {
    /// Stops the probes of shards that are no longer configured with the same addresses, starts
    /// those of new shards, and returns the names of the stopped ones.
    pub(super) fn update(&mut self, placement: &Placement) -> Vec<ShardName> {
        let facts = placement.facts();
        let wanted: Vec<_> = facts.probed().cloned().collect();
        drop(facts);
        let is_wanted =
            |probe: &RunningProbe| wanted.iter().any(|shard| Arc::ptr_eq(shard, &probe.shard));
        let ended = self.0.extract_if(|_, probe| !is_wanted(probe));
        let ended = ended.map(|(name, _)| name).collect();
        for shard in wanted {
            self.0
                .entry(shard.name.clone())
                .or_insert_with(|| RunningProbe::start(shard, placement));
        }
        ended
    }
}

// === impl RunningProbe ===

impl RunningProbe {
    fn start(shard: Arc<Shard>, placement: &Placement) -> Self {
        let failures = placement.metrics.probe_failures.clone();
        let count_failure = move |shard: &Shard| {
            let shard = shard.name.to_string();
            failures.get_or_create(&ShardLabel { shard }).inc();
        };
        let inbox = placement.inbox.clone();
        let report = move |shard: &Shard, finding| {
            let shard = shard.name.clone();
            // Fails only at stop, when the task has ended.
            let _ = inbox.send(Notice::Probed { shard, finding });
        };
        let probe = probe::by_http(Arc::clone(&placement.xmpp_domain));
        let probing = probe::watch(Arc::clone(&shard), probe, count_failure, report);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(probing));
        Self {
            shard,
            _stop: stop.drop_guard(),
        }
    }
}
