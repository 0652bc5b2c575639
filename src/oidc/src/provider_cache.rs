//! The provider's metadata and keys, cached and kept fresh.
//!
//! Requests of browsers wait for the provider in one case only: a token signed with an unknown key
//! triggers a refetch of the key set, at most once a minute per [`TokenSource`].

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use model::{
    clock::{Clock, Timestamp},
    jws::{ClaimsSet, Jws, KeySet, TokenError},
    random::Random,
};
use observe::{error_chain, metrics::ProviderMetrics};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    OidcSettings, OidcSetupError,
    code_flow::CodeFlow,
    discovery::{DiscoveryError, ProviderMetadata},
    endpoint_rewriter::EndpointRewriter,
    http::Fetcher,
};

/// State of the cached provider metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderStatus {
    /// No discovery has succeeded since startup; sign-ins fail.
    NeverReached {
        /// The last error, with its causes.
        reason: String,
    },
    /// The last discovery succeeded.
    Ready,
    /// The last discovery failed; the metadata and keys of an earlier one are in use.
    Stale {
        /// The last error, with its causes.
        reason: String,
    },
}

/// Metadata and keys from one discovery.
pub(crate) struct ProviderSnapshot {
    pub(crate) metadata: Arc<ProviderMetadata>,
    pub(crate) flow: Arc<CodeFlow>,
    keys: KeySet,
}

/// Which request a token came with. Each source has its own budget of key refetches: logout tokens
/// are unauthenticated, and must not use up the refetch that a sign-in needs after a key rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// The provider's token endpoint, in exchange for a code.
    TokenEndpoint,
    /// A back-channel logout request, which anyone can send.
    BackChannel,
}

/// Fetches and holds the current [`ProviderSnapshot`].
pub(crate) struct ProviderCache {
    settings: Arc<OidcSettings>,
    rewriter: EndpointRewriter,
    pub(crate) fetcher: Fetcher,
    clock: Clock,
    random: Random,
    current: ArcSwapOption<ProviderSnapshot>,
    /// Written by [`run`](Self::run) only.
    status: ArcSwap<ProviderStatus>,
    /// Cancelled when the first discovery has ended, whatever it found.
    discovered: CancellationToken,
    /// Locked during a refetch, so that concurrent tokens share one.
    refetches: Mutex<RefetchTimes>,
}

/// When each token source last triggered a refetch of the key set.
#[derive(Default)]
struct RefetchTimes {
    token_endpoint: Option<Timestamp>,
    back_channel: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Setup(#[from] OidcSetupError),
}

// === impl ProviderStatus ===

impl ProviderStatus {
    /// Whether sign-ins are possible.
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::NeverReached { .. })
    }

    /// Value of `provider` in `/readyz`; stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NeverReached { .. } => "not_yet",
            Self::Ready => "ready",
            Self::Stale { .. } => "stale",
        }
    }
}

// === impl ProviderCache ===

