//! Shards: which of several Jitsi installations a new room is assigned to.
//!
//! A weighted rendezvous hash gives each shard a score for each room, and the highest score wins. A
//! new shard takes its share of rooms evenly from all others, a removed one leaves its rooms evenly
//! to all others, and no other room moves. The hash never changes, so replicas of all releases
//! agree. Rooms that exist already are pinned; that is the task of `cluster::placement`.

mod name;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

pub use self::name::{ShardName, ShardNameError};
use crate::{digest::sha256, room::RoomKey};

/// The state of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardState {
    /// Serves its rooms and accepts new ones.
    Ready,
    /// Serves its rooms and accepts no new ones.
    Drain,
    /// Serves no room; its rooms start again on other shards.
    Down,
}

/// A shard with its weight and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// The shard's name.
    pub name: ShardName,
    /// Its share of new rooms, relative to the other shards' weights.
    pub weight: u32,
    /// Its state.
    pub state: ShardState,
}

/// All shards of the deployment, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSet(Vec<ShardEntry>);

// === impl ShardState ===

impl ShardState {
    /// All states, from the most to the least preferred for a new room.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Down];

    /// The name in the configuration, `/readyz` and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }

    /// Parses the name of a state.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

// === impl ShardSet ===

impl ShardSet {
    /// Creates a set; the order of the entries does not matter.
    pub fn new(mut entries: Vec<ShardEntry>) -> Self {
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self(entries)
    }

    /// The shard for a new room: a ready one, else a draining one, else one that is down, because a
    /// request that may fail is better than a certain refusal.
    pub fn place(&self, room: &RoomKey) -> Option<&ShardName> {
        self.only()
            .or_else(|| self.best_by_preference(&room.to_string()))
    }

    /// The probable shard of an existing room while the store is unreachable: rooms on a draining
    /// shard stay there, so it counts like a ready one.
    pub fn guess(&self, room: &RoomKey) -> Option<&ShardName> {
        self.only().or_else(|| {
            let key = room.to_string();
            self.best(&key, |state| state != ShardState::Down)
                .or_else(|| self.best(&key, |_| true))
        })
    }

    /// The shard for requests without a room; all replicas choose the same one.
    pub fn common(&self) -> Option<&ShardName> {
        self.only().or_else(|| self.best_by_preference(""))
    }

    /// A short digest of names, weights and states. Operators compare it between replicas.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for ShardEntry {
            name,
            weight,
            state,
        } in &self.0
        {
            text.extend([name.as_str(), " ", &weight.to_string(), " "]);
            text.extend([state.as_str(), "\n"]);
        }
        let hash = sha256(text.as_bytes());
        let (short, _) = hash.split_at(FINGERPRINT_BYTES);
        BASE64_URL_SAFE_NO_PAD.encode(short)
    }

    /// The shard of a deployment with one, whatever its state: no score is needed, which costs a hash.
    fn only(&self) -> Option<&ShardName> {
        match &self.0[..] {
            [only] => Some(&only.name),
            _ => None,
        }
    }

    fn best_by_preference(&self, key: &str) -> Option<&ShardName> {
        ShardState::ALL
            .into_iter()
            .find_map(|state| self.best(key, |of| of == state))
    }

    fn best(&self, key: &str, is_eligible: impl Fn(ShardState) -> bool) -> Option<&ShardName> {
        self.0
            .iter()
            .filter(|entry| is_eligible(entry.state))
            .map(|entry| (entry.score(key), &entry.name))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, name)| name)
    }
}

// === impl ShardEntry ===

impl ShardEntry {
    /// The score of the shard for a key: −weight ÷ ln(u), with u uniform in (0, 1) from the hash.
    ///
    /// The inverse, −ln(u) ÷ weight, is exponentially distributed with the weight as its rate. The
    /// smallest of such variables belongs to each shard with a probability proportional to its weight.
    fn score(&self, key: &str) -> f64 {
        let text = format!("{}\n{key}", self.name);
        let number = sha256(text.as_bytes())
            .into_iter()
            .take(size_of::<u64>())
            .fold(0_u64, |number, byte| number << 8 | u64::from(byte));
        // A float holds 53 bits exactly. The half keeps `uniform` away from 0, which has no
        // logarithm, and from 1, whose logarithm is 0.
        #[expect(clippy::cast_precision_loss, reason = "numbers below 2^53 are exact")]
        let uniform = ((number >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(self.weight) / uniform.ln()
    }
}

/// 48 bits: short enough for operators to compare by eye.
const FINGERPRINT_BYTES: usize = 6;

#[cfg(test)]
mod tests;
