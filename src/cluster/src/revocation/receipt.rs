//! How far a revocation has got: to the disk, to the store, or into the memory of this process only.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use crate::{
    journal::{JournalError, PendingCommit},
    store::{StoreError, StoreState},
};

/// A revocation on its way. It is in effect on this replica; [`Receipt::outcome`] waits until it is
/// kept.
#[derive(Debug)]
#[must_use = "an answer before the outcome promises more than is known"]
pub struct Receipt {
    disk: Option<PendingCommit>,
    /// `None` if the revocation was refused.
    store: Option<oneshot::Receiver<Delivery>>,
}

/// The store's answer to a revocation, with the kind of store.
pub(super) type Delivery = Result<StoreState, StoreError>;

/// How a revocation is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preservation {
    /// A restart does not undo it, and every replica learns of it.
    Kept,
    /// A restart does not undo it; other replicas learn of it when the store takes it.
    Unshared(StoreError),
    /// It is in the memory of this process: the configuration has neither a directory nor a server.
    ProcessOnly,
    /// A restart may undo it, although the configuration has a directory or a server.
    Volatile(PreservationError),
}

/// Why a revocation may be undone by a restart. The texts are for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreservationError {
    /// The disk did not take it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There are too many of its kind. It is not in effect.
    #[error("not revoked: too many links or subjects are revoked already")]
    Full,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Receipt ===

impl Receipt {
    /// A revocation on its way.
    pub(super) fn of(disk: Option<PendingCommit>, store: oneshot::Receiver<Delivery>) -> Self {
        let store = Some(store);
        Self { disk, store }
    }

    /// A revocation that is not in effect.
    pub(super) fn refused() -> Self {
        let (disk, store) = (None, None);
        Self { disk, store }
    }

    /// Waits until the disk and the store have answered, for a bounded time.
    pub async fn outcome(self) -> Preservation {
        let Self { disk, store } = self;
        let Some(delivery) = store else {
            return Preservation::Volatile(PreservationError::Full);
        };
        let on_disk = async {
            match disk {
                Some(commit) => Some(commit.written().await),
                None => None,
            }
        };
        let in_store = async {
            let delivery = timeout(STORE_PATIENCE, delivery).await;
            match delivery {
                Ok(Ok(delivery)) => delivery,
                Ok(Err(_)) | Err(_) => Err(StoreError::Timeout),
            }
        };
        let (on_disk, in_store) = tokio::join!(on_disk, in_store);
        match (on_disk, in_store) {
            // The server keeps it, whatever the disk did.
            (Some(Ok(())), Ok(_)) | (_, Ok(StoreState::Ready)) => Preservation::Kept,
            (Some(Ok(())), Err(error)) => Preservation::Unshared(error),
            (Some(Err(error)), _) => Preservation::Volatile(error.into()),
            (None, Err(error)) => Preservation::Volatile(error.into()),
            (None, Ok(_)) => Preservation::ProcessOnly,
        }
    }
}

// === impl Preservation ===

impl Preservation {
    /// Whether a restart undoes it although it should not.
    pub fn is_volatile(&self) -> bool {
        matches!(self, Self::Volatile(_))
    }
}

/// Above the default timeout of one operation, and below the request timeouts of providers and operators.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
