//! Which shards are lost: what probes here found, and what other replicas say of theirs.
//!
//! A shard is lost when this replica does not reach it and no other does: else rooms would be torn
//! apart between replicas of which one has trouble with its network.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::message::Reach;
use model::shard::ShardName;

/// What probes say of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Reached,
    Lost,
}

/// The last probes of one shard.
#[derive(Debug, Default)]
pub(super) struct Streak {
    finding: Option<Finding>,
    /// How many probes in a row say something else.
    against: u32,
}

/// What is known of all shards.
#[derive(Debug, Default)]
pub(super) struct Health {
    own: HashMap<ShardName, Finding>,
    others: HashMap<String, Heard>,
}

#[derive(Debug)]
struct Heard {
    reach: Reach,
    at: Instant,
}

// === impl Streak ===

impl Streak {
    /// Takes a probe in; tells the finding if it is another now.
    pub(super) fn observe(&mut self, answered: bool) -> Option<Finding> {
        let (found, enough) = if answered {
            (Finding::Reached, BACK_AFTER)
        } else {
            (Finding::Lost, LOST_AFTER)
        };
        if self.finding == Some(found) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        // What was never lost does not have to come back twice.
        let first = answered && self.finding.is_none();
        if self.against < enough && !first {
            return None;
        }
        *self = Self {
            finding: Some(found),
            against: 0,
        };
        Some(found)
    }

    /// Whether the next probe should come soon.
    pub(super) fn is_doubtful(&self) -> bool {
        self.against > 0
    }
}

// === impl Health ===

impl Health {
    /// Probes here found something.
    pub(super) fn found(&mut self, shard: ShardName, finding: Finding) {
        self.own.insert(shard, finding);
    }

    /// Forgets a shard, for it is another one now.
    pub(super) fn forget(&mut self, shard: &ShardName) {
        self.own.remove(shard);
    }

    /// Another replica said what it reaches.
    pub(super) fn hear(&mut self, replica: String, reach: Reach, at: Instant) {
        self.others.insert(replica, Heard { reach, at });
    }

    /// Another replica stopped.
    pub(super) fn bye(&mut self, replica: &str) {
        self.others.remove(replica);
    }

    /// Nobody is heard any more.
    pub(super) fn deafen(&mut self) {
        self.others.clear();
    }

    /// Forgets replicas that say nothing.
    pub(super) fn look(&mut self, now: Instant) {
        let speaks = |heard: &Heard| now.duration_since(heard.at) < SILENCE;
        self.others.retain(|_, heard| speaks(heard));
    }

    /// What to tell other replicas.
    pub(super) fn reach(&self) -> Reach {
        let those = |wanted: Finding| {
            let found = self.own.iter().filter(|(_, found)| **found == wanted);
            let mut names: Vec<_> = found.map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names
        };
        Reach {
            reached: those(Finding::Reached),
            lost: those(Finding::Lost),
        }
    }

    /// The shards that nobody reaches. Of one that was not probed to the end here, others know.
    pub(super) fn lost(&self) -> HashSet<ShardName> {
        let others = || self.others.values().map(|heard| &heard.reach);
        let said = others().flat_map(|reach| &reach.lost);
        let said = said.filter(|name| !self.own.contains_key(name));
        let found = self
            .own
            .iter()
            .filter(|(_, found)| **found == Finding::Lost);
        found
            .map(|(name, _)| name)
            .chain(said)
            .filter(|name| !others().any(|reach| reach.reached.contains(name)))
            .cloned()
            .collect()
    }
}

/// After so many failures in a row a shard is lost: one may be a restart, two bad luck.
const LOST_AFTER: u32 = 3;

/// After so many answers in a row it is back.
const BACK_AFTER: u32 = 2;

/// After this long a replica that says nothing is gone: three times what is between two beats.
const SILENCE: Duration = Duration::from_secs(30);

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
    fn three_failures_in_a_row_are_a_loss_and_two_answers_a_return() {
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
    fn at_first_nothing_is_known_and_only_three_failures_are_a_loss() {
        let mut streak = Streak::default();
        let findings = [false, false, false].map(|answered| streak.observe(answered));
        assert_eq!(findings, [None, None, Some(Finding::Lost)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_lost_when_no_replica_reaches_it() {
        let mut health = Health::default();
        let now = Instant::now();
        health.hear("b".to_owned(), reach(&["s1", "s2"], &[]), now);
        health.found(name("s1"), Finding::Lost);
        health.found(name("s2"), Finding::Reached);
        assert!(health.lost().is_empty(), "the other reaches it");
        health.hear("b".to_owned(), reach(&["s2"], &["s1"]), now);
        assert_eq!(health.lost(), [name("s1")].into());
        assert_eq!(health.reach(), reach(&["s2"], &["s1"]));
        health.hear("c".to_owned(), reach(&["s1"], &[]), now);
        assert!(health.lost().is_empty());
        health.look(now + SILENCE);
        assert_eq!(health.lost(), [name("s1")].into());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_probed_yet_believes_the_others() {
        let mut health = Health::default();
        health.hear("b".to_owned(), reach(&["s2"], &["s1"]), Instant::now());
        assert_eq!(health.lost(), [name("s1")].into());
        health.found(name("s1"), Finding::Reached);
        assert!(health.lost().is_empty());
        health.forget(&name("s1"));
        health.bye("b");
        assert!(health.lost().is_empty());
    }
}
