//! The moment at which a new replica accepts connections.
//!
//! It follows another one in a deployment that people use: a cookie that was revoked on another replica must not be
//! valid on this one, and a sign-in that began at another one has to be completed here. A store or a provider that is
//! down must not keep the gateway closed, so both are awaited for a short time only.

use std::{sync::Arc, time::Duration};

use cluster::revocation::Revocations;
use oidc::RelyingParty;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Opens the public listeners when both are done.
pub(super) async fn open(
    store: impl Future<Output = ()>,
    providers: impl Future<Output = ()>,
    opened: CancellationToken,
) {
    tokio::join!(store, providers);
    opened.cancel();
}

/// Completes when the revocations in the store are in effect, or after `patience`; at once without a store that
/// replicas share.
pub(super) async fn read_revocations(revocations: Arc<Revocations>, patience: Option<Duration>) {
    let Some(patience) = patience else { return };
    if timeout(patience, revocations.initial_read()).await.is_err() {
        warn!(
            ?patience,
            "the revocations in the store were not read in time; until they are, this replica admits sessions that were revoked on others"
        );
    }
}

/// Completes when the first discovery of each provider has ended, or after [`PROVIDER_PATIENCE`].
pub(super) async fn discover_providers(parties: Vec<Arc<RelyingParty>>) {
    let discoveries = async {
        for party in &parties {
            party.first_discovery().await;
        }
    };
    if timeout(PROVIDER_PATIENCE, discoveries).await.is_err() {
        // The provider's own task logs what it waits for.
        debug!("connections are accepted before every provider is known; sign-ins fail until then");
    }
}

/// A provider that is up answers both requests of a discovery within it. Meetings wait as long to reconnect after a
/// restart when it is not.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use cluster::store::MemoryStore;
    use model::clock::Clock;
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn the_store_is_awaited_until_it_was_read_or_for_its_patience() {
        let began = Instant::now();
        let (revocations, sync) = Revocations::new(Duration::from_hours(1), Clock::system());
        read_revocations(Arc::clone(&revocations), None).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "no store is shared");
        read_revocations(Arc::clone(&revocations), Some(PATIENCE)).await;
        assert_eq!(began.elapsed(), PATIENCE, "no store answers");

        let began = Instant::now();
        let stop = CancellationToken::new();
        let running = tokio::spawn(sync.run(Arc::new(MemoryStore::new()), stop.clone()));
        read_revocations(revocations, Some(PATIENCE)).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "the list was read");
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn listeners_open_when_both_are_done() {
        for (store, provider) in [(true, false), (false, true), (true, true)] {
            let wait = async |done: bool| {
                if done {
                    ready(()).await;
                } else {
                    pending::<()>().await;
                }
            };
            let opened = CancellationToken::new();
            let opening = open(wait(store), wait(provider), opened.clone());
            let _ = timeout(PATIENCE, opening).await;
            assert_eq!(opened.is_cancelled(), store && provider);
        }
    }
}
