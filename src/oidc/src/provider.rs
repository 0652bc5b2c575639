//! What is known of the provider at the moment, and keeping it fresh.
//!
//! Nothing here is on the way of a request, but for one thing: a token signed with a key that is
//! not known yet asks for the keys anew, within narrow limits.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Settings, SetupError,
    client::Flow,
    discovery::{DiscoveryError, Endpoints, Faces},
    http::{Fetcher, in_full},
};
use model::{
    clock::{Clock, Timestamp},
    jws::{ClaimsSet, Jws, KeySet, TokenError},
    random::Random,
};

/// How well the provider is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was not reached since the process began; nobody can sign in.
    NotYet {
        /// What went wrong last.
        reason: String,
    },
    /// It is known as of the last look.
    Ready,
    /// The last look went wrong; what was known before is used.
    Stale {
        /// What went wrong last.
        reason: String,
    },
}

/// The provider as it described itself.
pub(super) struct Provider {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) flow: Arc<Flow>,
    keys: KeySet,
}

/// Looks after the provider.
pub(super) struct Watch {
    settings: Arc<Settings>,
    faces: Faces,
    pub(super) fetcher: Fetcher,
    clock: Clock,
    random: Random,
    known: ArcSwapOption<Provider>,
    status: watch::Sender<Status>,
    /// When the keys were last asked for because of a token; held while asking, so that one asks
    /// for all.
    asked: Mutex<Option<Timestamp>>,
}

/// Why a look at the provider brought nothing.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Setup(#[from] SetupError),
}

// === impl Status ===

impl Status {
    /// Whether people can sign in, as far as we know.
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::NotYet { .. })
    }

    /// The word for logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotYet { .. } => "not_yet",
            Self::Ready => "ready",
            Self::Stale { .. } => "stale",
        }
    }
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(
        settings: Arc<Settings>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, SetupError> {
        let reason = "the provider was not asked yet".to_owned();
        Ok(Self {
            faces: Faces::new(&settings)?,
            fetcher: Fetcher::new(&settings)?,
            settings,
            clock,
            random,
            known: ArcSwapOption::empty(),
            status: watch::Sender::new(Status::NotYet { reason }),
            asked: Mutex::new(None),
        })
    }

    /// The provider, once it was reached.
    pub(super) fn known(&self) -> Option<Arc<Provider>> {
        self.known.load_full()
    }

    /// How well the provider is known, now and from now on.
    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Looks at the provider again and again: soon after a failure, hourly after a success.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let mut failures = 0;
        while let Some(result) = stop.run_until_cancelled(self.refresh()).await {
            let pause = match result {
                Ok(()) => {
                    failures = 0;
                    REFRESH
                }
                Err(error) => {
                    failures += 1;
                    self.note(&error);
                    back_off(failures)
                }
            };
            let pause = tokio::time::sleep(self.jittered(pause));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// The claims of a token that the provider signed. A key that is not known, or does not fit
    /// any more, may be new.
    pub(super) async fn open(
        self: &Arc<Self>,
        provider: &Arc<Provider>,
        token: &Jws<'_>,
    ) -> Result<ClaimsSet, TokenError> {
        let result = provider.keys.open(token);
        if !matches!(result, Err(TokenError::UnknownKey | TokenError::Signature)) {
            return result;
        }
        let (watch, old) = (Arc::clone(self), Arc::clone(provider));
        // A task of its own: asking goes on if the one who waits goes away, so that nobody can
        // spend the attempts without letting one finish.
        let newer = tokio::spawn(async move { watch.newer_than(&old).await });
        match newer.await {
            Ok(Some(newer)) => newer.keys.open(token),
            _ => result,
        }
    }

    async fn refresh(&self) -> Result<(), RefreshError> {
        let endpoints =
            Endpoints::discover(&self.settings.issuer, &self.faces, &self.fetcher).await?;
        let keys = endpoints.keys(&self.fetcher).await?;
        let flow = Flow::new(&self.settings, &endpoints)?;
        self.known.store(Some(Arc::new(Provider {
            endpoints: Arc::new(endpoints),
            flow: Arc::new(flow),
            keys,
        })));
        self.note_keys();
        if self.status.send_replace(Status::Ready) != Status::Ready {
            info!(issuer = self.settings.issuer, "the provider is ready");
        }
        Ok(())
    }

    fn note_keys(&self) {
        let now = i64::try_from(self.clock.now().as_unix()).unwrap_or(i64::MAX);
        self.fetcher.metrics.keys_fetched.set(now);
    }

    fn note(&self, error: &RefreshError) {
        let reason = in_full(error);
        warn!(issuer = self.settings.issuer, error = %reason, "the provider cannot be used");
        self.status.send_modify(|status| {
            *status = if status.is_usable() {
                Status::Stale { reason }
            } else {
                Status::NotYet { reason }
            };
        });
    }

    /// A provider with other keys than `old` has, if there is one to be had without asking too
    /// often.
    async fn newer_than(&self, old: &Arc<Provider>) -> Option<Arc<Provider>> {
        let mut asked = self.asked.lock().await;
        let known = self.known()?;
        if !Arc::ptr_eq(&known, old) {
            return Some(known);
        }
        let now = self.clock.now();
        if asked.is_some_and(|last| now.since(last) < KEY_REQUEST_GAP) {
            debug!("a token has an unknown key, and the keys were fetched a moment ago");
            return None;
        }
        *asked = Some(now);
        match old.endpoints.keys(&self.fetcher).await {
            Ok(keys) => {
                let newer = Arc::new(Provider {
                    endpoints: Arc::clone(&old.endpoints),
                    flow: Arc::clone(&old.flow),
                    keys,
                });
                self.known.store(Some(Arc::clone(&newer)));
                self.note_keys();
                Some(newer)
            }
            Err(error) => {
                warn!(error = %in_full(&error), "the provider's keys could not be fetched anew");
                None
            }
        }
    }

    /// Up to a quarter less, so that replicas that were started together do not ask together.
    fn jittered(&self, pause: Duration) -> Duration {
        let [chance] = self.random.bytes::<1>();
        pause.saturating_sub(pause / 1024 * u32::from(chance))
    }
}

/// Doubles from failure to failure.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_RETRY
        .saturating_mul(1 << doublings)
        .min(LONGEST_RETRY)
}

/// Providers announce new keys a day or more before using them.
const REFRESH: Duration = Duration::from_hours(1);

/// Quick at first: in a fresh deployment the provider is only some seconds behind.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// After an outage people wait no longer than this, and the provider is not hammered.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Tokens with made-up key ids must not become requests to the provider.
const KEY_REQUEST_GAP: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_and_stay_bearable() {
        let pauses: Vec<_> = (1..=8).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        );
        assert_eq!(back_off(u32::MAX), LONGEST_RETRY);
    }
}
