//! What replicas share: used-up links, what is revoked, who is where; nothing that a meeting needs
//! to go on.
//!
//! One replica keeps it in [`Memory`], several in one [`Redis`]. Whoever uses the store decides
//! what its absence means: revocation and presence go on with what this replica knows, a use that
//! cannot be counted is not granted.

mod memory;
mod redis;
#[cfg(test)]
pub(crate) mod testing;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub use self::{
    memory::Memory,
    redis::{Look, Redis, SetupError, look},
};
use model::random::Random;
use observe::metrics::{StoreMetrics, StoreOutcome};

/// Where to keep what replicas share.
#[derive(Clone, Debug)]
pub enum Settings {
    /// In this process, until it ends.
    Memory,
    /// In a Redis or Valkey server.
    Redis(RedisSettings),
}

/// How to reach a Redis or Valkey server.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, with user name and password if the server wants them.
    pub url: SecretString,
    /// Authorities to trust instead of the system's, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// What keeps deployments on one server apart.
    pub namespace: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an operation may take.
    pub timeout: Duration,
}

/// Keeps what replicas share. Keys and values are the callers'; values are JSON texts with a
/// version field `v`, so that replicas of two releases understand each other.
///
/// A lifetime counts as one millisecond at least and ten years at most: nothing is kept for ever.
pub trait Store: fmt::Debug + Send + Sync {
    /// Counts a use of something that may be used `limit` times, as one step: of two replicas that
    /// claim the last use, exactly one gets it. The count is forgotten `lifetime` after the last
    /// granted use.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Keeps a value unless there is one already, as one step.
    fn remember<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Remembered, StoreError>>;

    /// Reads a value.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Keeps a value, whatever was there before.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets a value.
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Adds texts to a list, each for a lifetime of its own; one that is there lives the longer of
    /// the two.
    fn note<'a>(
        &'a self,
        list: &'a str,
        notes: &'a [Note],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// What is on a list, in no order.
    fn notes<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// Says something to all replicas, this one included.
    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Hears what is said from now on. Whoever lags has to look at everything again, as after
    /// [`Event::Connected`].
    fn subscribe(&self) -> broadcast::Receiver<Event>;

    /// Whether the store is there.
    fn state(&self) -> State;

    /// Keeps the connection up until told to stop; operations fail before it runs.
    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()>;
}

/// Whether a use was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was, as the so manieth.
    Granted {
        /// How often it has been used now.
        used: u32,
    },
    /// All uses are taken.
    Exhausted,
}

/// Whether a value is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is, and is kept.
    New,
    /// There is this one already.
    Before(String),
}

/// A text on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text.
    pub text: String,
    /// How long it stays.
    pub lifetime: Duration,
}

/// What replicas talk about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Sessions that end.
    Revocation,
    /// Who is in which room.
    Presence,
    /// Which shard a room is on, and which shards there are.
    Shard,
}

/// What a subscriber hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The store is reached, again perhaps: what was said before was not heard.
    Connected,
    /// The store is not reached any more.
    Lost,
    /// A replica said something.
    Said {
        /// About what.
        topic: Topic,
        /// What it said.
        text: Arc<str>,
    },
}

/// Whether the store is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is part of this process.
    Memory,
    /// It is connected.
    Ready,
    /// It is not connected.
    Unreachable {
        /// Why, and what to do about it.
        reason: Arc<str>,
    },
}

/// Why the store did not do something. The texts are for operators and name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection.
    #[error("the store is not reached: {0}")]
    Unreachable(Arc<str>),
    /// It may or may not have been done.
    #[error("the store did not answer in time")]
    Timeout,
    /// The server did not want to.
    #[error("the store refused: {0}")]
    Refused(Arc<str>),
}

/// Opens a store; whether it is there shows when it runs.
pub fn open(
    settings: &Settings,
    metrics: StoreMetrics,
    random: Random,
) -> Result<Arc<dyn Store>, SetupError> {
    Ok(match settings {
        Settings::Memory => {
            metrics.ready.set(1);
            Arc::new(Memory::new())
        }
        Settings::Redis(settings) => Arc::new(Redis::new(settings, metrics, random)?),
    })
}

// === impl Topic ===

impl Topic {
    /// All topics.
    pub const ALL: [Self; 3] = [Self::Revocation, Self::Presence, Self::Shard];

    /// The word in channel names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Presence => "presence",
            Self::Shard => "shard",
        }
    }
}

// === impl State ===

impl State {
    /// The word for `/readyz`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ready => "ready",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

// === impl StoreError ===

impl StoreError {
    /// The label of metrics.
    pub const fn outcome(&self) -> StoreOutcome {
        match self {
            Self::Unreachable(_) => StoreOutcome::Unreachable,
            Self::Timeout => StoreOutcome::Timeout,
            Self::Refused(_) => StoreOutcome::Refused,
        }
    }
}

/// What a lifetime counts as: at least what Redis can express, at most ten years, so that adding it
/// to any time is safe.
fn bounded(lifetime: Duration) -> Duration {
    lifetime.clamp(
        Duration::from_millis(1),
        Duration::from_hours(10 * 365 * 24),
    )
}

/// How many events a subscriber may be behind: more than a burst of sign-outs, less than would
/// hold much memory.
const EVENTS_KEPT: usize = 4096;
