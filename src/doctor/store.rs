//! The store: connected to and written to, as a replica does when it starts.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Check, Finding, Report, Watch};
use crate::{
    metrics::StoreMetrics,
    random::Random,
    store::{self, Settings, State},
};

/// Connects, writes, and lets go.
pub(super) async fn examine(
    settings: &Settings,
    watch: &Watch<'_>,
    random: &Random,
    report: &mut Report,
) {
    if !watch.begins(Check::R1) {
        return;
    }
    let Settings::Redis(redis) = settings else {
        report.skip(&[Check::R1], "the store is the process's own memory");
        return;
    };
    let store = match store::open(settings, StoreMetrics::default(), random.clone()) {
        Ok(store) => store,
        Err(error) => {
            report.find(unusable(&error.to_string()));
            return;
        }
    };
    let untried = store.state();
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&store).run(stop.clone()));
    let patience = redis.connect_timeout + redis.timeout * 2;
    // The first attempt settles it; a store tells nobody that one failed.
    let settled = tokio::time::timeout(patience, async {
        while store.state() == untried {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let _ = settled.await;
    let state = store.state();
    stop.cancel();
    running.abort();
    let result = match &state {
        State::Ready | State::Memory => Ok(()),
        State::Unreachable { reason } => Err(unusable(reason)),
    };
    report.settle(Check::R1, result);
}

/// The store's own words are an address and what is wrong, a colon, and a remedy.
fn unusable(reason: &str) -> Finding {
    let (got, remedy) = reason
        .rsplit_once(": ")
        .unwrap_or((reason, "look at store.url"));
    let what = if got.contains("password") {
        "password"
    } else if ["refuses connections", "be reached", "in time", "closed the"]
        .iter()
        .any(|part| got.contains(part))
    {
        "unreached"
    } else {
        "unusable"
    };
    Finding::error(Check::R1, what)
        .saw("a connection and a write to the store", got)
        .so(
            "replicas do not hear of each other's sign-outs, and links with a limited number of \
             uses do not work",
            remedy,
        )
}

/// Often against the time that connecting takes.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart() {
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
            assert_eq!(finding.id, expected);
            assert!(finding.got.starts_with("redis:6379 ") && !finding.remedy.contains(':'));
        }
    }
}
