//! Calls to the store that replicas share, from the request path.

use std::{fmt, sync::Arc, time::Duration};

use cluster::store::{PutOutcome, Store, StoreError, UseOutcome};
use tokio::runtime::Handle;

/// Runs store operations on the control runtime, so that a client that leaves does not cancel them.
#[derive(Clone)]
pub(crate) struct StoreClient {
    store: Arc<dyn Store>,
    runtime: Handle,
}

/// Why the outcome of a store operation is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreCallError {
    /// The store gave an error.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// The control runtime stopped.
    #[error("internal error: the store task ended before it answered")]
    Abandoned,
}

// === impl StoreClient ===

impl StoreClient {
    pub(crate) fn new(store: Arc<dyn Store>, runtime: Handle) -> Self {
        Self { store, runtime }
    }

    /// Stores a value unless the key has one.
    pub(crate) async fn put_if_absent(
        &self,
        key: String,
        value: String,
        lifetime: Duration,
    ) -> Result<PutOutcome, StoreCallError> {
        let store = Arc::clone(&self.store);
        let putting = async move { store.put_if_absent(&key, &value, lifetime).await };
        let outcome = self.runtime.spawn(putting).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }

    /// Stores a value unless the key has one, or had one before a restart.
    pub(crate) async fn put_once(
        &self,
        key: String,
        value: String,
        lifetime: Duration,
    ) -> Result<PutOutcome, StoreCallError> {
        let store = Arc::clone(&self.store);
        let putting = async move { store.put_once(&key, &value, lifetime).await };
        let outcome = self.runtime.spawn(putting).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }

    /// Stores a value, replacing an earlier one.
    pub(crate) async fn put(
        &self,
        key: String,
        value: String,
        lifetime: Duration,
    ) -> Result<(), StoreCallError> {
        let store = Arc::clone(&self.store);
        let putting = async move { store.put(&key, &value, lifetime).await };
        let outcome = self.runtime.spawn(putting).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }

    /// Reads a value and removes it.
    pub(crate) async fn take(&self, key: String) -> Result<Option<String>, StoreCallError> {
        let store = Arc::clone(&self.store);
        let taking = async move {
            let value = store.get(&key).await?;
            if value.is_some() {
                store.remove(&key).await?;
            }
            Ok::<_, StoreError>(value)
        };
        let outcome = self.runtime.spawn(taking).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }

    /// Counts a use of something that may be used `limit` times.
    pub(crate) async fn consume_use(
        &self,
        key: String,
        limit: u32,
        lifetime: Duration,
    ) -> Result<UseOutcome, StoreCallError> {
        let store = Arc::clone(&self.store);
        let using = async move { store.consume_use(&key, limit, lifetime).await };
        let outcome = self.runtime.spawn(using).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }

    /// The uses of it so far.
    pub(crate) async fn uses(&self, key: String) -> Result<u32, StoreCallError> {
        let store = Arc::clone(&self.store);
        let reading = async move { store.uses(&key).await };
        let outcome = self.runtime.spawn(reading).await;
        Ok(outcome.map_err(|_| StoreCallError::Abandoned)??)
    }
}

impl fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreClient").finish_non_exhaustive()
    }
}
