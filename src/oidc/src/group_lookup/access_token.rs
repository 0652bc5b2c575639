//! The access token of a service account, bought once and used until shortly before its end.

use std::time::Duration;

use model::clock::Timestamp;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::{GroupLookupError, ServiceAccount};
use crate::http::Fetcher;

/// The current token. Locked while one is bought, so that concurrent sign-ins share it.
#[derive(Default)]
pub(super) struct AccessTokens(Mutex<Option<Current>>);

struct Current {
    token: SecretString,
    usable_until: Timestamp,
}

// === impl AccessTokens ===

impl AccessTokens {
    /// A token that is valid for a while.
    pub(super) async fn of(
        &self,
        account: &ServiceAccount,
        now: Timestamp,
        fetcher: &Fetcher,
    ) -> Result<SecretString, GroupLookupError> {
        let mut current = self.0.lock().await;
        if let Some(kept) = current.as_ref().filter(|kept| now < kept.usable_until) {
            return Ok(kept.token.clone());
        }
        let bought = account.access_token(now, fetcher).await?;
        *current = Some(Current {
            token: bought.token.clone(),
            usable_until: now.after(bought.lifetime.saturating_sub(MARGIN)),
        });
        Ok(bought.token)
    }

    /// The token is no longer accepted.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// More than the requests of one sign-in take.
const MARGIN: Duration = Duration::from_mins(2);
