//! Evaluates the diagnostics of the store's server.

use std::time::Duration;

use cluster::store::StoreDiagnostics;
use model::clock::Timestamp;

use crate::{Finding, FindingKind};

/// Evaluates the diagnostics of the server; `now` is the local time.
pub(super) fn evaluate(diagnostics: &StoreDiagnostics, now: Timestamp) -> Result<(), Finding> {
    let sent = "a connection to the store, and queries";
    if !diagnostics.delivers_messages {
        return Err(Finding::error(FindingKind::StorePubSub)
            .with_exchange(sent, "a published message did not arrive")
            .with_remedy(
                "replicas do not learn of logouts at other replicas",
                "allow the user to publish and subscribe (&gw:* +@pubsub in its ACL), and set \
                 store.url to the server itself, without a proxy that drops messages",
            ));
    }
    if let Some(version) = diagnostics
        .version
        .as_deref()
        .filter(|version| is_old(version))
    {
        return Err(Finding::error(FindingKind::StoreVersion)
            .with_exchange(sent, format!("version {version}"))
            .with_remedy(
                "the server is older than 6.2, the oldest supported version",
                "update it, or use Valkey",
            ));
    }
    if let Some(policy) = diagnostics
        .eviction_policy
        .as_deref()
        .filter(|policy| !SAFE_POLICIES.contains(policy))
    {
        return Err(Finding::warning(FindingKind::StoreEviction)
            .with_exchange(sent, format!("maxmemory-policy {policy}"))
            .with_remedy(
                "when its memory is full, the server evicts revocations too early, so that revoked \
                 sessions become valid again",
                "set maxmemory-policy noeviction (or volatile-ttl), or use a dedicated server",
            ));
    }
    let off = diagnostics.now.map_or(Duration::ZERO, |reported| {
        reported.since(now).max(now.since(reported))
    });
    if off > TOLERATED {
        return Err(Finding::warning(FindingKind::StoreClock)
            .with_exchange(sent, format!("a clock that differs by {} s", off.as_secs()))
            .with_remedy(
                "entries expire too early or too late: either this clock or the server's is wrong",
                "compare both (date -u), and let both hosts follow NTP",
            ));
    }
    Ok(())
}

/// Whether a version is before 6.2; unknown formats are not.
fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => false,
    }
}

/// Eviction policies that keep revocations; `volatile-ttl` evicts the entry that expires first.
const SAFE_POLICIES: [&str; 2] = ["noeviction", "volatile-ttl"];

/// The reported time has whole seconds, and responses take some time.
const TOLERATED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_evicting_policies_and_wrong_clocks_are_findings() {
        let now = Timestamp::from_unix(1000);
        let good = StoreDiagnostics {
            version: Some("7.0.15".to_owned()),
            delivers_messages: true,
            now: Some(now),
            ..StoreDiagnostics::default()
        };
        let id = |change: fn(&mut StoreDiagnostics)| {
            let mut diagnostics = good.clone();
            change(&mut diagnostics);
            evaluate(&diagnostics, now)
                .err()
                .map(|finding| finding.id())
        };
        assert_eq!(id(|_| {}), None);
        assert_eq!(
            id(|diagnostics| diagnostics.eviction_policy = Some("volatile-ttl".into())),
            None
        );
        for (change, expected) in [
            (
                (|diagnostics| diagnostics.eviction_policy = Some("allkeys-lru".into()))
                    as fn(&mut StoreDiagnostics),
                "R1.eviction",
            ),
            (
                |diagnostics| diagnostics.eviction_policy = Some("volatile-lru".into()),
                "R1.eviction",
            ),
            (
                |diagnostics| diagnostics.version = Some("6.0.16".into()),
                "R1.version",
            ),
            (
                |diagnostics| diagnostics.delivers_messages = false,
                "R1.deaf",
            ),
            (
                |diagnostics| diagnostics.now = Some(Timestamp::from_unix(900)),
                "R1.clock",
            ),
            (
                |diagnostics| diagnostics.now = Some(Timestamp::from_unix(1100)),
                "R1.clock",
            ),
        ] {
            assert_eq!(id(change).as_deref(), Some(expected));
        }
        // Servers may refuse to report version and time.
        assert_eq!(
            id(|diagnostics| (diagnostics.version, diagnostics.now) = (None, None)),
            None
        );
    }
}
