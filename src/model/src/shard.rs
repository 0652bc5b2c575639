//! Shards: which of several Jitsis a room belongs to, as a function of names, weights and states.
//!
//! Rooms are spread by a weighted rendezvous hash: for each room every shard has a score, and the
//! highest wins. A shard that is added takes its share of rooms from all others, one that goes
//! leaves its rooms to all others, and no other room moves. The hash is fixed, so replicas of any
//! release agree. What is known of rooms that live already is `placement`'s.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::room::RoomKey;

/// The name of a shard: in the configuration, in `X-Jitsi-Shard`, in logs and metrics.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ShardName(Arc<str>);

/// A text is no shard's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard's name is 1 to 64 letters, digits, dashes and underscores")]
pub struct ShardNameError;

/// What a shard is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardState {
    /// Rooms live there, and new ones may begin there.
    Ready,
    /// Rooms that live there stay; no new ones begin there.
    Drain,
    /// No room is there; those that were begin again elsewhere.
    Down,
}

/// A shard's place in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// Its name.
    pub name: ShardName,
    /// Its share of the rooms, relative to the others'.
    pub weight: u32,
    /// What it is good for.
    pub state: ShardState,
}

/// All shards with weights and states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSet(Vec<ShardEntry>);

// === impl ShardName ===

impl ShardName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ShardNameError> {
        // No dot: it separates the parts of BOSH session ids.
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(ShardNameError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ShardName> for String {
    fn from(name: ShardName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for ShardName {
    type Error = ShardNameError;

    fn try_from(text: String) -> Result<Self, ShardNameError> {
        Self::parse(&text)
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardName({self})")
    }
}

// === impl ShardState ===

impl ShardState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Down];

    /// The word for the configuration, `/readyz` and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }

    /// The state that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

// === impl ShardSet ===

impl ShardSet {
    /// A ring; the order of its members means nothing.
    pub fn new(mut members: Vec<ShardEntry>) -> Self {
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self(members)
    }

    /// The members, by name.
    pub fn members(&self) -> &[ShardEntry] {
        &self.0
    }

    /// Where a room that lives nowhere begins: on a ready shard. If there is none, on one that
    /// drains; if there is none either, on any: a request that may fail is better than none.
    pub fn place(&self, room: &RoomKey) -> Option<&ShardName> {
        let key = room.to_string();
        ShardState::ALL
            .into_iter()
            .find_map(|state| self.first(&key, |of| of == state))
    }

    /// Where a room is likely to be, of which cannot be asked whether it lives already: on a shard
    /// that is ready, or that was before it was to drain.
    pub fn guess(&self, room: &RoomKey) -> Option<&ShardName> {
        let key = room.to_string();
        self.first(&key, |state| state != ShardState::Down)
            .or_else(|| self.first(&key, |_| true))
    }

    /// The shard for what belongs to no room, the same for everybody.
    pub fn common(&self) -> Option<&ShardName> {
        ShardState::ALL
            .into_iter()
            .find_map(|state| self.first("", |of| of == state))
    }

    /// What replicas can compare: equal if they have the same shards, weights and states.
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
        let digest = digest(&SHA256, text.as_bytes());
        let short = digest.as_ref().get(..FINGERPRINT_BYTES);
        BASE64_URL_SAFE_NO_PAD.encode(short.unwrap_or_default())
    }

    fn first(&self, key: &str, may: impl Fn(ShardState) -> bool) -> Option<&ShardName> {
        self.0
            .iter()
            .filter(|member| may(member.state))
            .map(|member| (member.score(key), &member.name))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, name)| name)
    }
}

// === impl ShardEntry ===

impl ShardEntry {
    /// Weighted rendezvous: of exponentially distributed times the shortest wins, with a rate that
    /// is the weight; so each shard wins in proportion to its weight.
    fn score(&self, key: &str) -> f64 {
        let text = format!("{}\n{key}", self.name);
        let digest = digest(&SHA256, text.as_bytes());
        let number = digest
            .as_ref()
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        // 53 bits are what a float holds exactly; the half keeps it off 0 and 1, where there is no
        // logarithm or no quotient.
        #[expect(clippy::cast_precision_loss, reason = "numbers below 2^53 are exact")]
        let uniform = ((number >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(self.weight) / uniform.ln()
    }
}

/// Longer than any name of a region, a zone and a number.
const MAX_NAME_BYTES: usize = 64;

/// Enough for people to compare.
const FINGERPRINT_BYTES: usize = 6;

#[cfg(test)]
mod tests;