impl ProviderCache {
    pub(crate) fn new(
        settings: Arc<OidcSettings>,
        metrics: ProviderMetrics,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OidcSetupError> {
        let reason = "no discovery was attempted yet".to_owned();
        Ok(Self {
            rewriter: EndpointRewriter::new(&settings.issuer, settings.internal_url.as_ref())?,
            fetcher: Fetcher::new(&settings, metrics)?,
            settings,
            clock,
            random,
            current: ArcSwapOption::empty(),
            status: ArcSwap::from_pointee(ProviderStatus::NeverReached { reason }),
            discovered: CancellationToken::new(),
            refetches: Mutex::default(),
        })
    }

    /// The current snapshot; `None` until the first successful discovery.
    pub(crate) fn current(&self) -> Option<Arc<ProviderSnapshot>> {
        self.current.load_full()
    }

    /// Completes when the first discovery has ended, whatever it found.
    pub(crate) async fn first_discovery(&self) {
        self.discovered.cancelled().await;
    }

    pub(crate) fn status(&self) -> ProviderStatus {
        ProviderStatus::clone(&self.status.load())
    }

    /// Repeats discovery until `stop`: hourly after a success, with exponential backoff after a
    /// failure.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut failures = 0;
        while let Some(result) = stop.run_until_cancelled(self.refresh()).await {
            let pause = match result {
                Ok(()) => {
                    failures = 0;
                    REFRESH_INTERVAL
                }
                Err(error) => {
                    failures += 1;
                    self.record_failure(&error);
                    backoff(failures)
                }
            };
            self.discovered.cancel();
            let pause = tokio::time::sleep(self.with_jitter(pause));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Verifies the token's signature and returns its claims.
    ///
    /// On an unknown key, and on a wrong signature (a key replaced under the same `kid`), the key
    /// set is fetched again within the budget of `source`.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        snapshot: &Arc<ProviderSnapshot>,
        token: &Jws<'_>,
        source: TokenSource,
    ) -> Result<ClaimsSet, TokenError> {
        let mut tried = Arc::clone(snapshot);
        let mut result = tried.keys.open(token);
        // More than one turn if another source's refetch, from before the key rotation, replaced
        // `tried` meanwhile. Ends when the budget of this source is used up.
        while matches!(result, Err(TokenError::UnknownKey | TokenError::Signature)) {
            let (cache, old) = (Arc::clone(self), Arc::clone(&tried));
            // A separate task, so that the refetch completes if the client disconnects; otherwise
            // disconnecting clients could use up the budget without any key set being fetched.
            let newer = tokio::spawn(async move { cache.newer_than(&old, source).await });
            let Ok(Some(newer)) = newer.await else {
                break;
            };
            result = newer.keys.open(token);
            tried = newer;
        }
        result
    }

    async fn refresh(&self) -> Result<(), RefreshError> {
        let metadata =
            ProviderMetadata::discover(&self.settings.issuer, &self.rewriter, &self.fetcher)
                .await?;
        let keys = metadata.fetch_keys(&self.fetcher).await?;
        let flow = CodeFlow::new(&self.settings, &metadata, &self.clock, &self.random)?;
        self.store(ProviderSnapshot {
            metadata: Arc::new(metadata),
            flow: Arc::new(flow),
            keys,
        });
        if *self.status.swap(Arc::new(ProviderStatus::Ready)) != ProviderStatus::Ready {
            info!(
                provider = self.settings.provider_id(),
                issuer = self.settings.issuer,
                "provider is ready"
            );
        }
        Ok(())
    }

    /// Logs a failure unless the attempt before had the same: an outage of an hour has 120 attempts.
    fn record_failure(&self, error: &RefreshError) {
        let reason = error_chain(error);
        let status = if self.status.load().is_usable() {
            ProviderStatus::Stale {
                reason: reason.clone(),
            }
        } else {
            ProviderStatus::NeverReached {
                reason: reason.clone(),
            }
        };
        let status = Arc::new(status);
        if self.status.swap(Arc::clone(&status)) == status {
            return;
        }
        warn!(
            provider = self.settings.provider_id(),
            issuer = self.settings.issuer,
            error = %reason,
            "provider discovery failed"
        );
    }

    /// A snapshot newer than `old`: one that another task stored meanwhile, or the result of a
    /// refetch; `None` if the budget of `source` is used up or the refetch fails.
    async fn newer_than(
        &self,
        old: &Arc<ProviderSnapshot>,
        source: TokenSource,
    ) -> Option<Arc<ProviderSnapshot>> {
        let mut refetches = self.refetches.lock().await;
        let current = self.current()?;
        if !Arc::ptr_eq(&current, old) {
            return Some(current);
        }
        let now = self.clock.now();
        let last = refetches.last(source);
        if last.is_some_and(|last| now.since(last) < REFETCH_INTERVAL) {
            debug!(
                provider = self.settings.provider_id(),
                ?source,
                "unknown key id; the key set was refetched recently"
            );
            return None;
        }
        *last = Some(now);
        match old.metadata.fetch_keys(&self.fetcher).await {
            Ok(keys) => Some(self.store(ProviderSnapshot {
                metadata: Arc::clone(&old.metadata),
                flow: Arc::clone(&old.flow),
                keys,
            })),
            Err(error) => {
                warn!(
                    provider = self.settings.provider_id(),
                    error = %error_chain(&error),
                    "refetch of the provider's key set failed"
                );
                None
            }
        }
    }

    fn store(&self, snapshot: ProviderSnapshot) -> Arc<ProviderSnapshot> {
        let snapshot = Arc::new(snapshot);
        self.current.store(Some(Arc::clone(&snapshot)));
        let now = i64::try_from(self.clock.now().as_unix()).unwrap_or(i64::MAX);
        self.fetcher.metrics.keys_fetched.set(now);
        snapshot
    }

    /// Shortens the pause by up to a quarter, so that replicas started together do not send their
    /// requests together.
    fn with_jitter(&self, pause: Duration) -> Duration {
        let [byte] = self.random.bytes::<1>();
        pause.saturating_sub(pause / 1024 * u32::from(byte))
    }
}

// === impl RefetchTimes ===

impl RefetchTimes {
    fn last(&mut self, source: TokenSource) -> &mut Option<Timestamp> {
        match source {
            TokenSource::TokenEndpoint => &mut self.token_endpoint,
            TokenSource::BackChannel => &mut self.back_channel,
        }
    }
}

/// Pause after `failures` consecutive failures: doubles from [`FIRST_RETRY`] to [`MAX_RETRY`].
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_RETRY.saturating_mul(1 << doublings).min(MAX_RETRY)
}

/// Providers publish new keys a day or more before using them.
const REFRESH_INTERVAL: Duration = Duration::from_hours(1);

/// Short, because in a fresh deployment the provider starts within seconds of the gateway.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Bounds how long sign-ins fail after the provider has recovered.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Least time between two refetches of the key set for one token source. Without it, forged tokens
/// with random key ids would flood the provider.
const REFETCH_INTERVAL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let pauses: Vec<_> = (1..=8).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        );
        assert_eq!(backoff(u32::MAX), MAX_RETRY);
    }
}
