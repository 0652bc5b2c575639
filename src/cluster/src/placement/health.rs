//! Lost shards, by the probes of this replica and the reports of its peers.
//!
//! A shard is lost if neither this replica nor any peer reaches it. A replica whose own network is
//! broken must not move rooms that the others still serve.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use model::shard::ShardName;
use tokio::time::Instant;

use super::message::Reach;

/// Whether probes reach a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Reached,
    Lost,
}

/// The last probes of one shard, which turn single results into a stable finding.
#[derive(Debug, Default)]
pub(super) struct Streak {
    finding: Option<Finding>,
    /// Number of successive probes that contradict the finding.
    contradictions: u32,
}

/// The findings of this replica and its peers.
#[derive(Debug, Default)]
pub(super) struct Health {
    local: HashMap<ShardName, Finding>,
    peers: HashMap<String, PeerReach>,
}

#[derive(Debug)]
struct PeerReach {
    reach: Reach,
    received: Instant,
}

// === impl Streak ===

impl Streak {
    /// Counts a probe; returns the finding if it changes.
    pub(super) fn observe(&mut self, answered: bool) -> Option<Finding> {
        let (found, threshold) = if answered {
            (Finding::Reached, RECOVERY_THRESHOLD)
        } else {
            (Finding::Lost, LOSS_THRESHOLD)
        };
        if self.finding == Some(found) {
            self.contradictions = 0;
            return None;
        }
        self.contradictions += 1;
        // The first finding needs one response only: the shard was not lost before.
        let first = answered && self.finding.is_none();
        if self.contradictions < threshold && !first {
            return None;
        }
        *self = Self {
            finding: Some(found),
            contradictions: 0,
        };
        Some(found)
    }

    /// Whether probes contradict the finding, so that the next one should be soon.
    pub(super) fn is_contested(&self) -> bool {
        self.contradictions > 0
    }
}

// === impl Health ===

impl Health {
    /// Records a finding of this replica.
    pub(super) fn record(&mut self, shard: ShardName, finding: Finding) {
        self.local.insert(shard, finding);
    }

    /// Removes a shard whose addresses changed.
    pub(super) fn remove_shard(&mut self, shard: &ShardName) {
        self.local.remove(shard);
    }

    /// Records a peer's report.
    pub(super) fn record_peer(&mut self, replica: String, reach: Reach, received: Instant) {
        self.peers.insert(replica, PeerReach { reach, received });
    }

    /// Removes a peer that stops.
    pub(super) fn remove_peer(&mut self, replica: &str) {
        self.peers.remove(replica);
    }

    /// Removes all peers: without the store their reports become stale.
    pub(super) fn clear_peers(&mut self) {
        self.peers.clear();
    }

    /// Removes peers without a report within [`PEER_TIMEOUT`].
    pub(super) fn expire_peers(&mut self, now: Instant) {
        let is_live = |peer: &PeerReach| now.duration_since(peer.received) < PEER_TIMEOUT;
        self.peers.retain(|_, peer| is_live(peer));
    }

    /// The report of this replica for its peers.
    pub(super) fn reach(&self) -> Reach {
        let names = |wanted: Finding| {
            let found = self.local.iter().filter(|(_, found)| **found == wanted);
            let mut names: Vec<_> = found.map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names
        };
        Reach {
            reached: names(Finding::Reached),
            lost: names(Finding::Lost),
        }
    }

    /// The shards that no replica reaches. If this replica has no finding on a shard, its peers
    /// decide.
    pub(super) fn lost(&self) -> HashSet<ShardName> {
        let peers = || self.peers.values().map(|peer| &peer.reach);
        let reported = peers().flat_map(|reach| &reach.lost);
        let reported = reported.filter(|name| !self.local.contains_key(name));
        let found = self
            .local
            .iter()
            .filter(|(_, found)| **found == Finding::Lost);
        found
            .map(|(name, _)| name)
            .chain(reported)
            .filter(|name| !peers().any(|reach| reach.reached.contains(name)))
            .cloned()
            .collect()
    }
}

/// Successive failures until a shard is lost: a restart of Prosody may fail one or two probes.
const LOSS_THRESHOLD: u32 = 3;

/// Successive responses until a lost shard counts as reached: one response may come from a Prosody
/// that restarts in a loop.
const RECOVERY_THRESHOLD: u32 = 2;

/// A peer without a report for three heartbeats counts as dead.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ShardName {
        ShardName::parse(text).unwrap()
    }

    fn reach(reached: &[&str], lost: &[&str]) -> Reach {
        let names = |names: &[&str]| names.iter().map(|text| name(text)).collect();
        Reach {
            reached: names(reached),
            lost: names(lost),
        }
    }

    #[test]
    fn three_successive_failures_lose_a_shard_and_two_responses_recover_it() {
        let mut streak = Streak::default();
        let mut findings = String::new();
        for answered in "yynnynnnnnynyynny".chars() {
            findings.push(match streak.observe(answered == 'y') {
                Some(Finding::Reached) => '+',
                Some(Finding::Lost) => '-',
                None => '.',
            });
        }
        assert_eq!(findings, "+......-.....+...");
    }

    #[test]
    fn a_shard_that_never_responded_is_lost_after_three_failures() {
        let mut streak = Streak::default();
        let findings = [false, false, false].map(|answered| streak.observe(answered));
        assert_eq!(findings, [None, None, Some(Finding::Lost)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_lost_when_no_replica_reaches_it() {
        let mut health = Health::default();
        let now = Instant::now();
        health.record_peer("b".to_owned(), reach(&["s1", "s2"], &[]), now);
        health.record(name("s1"), Finding::Lost);
        health.record(name("s2"), Finding::Reached);
        assert!(health.lost().is_empty(), "a peer reaches it");
        health.record_peer("b".to_owned(), reach(&["s2"], &["s1"]), now);
        assert_eq!(health.lost(), [name("s1")].into());
        assert_eq!(health.reach(), reach(&["s2"], &["s1"]));
        health.record_peer("c".to_owned(), reach(&["s1"], &[]), now);
        assert!(health.lost().is_empty());
        health.expire_peers(now + PEER_TIMEOUT);
        assert_eq!(health.lost(), [name("s1")].into());
    }

    #[tokio::test(start_paused = true)]
    async fn peers_decide_on_a_shard_that_is_not_probed_yet() {
        let mut health = Health::default();
        health.record_peer("b".to_owned(), reach(&["s2"], &["s1"]), Instant::now());
        assert_eq!(health.lost(), [name("s1")].into());
        health.record(name("s1"), Finding::Reached);
        assert!(health.lost().is_empty());
        health.remove_shard(&name("s1"));
        health.remove_peer("b");
        assert!(health.lost().is_empty());
    }
}
