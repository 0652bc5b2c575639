//! The store: the state that replicas share (used-up links, revocations, presence, pins of rooms).
//! A running meeting needs none of it.
//!
//! A single replica uses a [`MemoryStore`], or a [`JournaledStore`] if it has a directory; several share a
//! [`RedisStore`]. Each caller defines the
//! behaviour during an outage: revocation and presence continue with the state of this replica, a
//! use that cannot be counted is refused.

mod journaled;
mod memory;
mod redis;
#[cfg(test)]
pub(crate) mod testing;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use model::{clock::Clock, random::Random};
use observe::metrics::{StoreMetrics, StoreOutcome};
use secrecy::SecretString;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalContent};

pub use self::{
    journaled::JournaledStore,
    memory::MemoryStore,
    redis::{RedisSetupError, RedisStore, StoreDiagnostics, diagnose},
};

/// The kind of store.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// The memory of this process, lost at its end.
    Memory,
    /// A Redis or Valkey server.
    Redis(RedisSettings),
}

/// The connection to a Redis or Valkey server.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, with user name and password if the server requires them.
    pub url: SecretString,
    /// Certificate authorities in PEM, in place of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Prefix of all keys and channels; it separates deployments on one server.
    pub namespace: String,
    /// Limit for establishing a connection.
    pub connect_timeout: Duration,
    /// Limit for one operation.
    pub timeout: Duration,
}

/// A key-value store with counters, lists and publish/subscribe. The callers choose keys and values;
/// values are JSON texts with a version field `v`, so that replicas of two releases can share a
/// store.
///
/// Lifetimes are clamped to between one millisecond and ten years: every entry expires.
pub trait Store: fmt::Debug + Send + Sync {
    /// Counts one use of a resource that may be used `limit` times. Atomic: of two replicas that
    /// consume the last use, one succeeds. The counter expires `lifetime` after the last granted
    /// use.
    fn consume_use<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<UseOutcome, StoreError>>;

    /// The uses of a resource that were granted; 0 if the counter has expired.
    fn uses<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<u32, StoreError>>;

    /// Stores a value unless the key has one. Atomic.
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>>;

    /// [`put_if_absent`](Store::put_if_absent) for what must not be stored a second time after a
    /// restart, such as the use of a token.
    fn put_once<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        self.put_if_absent(key, value, lifetime)
    }

    /// Reads a value; `None` if there is none or it has expired.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Stores a value, replacing an earlier one.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes a value if there is one.
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Adds items to a list. An item that is already on the list keeps the later of the two expiry
    /// times.
    fn list_add<'a>(
        &'a self,
        list: &'a str,
        items: &'a [ListItem],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes texts from a list.
    fn list_remove<'a>(
        &'a self,
        list: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Reads the texts on a list that have not expired, in no particular order.
    fn list_members<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>>;

    /// Sends a message to all subscribers, including those of this replica. A message is delivered
    /// at most once and is not stored.
    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Subscribes to messages of all topics and to changes of the connection. After
    /// [`StoreEvent::Connected`] and after `Lagged`, messages may be missing.
    fn subscribe(&self) -> broadcast::Receiver<StoreEvent>;

    /// The state of the connection.
    fn state(&self) -> StoreState;

    /// Maintains the connection until `stopped`. Operations fail before it runs.
    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()>;
}

/// The result of [`Store::consume_use`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOutcome {
    /// Granted; `used` includes this use.
    Granted {
        /// The number of uses so far.
        used: u32,
    },
    /// The limit is reached.
    Exhausted,
}

/// The result of [`Store::put_if_absent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The key had no value and has this one now.
    Stored,
    /// The key has this earlier value, which stays.
    Existing(String),
}

/// A text on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// The text; equal texts are one item.
    pub text: String,
    /// Time until it expires.
    pub lifetime: Duration,
}

/// The subject of a message; one publish/subscribe channel each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Revoked sessions and links.
    Revocation,
    /// Occupants of rooms.
    Presence,
    /// Pins of rooms, states and reachability of shards.
    Shard,
    /// Sessions which the provider confirmed again.
    Session,
}

/// An event for subscribers of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The connection is established. Messages that were published before are lost.
    Connected,
    /// The connection is lost.
    Lost,
    /// A replica published a message.
    Message {
        /// The subject.
        topic: Topic,
        /// The JSON text.
        text: Arc<str>,
    },
}

/// The state of the connection to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// The store is part of this process.
    Memory,
    /// Connected.
    Ready,
    /// Not connected.
    Unreachable {
        /// Cause and remedy for the operator.
        reason: Arc<str>,
    },
}

/// An operation of the store failed. The texts are for operators and contain no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection; the operation had no effect.
    #[error("the store is not reached: {0}")]
    Unreachable(Arc<str>),
    /// No response in time; the operation may or may not have taken effect.
    #[error("the store did not answer in time")]
    Timeout,
    /// The server rejected the operation.
    #[error("the store refused: {0}")]
    Refused(Arc<str>),
}

/// Creates a store. It connects when [`Store::run`] runs. In memory it has the uses of the journal, if
/// there is one.
pub fn open(
    settings: &StoreSettings,
    journal: Option<(Journal, &JournalContent)>,
    metrics: StoreMetrics,
    clock: Clock,
    random: Random,
) -> Result<Arc<dyn Store>, RedisSetupError> {
    Ok(match settings {
        StoreSettings::Memory => {
            metrics.ready.set(1);
            match journal {
                Some((journal, content)) => Arc::new(JournaledStore::new(journal, content, clock)),
                None => Arc::new(MemoryStore::new()),
            }
        }
        StoreSettings::Redis(settings) => Arc::new(RedisStore::new(settings, metrics, random)?),
    })
}

// === impl StoreSettings ===

impl StoreSettings {
    /// The time in which the first operation succeeds if the server works; `None` if there is no server.
    pub fn first_operation_timeout(&self) -> Option<Duration> {
        match self {
            Self::Memory => None,
            Self::Redis(settings) => Some(settings.connect_timeout + settings.timeout),
        }
    }
}

// === impl Topic ===

impl Topic {
    /// All topics.
    pub const ALL: [Self; 4] = [Self::Revocation, Self::Presence, Self::Shard, Self::Session];

    /// The last part of the channel's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Presence => "presence",
            Self::Shard => "shard",
            Self::Session => "session",
        }
    }
}

// === impl StoreState ===

impl StoreState {
    /// The value in `/readyz`.
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
    /// The `outcome` label in metrics.
    pub const fn outcome(&self) -> StoreOutcome {
        match self {
            Self::Unreachable(_) => StoreOutcome::Unreachable,
            Self::Timeout => StoreOutcome::Timeout,
            Self::Refused(_) => StoreOutcome::Refused,
        }
    }
}

/// Clamps a lifetime to the range of Redis and of time arithmetic.
fn bounded(lifetime: Duration) -> Duration {
    lifetime.clamp(
        Duration::from_millis(1),
        Duration::from_hours(10 * 365 * 24),
    )
}

/// Capacity of a subscription: larger than a burst of sign-outs, in little memory. A subscriber
/// that falls behind receives `Lagged` and resynchronises.
const EVENT_CAPACITY: usize = 4096;
