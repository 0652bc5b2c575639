//! The store: connected to and written to, as a replica does when it starts; and what the replicas
//! say of themselves there.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Check, Finding, Report, Watch};
use cluster::{
    replica::{self, Announcement},
    store::{self, RedisSettings, Store, StoreDiagnostics, StoreSettings, StoreState},
};
use model::{
    clock::{Clock, Timestamp},
    random::Random,
};
use observe::metrics::StoreMetrics;

/// Connects, writes, reads, and lets go.
pub(super) async fn examine(
    settings: &StoreSettings,
    watch: &Watch<'_>,
    clock: &Clock,
    random: &Random,
    report: &mut Report,
) {
    if !watch.wants_any(STORE) {
        return;
    }
    let StoreSettings::Redis(redis) = settings else {
        report.skip(STORE, "the store is the process's own memory");
        return;
    };
    watch.begins(Check::R1);
    let store = match store::open(settings, StoreMetrics::default(), random.clone()) {
        Ok(store) => store,
        Err(error) => {
            report.find(unusable(&error.to_string()));
            report.skip(&[Check::R2], "R1 failed");
            return;
        }
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&store).run(stop.clone()));
    let result = match settled(&*store, redis).await {
        StoreState::Ready | StoreState::Memory => match store::diagnose(redis, random).await {
            Ok(look) => judged(&look, clock.now()),
            Err(reason) => Err(unusable(&reason)),
        },
        StoreState::Unreachable { reason } => Err(unusable(&reason)),
    };
    let usable = !matches!(&result, Err(own) if own.severity < super::Severity::Warning);
    report.settle(Check::R1, result);
    if !usable {
        report.skip(&[Check::R2], "R1 failed");
    } else if watch.begins(Check::R2) {
        match replica::list_announcements(&*store).await {
            Ok(replicas) if replicas.is_empty() => {
                report.skip(&[Check::R2], "no replica says that it runs");
            }
            Ok(replicas) => {
                report.settle(Check::R2, alike(&replicas));
            }
            Err(error) => report.skip(&[Check::R2], &error.to_string()),
        }
    }
    stop.cancel();
    running.abort();
}

