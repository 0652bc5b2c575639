//! The provider's sessions from which sessions began here, by their `sid`: a front-channel logout counts
//! for these only.

use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::warn;

use crate::store_client::{StoreCallError, StoreClient};
use model::digest::sha256_hex;

/// Which `sid` belong to sessions of this deployment. Only sign-ins add one.
#[derive(Debug)]
pub(crate) struct ProviderSessions {
    store: StoreClient,
    /// The longest lifetime of a session.
    lifetime: Duration,
    lookups: Semaphore,
}

/// Why it is not known whether a session began here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error(transparent)]
    Store(#[from] StoreCallError),
    /// Strangers can cause as many lookups as they send requests.
    #[error("too many lookups at once")]
    Busy,
}

// === impl ProviderSessions ===

impl ProviderSessions {
    pub(crate) fn new(store: StoreClient, lifetime: Duration) -> Self {
        Self {
            store,
            lifetime,
            lookups: Semaphore::new(MAX_LOOKUPS),
        }
    }

    /// Notes that a session began. If the store fails, the session works, and its front-channel logout
    /// does not.
    pub(crate) async fn note(&self, sid: &str) {
        let noted = self
            .store
            .put(key(sid), VALUE.to_owned(), self.lifetime)
            .await;
        if let Err(error) = noted {
            warn!(%error, "a front-channel logout of a new session will have no effect");
        }
    }

    /// Whether a session began with this `sid`, which is then forgotten: a repeated logout must not end
    /// a session that begins later.
    pub(crate) async fn take(&self, sid: &str) -> Result<bool, LookupError> {
        let _lookup = self.lookups.try_acquire().map_err(|_| LookupError::Busy)?;
        Ok(self.store.take(key(sid)).await?.is_some())
    }
}

/// A digest, so that the store has keys of one length and no `sid`.
fn key(sid: &str) -> String {
    format!("provider-session:{}", sha256_hex(sid.as_bytes()))
}

const VALUE: &str = r#"{"v":1}"#;

/// A provider's logout page loads one frame per person; an answer takes a few milliseconds.
const MAX_LOOKUPS: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster::store::MemoryStore;
    use tokio::runtime::Handle;

    use super::*;

    #[tokio::test]
    async fn a_session_counts_once_and_strangers_cannot_queue_lookups() {
        let store = StoreClient::new(Arc::new(MemoryStore::new()), Handle::current());
        let sessions = ProviderSessions::new(store, Duration::from_hours(1));
        sessions.note("a").await;
        for (sid, known) in [
            ("A", false),
            ("a ", false),
            ("", false),
            ("a", true),
            ("a", false),
        ] {
            assert_eq!(sessions.take(sid).await.unwrap(), known, "{sid:?}");
        }
        let most = u32::try_from(MAX_LOOKUPS).unwrap();
        let all = sessions.lookups.try_acquire_many(most).unwrap();
        let busy = sessions.take("a").await;
        assert!(matches!(busy, Err(LookupError::Busy)), "{busy:?}");
        drop(all);
        assert!(!sessions.take("a").await.unwrap());
    }
}
