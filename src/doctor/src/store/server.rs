//! Evaluates what the store's server reports of itself.

use std::time::Duration;

use cluster::store::StoreDiagnostics;
use model::clock::Timestamp;

use crate::{Finding, FindingKind};

/// Evaluates what the server reports of itself; `now` is the local time.
pub(super) fn evaluate(look: &StoreDiagnostics, now: Timestamp) -> Result<(), Finding> {
    let sent = "a connection to the store, and queries";
    if !look.delivers_messages {
        return Err(Finding::error(FindingKind::StorePubSub)
            .with_exchange(sent, "a published message did not arrive")
            .with_remedy(
                "replicas do not learn of logouts at other replicas",
                "allow the user to publish and subscribe (&gw:* +@pubsub in its ACL), and set \
                 store.url to the server itself, without a proxy that drops messages",
            ));
    }
    if let Some(version) = look.version.as_deref().filter(|version| is_old(version)) {
        return Err(Finding::error(FindingKind::StoreVersion)
            .with_exchange(sent, format!("version {version}"))
            .with_remedy(
                "the server is older than 6.2, the oldest supported version",
                "update it, or use Valkey",
            ));
    }
    if let Some(policy) = look
        .eviction_policy
        .as_deref()
        .filter(|own| !SAFE_POLICIES.contains(own))
    {
        return Err(Finding::warning(FindingKind::StoreEviction)
            .with_exchange(sent, format!("maxmemory-policy {policy}"))
            .with_remedy(
                "when its memory is full, the server evicts revocations too early, so that revoked \
                 sessions become valid again",
                "set maxmemory-policy noeviction (or volatile-ttl), or use a dedicated server",
            ));
    }
    let off = look.now.map_or(Duration::ZERO, |theirs| {
        theirs.since(now).max(now.since(theirs))
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

/// The time has whole seconds, and responses take a while.
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
            let mut look = good.clone();
            change(&mut look);
            evaluate(&look, now).err().map(|own| own.id())
        };
        assert_eq!(id(|_| {}), None);
        assert_eq!(
            id(|look| look.eviction_policy = Some("volatile-ttl".into())),
            None
        );
        for (change, expected) in [
            (
                (|look| look.eviction_policy = Some("allkeys-lru".into()))
                    as fn(&mut StoreDiagnostics),
                "R1.eviction",
            ),
            (
                |look| look.eviction_policy = Some("volatile-lru".into()),
                "R1.eviction",
            ),
            (|look| look.version = Some("6.0.16".into()), "R1.version"),
            (|look| look.delivers_messages = false, "R1.deaf"),
            (
                |look| look.now = Some(Timestamp::from_unix(900)),
                "R1.clock",
            ),
            (
                |look| look.now = Some(Timestamp::from_unix(1100)),
                "R1.clock",
            ),
        ] {
            assert_eq!(id(change).as_deref(), Some(expected));
        }
        // Servers may refuse to tell version and time.
        assert_eq!(id(|look| (look.version, look.now) = (None, None)), None);
    }
}