/// The store's state once it has tried. The first attempt settles it; a store tells nobody that one
/// failed.
async fn settled(store: &dyn Store, settings: &RedisSettings) -> StoreState {
    let untried = store.state();
    let patience = settings.connect_timeout + settings.timeout * 2;
    let settling = tokio::time::timeout(patience, async {
        while store.state() == untried {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let _ = settling.await;
    store.state()
}

/// What the server is like.
fn judged(look: &StoreDiagnostics, now: Timestamp) -> Result<(), Finding> {
    let sent = "a connection to the store, and questions to it";
    if !look.delivers_messages {
        return Err(Finding::error(Check::R1, "deaf")
            .saw(sent, "what was published did not come back")
            .so(
                "replicas do not hear of each other's sign-outs",
                "let the user publish and subscribe (&gw:* +@pubsub in its ACL), and name the \
                 server itself in store.url, without a proxy that drops messages",
            ));
    }
    if let Some(version) = look.version.as_deref().filter(|version| is_old(version)) {
        return Err(Finding::error(Check::R1, "version")
            .saw(sent, format!("version {version}"))
            .so(
                "the server is older than 6.2, which the gateway needs",
                "update it, or use Valkey",
            ));
    }
    if let Some(policy) = look
        .eviction_policy
        .as_deref()
        .filter(|own| !KEEPING.contains(own))
    {
        return Err(Finding::warning(Check::R1, "eviction")
            .saw(sent, format!("maxmemory-policy {policy}"))
            .so(
                "when its memory is full, the server forgets whose session is over before it has \
                 ended by itself, so that somebody who was signed out is in again",
                "set maxmemory-policy noeviction (or volatile-ttl), or use a server of its own",
            ));
    }
    let off = look.now.map_or(Duration::ZERO, |theirs| {
        theirs.since(now).max(now.since(theirs))
    });
    if off > TOLERATED {
        return Err(Finding::warning(Check::R1, "clock")
            .saw(
                sent,
                format!("a clock that is {} s off ours", off.as_secs()),
            )
            .so(
                "entries end too early or too late: either this clock or the server's is wrong",
                "find out which of the two (date -u on both), and let both hosts follow NTP",
            ));
    }
    Ok(())
}

/// Whether a version is before 6.2; what is no version is not.
fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => false,
    }
}

/// Whether all replicas are of one kind; what matters most comes first.
fn alike(replicas: &[Announcement]) -> Result<(), Finding> {
    let sent = format!(
        "a look at what {} replicas say of themselves",
        replicas.len()
    );
    let several = |of: &dyn Fn(&Announcement) -> String| {
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for replica in replicas {
            *counted.entry(of(replica)).or_default() += 1;
        }
        let listed = counted
            .iter()
            .map(|(what, times)| format!("{times} × {what}"));
        (counted.len() > 1).then(|| listed.collect::<Vec<_>>().join(", "))
    };
    let keys = |keys: &[String]| {
        if keys.is_empty() {
            "none".to_owned()
        } else {
            keys.join(" ")
        }
    };
    if let Some(got) = several(&|own| keys(&own.cookie_keys)) {
        return Err(Finding::error(Check::R2, "cookie-keys").saw(sent, format!("key ids {got}")).so(
            "replicas seal cookies with different keys, so people are signed out whenever another \
             one answers",
            "mount the same file for session.key_file on all of them; for a rotation, add the new \
             key everywhere before it comes first",
        ));
    }
    if let Some(got) = several(&|own| keys(&own.signing_keys)) {
        return Err(Finding::error(Check::R2, "signing-keys")
            .saw(sent, format!("key ids {got}"))
            .so(
                "replicas sign with different keys, so Prosody refuses the tokens of some",
                "give all of them the same [[token.key]], and reload them (SIGHUP)",
            ));
    }
    if let Some(got) = several(&|own| own.ring.clone()) {
        return Err(Finding::error(Check::R2, "ring").saw(sent, format!("rings {got}")).so(
            "replicas send the same room to different places, so people do not meet",
            "give all of them the same [upstream] and shards, and restart those that are behind",
        ));
    }
    if let Some(got) = several(&|own| own.settings.clone()) {
        return Err(Finding::warning(Check::R2, "settings")
            .saw(sent, format!("configurations {got}"))
            .so(
                "replicas run with different configurations: a change has reached only some",
                "finish the roll-out (kubectl rollout status), or find what Argo CD or somebody \
                 changed by hand",
            ));
    }
    if let Some(got) = several(&|own| own.version.clone()) {
        return Err(Finding::warning(Check::R2, "version")
            .saw(sent, format!("versions {got}"))
            .so("replicas are of different releases", "finish the update"));
    }
    Ok(())
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

/// What is examined here.
pub(super) const STORE: &[Check] = &[Check::R1, Check::R2];

/// Policies by which what has to be remembered is not forgotten early; by the second, what ends
/// soonest goes first.
const KEEPING: [&str; 2] = ["noeviction", "volatile-ttl"];

/// Times are whole seconds, and answers take a while.
const TOLERATED: Duration = Duration::from_secs(5);

/// Often against the time that connecting takes.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Announcement);

    fn replica(change: impl FnOnce(&mut Announcement)) -> Announcement {
        let mut own = Announcement {
            version: "1.0.0".to_owned(),
            settings: "a".to_owned(),
            cookie_keys: vec!["k".to_owned()],
            ..Announcement::default()
        };
        change(&mut own);
        own
    }

    #[test]
    fn what_anybody_wrote_into_the_store_does_not_write_to_the_terminal() {
        let liar = replica(|own| own.version = "2\u{1b}]0;owned\u{7}\r\u{9b}2J".to_owned());
        let found = alike(&[replica(|_| {}), liar]).unwrap_err();
        assert!(!found.got.chars().any(char::is_control), "{:?}", found.got);
        assert!(found.got.contains("owned"), "{}", found.got);
    }

    #[test]
    fn replicas_that_differ_are_found() {
        let with = |change: fn(&mut Announcement)| {
            alike(&[replica(|_| {}), replica(change), replica(|_| {})])
                .err()
                .map(|own| (own.id, own.got.to_string()))
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(alike(&[replica(|_| {})]), Ok(()));
        let cases: [(Change, &str, &str); 5] = [
            (|own| own.cookie_keys.clear(), "R2.cookie-keys", "1 × none"),
            (
                |own| own.signing_keys.push("x".to_owned()),
                "R2.signing-keys",
                "2 × none",
            ),
            (|own| own.ring = "r".to_owned(), "R2.ring", "1 × r"),
            (|own| own.settings = "b".to_owned(), "R2.settings", "2 × a"),
            (
                |own| own.version = "2".to_owned(),
                "R2.version",
                "2 × 1.0.0",
            ),
        ];
        for (change, id, part) in cases {
            let (found, got) = with(change).unwrap();
            assert_eq!(found, id);
            assert!(got.contains(part), "{got}");
        }
    }

    #[test]
    fn servers_that_forget_or_are_old_are_found() {
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
            judged(&look, now).err().map(|own| own.id)
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
        // Who may not tell is believed.
        assert_eq!(id(|look| (look.version, look.now) = (None, None)), None);
    }

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
