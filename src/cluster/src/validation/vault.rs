//! Refresh tokens in the store, sealed: a copy of the store's data is worth nothing.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use model::{clock::Timestamp, identity::Identity, seal::Sealer, session::SessionId};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::store::{PutOutcome, Store, StoreError, StoreEvent, Topic};

/// The grants of all sessions, and the leases under which they are redeemed.
#[derive(Clone)]
pub struct GrantVault {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

/// What the provider is asked with, and its last answer.
#[derive(Clone, Debug)]
pub struct StoredGrant {
    /// The refresh token that is redeemed next.
    pub token: SecretString,
    /// The nonce of the sign-in.
    pub nonce: String,
    /// The identity by the claims of the last answer.
    pub identity: Identity,
    /// The time of the last answer.
    pub at: Timestamp,
    /// When the session ends at the latest.
    pub ends: Timestamp,
    /// Whether the token was sent to the provider and no response has arrived: the provider may have redeemed the token,
    /// and the response with its successor may be lost.
    pub is_pending: bool,
}

/// The JSON form, which is sealed.
#[derive(Serialize, Deserialize)]
struct Record<'r> {
    #[serde(rename = "v")]
    version: u32,
    /// The session: no record counts for another one.
    #[serde(rename = "id")]
    session: Cow<'r, str>,
    token: String,
    nonce: String,
    identity: Identity,
    at: Timestamp,
    ends: Timestamp,
    #[serde(default, rename = "pending")]
    is_pending: bool,
}

// === impl GrantVault ===

impl GrantVault {
    /// Creates the vault of a deployment; `sealer` is for nothing else.
    pub fn new(store: Arc<dyn Store>, sealer: Sealer) -> Self {
        let sealer = Arc::new(sealer);
        Self { store, sealer }
    }

    /// Reads the grant of a session; `None` if there is none that this replica can open.
    pub async fn load(&self, id: &SessionId) -> Result<Option<StoredGrant>, StoreError> {
        let sealed = self.store.get(&grant_key(id)).await?;
        Ok(sealed.and_then(|sealed| self.open(id, &sealed)))
    }

    /// Writes the grant of a session.
    pub async fn save(
        &self,
        id: &SessionId,
        grant: &StoredGrant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let record = Record {
            version: VERSION,
            session: id.as_str().into(),
            token: grant.token.expose_secret().to_owned(),
            nonce: grant.nonce.clone(),
            identity: grant.identity.clone(),
            at: grant.at,
            ends: grant.ends,
            is_pending: grant.is_pending,
        };
        // Infallible: the type has string keys and no fallible `Serialize`.
        let plain = serde_json::to_vec(&record).expect("grants serialize to JSON");
        let plain = SecretSlice::from(plain);
        let sealed = self.sealer.seal(plain.expose_secret());
        let lifetime = grant.ends.since(now);
        self.store.put(&grant_key(id), &sealed, lifetime).await
    }

    /// Removes the grant of a session.
    pub async fn remove(&self, id: &SessionId) -> Result<(), StoreError> {
        self.store.remove(&grant_key(id)).await
    }

    /// Takes the right to redeem the grant of a session for `LEASE`; `false` if another replica
    /// has it.
    pub async fn acquire(&self, id: &SessionId) -> Result<bool, StoreError> {
        let key = lease_key(id);
        let outcome = self.store.put_if_absent(&key, "{\"v\":1}", LEASE).await?;
        Ok(outcome == PutOutcome::Stored)
    }

    /// Returns that right.
    pub async fn release(&self, id: &SessionId) -> Result<(), StoreError> {
        self.store.remove(&lease_key(id)).await
    }

    /// Subscribes to the announcements of all replicas.
    pub fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.store.subscribe()
    }

    /// Tells the other replicas to read the grant of a session.
    pub async fn announce(&self, id: &SessionId) -> Result<(), StoreError> {
        self.store.publish(Topic::Session, id.as_str()).await
    }

    fn open(&self, id: &SessionId, sealed: &str) -> Option<StoredGrant> {
        let plain = self.sealer.open(sealed)?;
        let record: Record<'_> = serde_json::from_slice(&plain).ok()?;
        (record.version == VERSION && record.session == id.as_str()).then(|| StoredGrant {
            token: record.token.into(),
            nonce: record.nonce,
            identity: record.identity,
            at: record.at,
            ends: record.ends,
            is_pending: record.is_pending,
        })
    }
}

impl fmt::Debug for GrantVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantVault")
    }
}

fn grant_key(id: &SessionId) -> String {
    format!("session-grant:{}", id.as_str())
}

fn lease_key(id: &SessionId) -> String {
    format!("session-lease:{}", id.as_str())
}

const VERSION: u32 = 1;

/// Longer than a redemption may take, which is bounded by [`REDEMPTION_TIMEOUT`]: a lease that ended
/// earlier would let two replicas redeem one token. A replica that crashed blocks its sessions for this
/// time.
const LEASE: Duration = Duration::from_mins(1);

/// The limit for a redemption, with its requests to provider and store.
pub const REDEMPTION_TIMEOUT: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use model::seal::{Keyring, Purpose};

    use super::*;
    use crate::store::MemoryStore;

    const ORIGIN: &str = "https://meet.example.org";

    fn vault(store: &Arc<MemoryStore>, key: u8) -> GrantVault {
        let sealer = Keyring::single([key; 32]).sealer(Purpose::RefreshGrant, ORIGIN);
        GrantVault::new(Arc::clone(store) as Arc<dyn Store>, sealer)
    }

    fn grant() -> StoredGrant {
        StoredGrant {
            token: "the refresh token".to_owned().into(),
            nonce: "n".to_owned(),
            identity: Identity::default(),
            at: Timestamp::from_unix(10),
            ends: Timestamp::from_unix(1000),
            is_pending: false,
        }
    }

    #[tokio::test]
    async fn a_grant_is_sealed_and_opens_for_its_session_only() {
        let store = Arc::new(MemoryStore::new());
        let (id, other) = (SessionId::from("one"), SessionId::from("other"));
        let own = vault(&store, 1);
        own.save(&id, &grant(), Timestamp::from_unix(10))
            .await
            .unwrap();
        let read = own.load(&id).await.unwrap().unwrap();
        assert_eq!(read.token.expose_secret(), "the refresh token");
        assert_eq!(read.at, Timestamp::from_unix(10));
        let sealed = store.get("session-grant:one").await.unwrap().unwrap();
        assert!(!sealed.contains("refresh"), "{sealed}");
        // Another key, and the record of another session.
        assert!(vault(&store, 2).load(&id).await.unwrap().is_none());
        store
            .put("session-grant:other", &sealed, Duration::from_mins(1))
            .await
            .unwrap();
        assert!(own.load(&other).await.unwrap().is_none());
        own.remove(&id).await.unwrap();
        assert!(own.load(&id).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_replica_at_a_time_redeems_a_grant() {
        let store = Arc::new(MemoryStore::new());
        let (one, other) = (vault(&store, 1), vault(&store, 1));
        let id = SessionId::from("one");
        assert_eq!(one.acquire(&id).await, Ok(true));
        assert_eq!(other.acquire(&id).await, Ok(false));
        assert_eq!(other.acquire(&SessionId::from("two")).await, Ok(true));
        one.release(&id).await.unwrap();
        assert_eq!(other.acquire(&id).await, Ok(true));
        // A replica that crashed loses the lease.
        tokio::time::advance(LEASE).await;
        assert_eq!(one.acquire(&id).await, Ok(true));
    }
}
