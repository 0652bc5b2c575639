//! The moment at which a new replica accepts connections.

use std::{sync::Arc, time::Duration};

use cluster::revocation::Revocations;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Opens the public listeners when the revocations in the store are in effect: a cookie that was revoked
/// on another replica must not be valid on a new one. A store that is down must not keep the gateway
/// closed, so they open after `patience` in any case.
pub(super) async fn open(
    revocations: Arc<Revocations>,
    patience: Duration,
    opened: CancellationToken,
) {
    if timeout(patience, revocations.initial_read()).await.is_err() {
        warn!(
            ?patience,
            "the revocations in the store were not read in time; until they are, this replica admits sessions that were revoked on others"
        );
    }
    opened.cancel();
}

#[cfg(test)]
mod tests {
    use cluster::store::MemoryStore;
    use model::clock::Clock;
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn listeners_open_when_the_store_was_read_or_after_the_patience() {
        let began = Instant::now();
        let (revocations, sync) = Revocations::new(Duration::from_hours(1), Clock::system());
        let opened = CancellationToken::new();
        open(Arc::clone(&revocations), PATIENCE, opened.clone()).await;
        assert!(opened.is_cancelled());
        assert_eq!(began.elapsed(), PATIENCE, "no store");

        let began = Instant::now();
        let stop = CancellationToken::new();
        let running = tokio::spawn(sync.run(Arc::new(MemoryStore::new()), stop.clone()));
        let opened = CancellationToken::new();
        open(revocations, PATIENCE, opened.clone()).await;
        assert!(opened.is_cancelled());
        assert_eq!(began.elapsed(), Duration::ZERO, "the list was read");
        stop.cancel();
        running.await.unwrap();
    }
}
