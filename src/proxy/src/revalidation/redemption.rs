//! Asking the provider about one session: the lease, the refresh token, and its successor.

use std::{mem, pin::Pin, sync::Arc, time::Duration};

use cluster::{
    store::StoreError,
    validation::{GrantVault, StoredGrant},
};
use model::{
    clock::Clock,
    identity::VerifiedIdentity,
    policy::Policy,
    session::{RevalidationSchedule, SessionId},
};
use oidc::{
    AuthenticationError, RefreshError, RefreshGrant, RefreshedUser, RelyingParty, SessionEnd,
};
use tokio::time::sleep;
use tracing::{error, warn};

/// The provider, as far as sessions are revalidated.
pub(super) trait SessionProvider: Send + Sync {
    /// Redeems a refresh token.
    fn refresh<'a>(&'a self, grant: RefreshGrant<'a>, policy: &'a Policy) -> Refreshing<'a>;
}

/// A redemption under way.
pub(super) type Refreshing<'a> =
    Pin<Box<dyn Future<Output = Result<RefreshedUser, RefreshError>> + Send + 'a>>;

/// Asks the provider, with what the store has.
#[derive(Clone)]
pub(super) struct Redeemer {
    pub(super) provider: Arc<dyn SessionProvider>,
    pub(super) vault: GrantVault,
    pub(super) schedule: RevalidationSchedule,
    pub(super) clock: Clock,
}

/// What is known of a session now.
#[derive(Debug)]
pub(super) enum Redeemed {
    /// The provider confirmed it.
    Confirmed {
        grant: Box<StoredGrant>,
        /// Whether another replica had asked, or it was not time.
        shared: bool,
    },
    /// It is over.
    Ended(SessionEnd),
    /// Another replica is asking.
    Busy,
    /// There is nothing to ask with.
    NoGrant,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedemptionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider gave no answer to the question.
    #[error("the provider could not be asked")]
    Provider(#[source] AuthenticationError),
    /// The provider accepted the grant, but who the person is now is not known.
    #[error("the claims of the refreshed session cannot be used")]
    Claims(#[source] AuthenticationError),
}

// === impl RelyingParty ===

impl SessionProvider for RelyingParty {
    fn refresh<'a>(&'a self, grant: RefreshGrant<'a>, policy: &'a Policy) -> Refreshing<'a> {
        Box::pin(self.refresh(grant, policy))
    }
}

// === impl Redeemer ===

impl Redeemer {
    /// Asks about a session, unless another replica did so lately.
    pub(super) async fn redeem(
        &self,
        id: &SessionId,
        policy: &Policy,
    ) -> Result<Redeemed, RedemptionError> {
        let Some(grant) = self.vault.load(id).await? else {
            return Ok(Redeemed::NoGrant);
        };
        if !self.is_due(&grant) {
            return Ok(Redeemed::shared(grant));
        }
        if !self.vault.acquire(id).await? {
            return Ok(Redeemed::Busy);
        }
        let outcome = self.redeem_alone(id, policy).await;
        if let Err(error) = self.vault.release(id).await {
            warn!(%error, "a lease in the store lasts longer than needed");
        }
        outcome
    }

    /// Reads the last answer without asking.
    pub(super) async fn read(&self, id: &SessionId) -> Option<StoredGrant> {
        self.vault.load(id).await.ok().flatten()
    }

    /// Keeps the grant of a sign-in; without it the session is not revalidated.
    pub(super) async fn keep(&self, id: &SessionId, grant: &StoredGrant) {
        if let Err(error) = self.save(id, grant).await {
            warn!(%error, "the refresh token of a session was not stored: it is not revalidated");
        }
    }

    /// With the lease: the grant is read again, because its holder may have been another replica until
    /// now.
    async fn redeem_alone(
        &self,
        id: &SessionId,
        policy: &Policy,
    ) -> Result<Redeemed, RedemptionError> {
        let Some(mut grant) = self.vault.load(id).await? else {
            return Ok(Redeemed::NoGrant);
        };
        if !self.is_due(&grant) {
            return Ok(Redeemed::shared(grant));
        }
        // The mark is stored before the request is sent, for the case that this replica crashes before the response.
        let was_pending = mem::replace(&mut grant.is_pending, true);
        if !was_pending {
            self.save(id, &grant).await?;
        }
        let question = RefreshGrant {
            token: &grant.token,
            subject: grant.identity.provider_subject(),
            nonce: &grant.nonce,
        };
        let refreshed = match self.provider.refresh(question, policy).await {
            Ok(refreshed) => refreshed,
            Err(RefreshError::Ended(SessionEnd::GrantRefused)) if was_pending => {
                warn!(
                    session = id.as_str(),
                    "the provider refuses a refresh token after a lost response; the session continues without revalidation"
                );
                let _ = self.vault.remove(id).await;
                return Ok(Redeemed::NoGrant);
            }
            Err(RefreshError::Ended(reason)) => {
                let _ = self.vault.remove(id).await;
                return Ok(Redeemed::Ended(reason));
            }
            Err(RefreshError::Unanswered(error)) => {
                if !was_pending && !error.leaves_outcome_open() {
                    grant.is_pending = false;
                    self.save(id, &grant).await?;
                }
                return Err(RedemptionError::Provider(error));
            }
        };
        grant.is_pending = false;
        if let Some(token) = refreshed.refresh_token {
            grant.token = token;
        }
        let unknown = match refreshed.identity {
            Ok(identity) => {
                let identity = identity.map(VerifiedIdentity::into_inner);
                grant.identity = identity.unwrap_or(grant.identity);
                grant.at = self.clock.now();
                None
            }
            Err(error) => Some(error),
        };
        self.save(id, &grant).await?;
        if let Some(error) = unknown {
            return Err(RedemptionError::Claims(error));
        }
        if let Err(error) = self.vault.announce(id).await {
            warn!(%error, "other replicas learn of a revalidated session later");
        }
        Ok(Redeemed::Confirmed {
            grant: grant.into(),
            shared: false,
        })
    }

    /// Whether it is time to ask. The last answer may be one that this replica did not know of.
    fn is_due(&self, grant: &StoredGrant) -> bool {
        self.schedule.next(grant.at, 0) <= self.clock.now()
    }

    /// Writes a grant; a token that was rotated has no other copy.
    async fn save(&self, id: &SessionId, grant: &StoredGrant) -> Result<(), StoreError> {
        let mut pauses = SAVE_PAUSES.into_iter();
        loop {
            let saved = self.vault.save(id, grant, self.clock.now()).await;
            match (saved, pauses.next()) {
                (Err(_), Some(pause)) => sleep(pause).await,
                (Err(error), None) => {
                    error!(%error, "a refresh token was not stored");
                    return Err(error);
                }
                (Ok(()), _) => return Ok(()),
            }
        }
    }
}

// === impl Redeemed ===

impl Redeemed {
    fn shared(grant: StoredGrant) -> Self {
        Self::Confirmed {
            grant: grant.into(),
            shared: true,
        }
    }
}

/// A store that restarts is back within seconds; together they are far below the lease.
const SAVE_PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
