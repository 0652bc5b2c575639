//! Checks of the store: a connection with reads and writes, like that of a replica, and the
//! announcements of replicas.

use std::{sync::Arc, time::Duration};

use cluster::{
    replica,
    store::{self, RedisSettings, Store, StoreSettings, StoreState},
};
use model::{clock::Clock, random::Random};
use observe::metrics::StoreMetrics;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Check, DoctorReport, Finding, FindingKind, Severity, options::Progress};

mod replicas;
mod server;

/// Runs the checks R1 and R2.
pub(super) async fn examine(
    settings: &StoreSettings,
    progress: &Progress<'_>,
    clock: &Clock,
    random: &Random,
    report: &mut DoctorReport,
) {
    let mut checks = Check::Store.with_dependents();
    if !checks.any(|check| progress.selection.has(check)) {
        return;
    }
    let StoreSettings::Redis(redis) = settings else {
        let checks = Check::Store.with_dependents();
        report.skip(checks, "the store is the process's own memory");
        return;
    };
    progress.begins(Check::Store);
    let store = match store::open(
        settings,
        None,
        StoreMetrics::default(),
        Clock::system(),
        random.clone(),
    ) {
        Ok(store) => store,
        Err(error) => {
            report.fail(unusable(&error.to_string()));
            report.skip_dependents(Check::Store);
            return;
        }
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&store).run(stop.clone()));
    let result = match first_state(&*store, redis).await {
        StoreState::Ready | StoreState::Memory => match store::diagnose(redis, random).await {
            Ok(diagnostics) => server::evaluate(&diagnostics, clock.now()),
            Err(reason) => Err(unusable(&reason)),
        },
        StoreState::Unreachable { reason } => Err(unusable(&reason)),
    };
    let usable = !matches!(&result, Err(finding) if finding.severity < Severity::Warning);
    report.record(Check::Store, result);
    if !usable {
        report.skip_dependents(Check::Store);
    } else if progress.begins(Check::Replicas) {
        match replica::list_announcements(&*store).await {
            Ok(replicas) if replicas.is_empty() => {
                report.skip([Check::Replicas], "no replica announces itself");
            }
            Ok(replicas) => {
                report.record(Check::Replicas, replicas::evaluate(&replicas));
            }
            Err(error) => report.skip([Check::Replicas], &error.to_string()),
        }
    }
    stop.cancel();
    running.abort();
}

/// The state after the first attempt to connect. A store does not notify of a failed attempt, so
/// this polls until the state changes or the attempt must have ended.
async fn first_state(store: &dyn Store, settings: &RedisSettings) -> StoreState {
    let initial = store.state();
    let limit = settings.connect_timeout + settings.timeout * 2;
    let changed = timeout(limit, async {
        while store.state() == initial {
            sleep(POLL_INTERVAL).await;
        }
    });
    let _ = changed.await;
    store.state()
}

/// The finding for a reason of the store: address and fault, a colon, and a remedy.
fn unusable(reason: &str) -> Finding {
    let (got, remedy) = reason
        .rsplit_once(": ")
        .unwrap_or((reason, "correct store.url"));
    let unreached = ["refuses connections", "be reached", "in time", "closed the"];
    let kind = if got.contains("password") {
        FindingKind::StorePassword
    } else if unreached.iter().any(|part| got.contains(part)) {
        FindingKind::StoreUnreached
    } else {
        FindingKind::StoreUnusable
    };
    Finding::error(kind)
        .with_exchange("a connection and a write to the store", got)
        .with_remedy(
            "replicas do not learn of logouts at other replicas, and links with a limited \
             number of uses do not work",
            remedy,
        )
}

/// Short compared with the time to connect.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_the_store_are_classified() {
        for (reason, expected) in [
            (
                "redis:6379 wants a password: write it into store.url",
                "R1.password",
            ),
            (
                "redis:6379 refuses connections: start the server",
                "R1.unreached",
            ),
            (
                "redis:6379 has no memory left: raise its maxmemory",
                "R1.unusable",
            ),
        ] {
            let finding = unusable(reason);
            assert_eq!(finding.id(), expected);
            assert!(finding.got.starts_with("redis:6379 ") && !finding.remedy.contains(':'));
        }
    }
}
