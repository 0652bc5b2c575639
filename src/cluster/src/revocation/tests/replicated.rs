//! Several replicas over one store.

use std::path::Path;

use observe::metrics::JournalMetrics;
use tokio::{task::JoinHandle, time::advance};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    replication::testing::{ErrorLog, run_until_idle},
    store::{
        ListItem, Store, StoreError, StoreState, Topic,
        testing::{FaultyStore, RedisServer, until, until_within},
    },
};

/// Revocations whose task runs.
struct Replica {
    revocations: Arc<Revocations>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    fn start(store: &Arc<impl Store + 'static>, clock: &Clock) -> Self {
        let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
        Self::run(revocations, sync, store)
    }

    fn run(
        revocations: Arc<Revocations>,
        sync: RevocationSync,
        store: &Arc<impl Store + 'static>,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(sync.run(Arc::clone(store) as _, stop.clone()));
        Self {
            revocations,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn listed(store: &FaultyStore) -> usize {
    store.content().list_members("revoked").await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_revocation_reaches_running_and_later_replicas() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let (a, b) = (
        Replica::start(&store, &clock),
        Replica::start(&store, &clock),
    );
    let session = session(&clock, "1", "x");
    run_until_idle().await;
    let mut watch = b.revocations.watch();
    drop(a.revocations.revoke(signed_out(&session)));
    assert!(a.revocations.contains(&session), "at once on this replica");
    watch.changed().await.unwrap();
    assert!(b.revocations.contains(&session));
    run_until_idle().await;
    assert!(!watch.has_changed().unwrap(), "one notification per change");
    let later = Replica::start(&store, &clock);
    run_until_idle().await;
    assert!(later.revocations.contains(&session));
}

#[tokio::test(start_paused = true)]
async fn a_revocation_before_the_task_runs_is_shared() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock);
    drop(revocations.revoke(link("early")));
    let _replica = Replica::run(revocations, sync, &store);
    run_until_idle().await;
    assert_eq!(listed(&store).await, 1);
}

#[tokio::test(start_paused = true)]
async fn revocations_of_an_outage_are_exchanged_after_it() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let (a, b) = (
        Replica::start(&store, &clock),
        Replica::start(&store, &clock),
    );
    run_until_idle().await;
    store.disconnect();
    drop(a.revocations.revoke(link("by a")));
    drop(b.revocations.revoke(link("by b")));
    run_until_idle().await;
    assert!(!b.revocations.is_link_revoked("by a"));
    store.reconnect();
    run_until_idle().await;
    assert!(a.revocations.is_link_revoked("by b") && b.revocations.is_link_revoked("by a"));
    assert_eq!(listed(&store).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_connected_store_that_fails_is_retried_every_five_seconds() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    store.time_out();
    drop(a.revocations.revoke(link("l")));
    run_until_idle().await;
    let before = store.operations();
    for _ in 0..600 {
        advance(Duration::from_millis(100)).await;
        run_until_idle().await;
    }
    let retries = store.operations() - before;
    assert!((10..=20).contains(&retries), "{retries}");
    store.recover();
    advance(Duration::from_secs(6)).await;
    run_until_idle().await;
    assert_eq!(listed(&store).await, 1);
}

#[tokio::test(start_paused = true)]
async fn revocations_that_are_queued_at_stop_are_delivered() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    store.stall();
    drop(a.revocations.revoke(link("in flight")));
    run_until_idle().await;
    drop(a.revocations.revoke(link("queued")));
    let stopping = tokio::spawn(a.stop());
    run_until_idle().await;
    store.recover();
    stopping.await.unwrap();
    assert_eq!(listed(&store).await, 2);
}

#[tokio::test(start_paused = true)]
async fn revocations_that_the_store_refused_before_are_delivered_at_stop() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    store.time_out();
    drop(a.revocations.revoke(link("refused")));
    run_until_idle().await;
    store.recover();
    a.stop().await;
    assert_eq!(listed(&store).await, 1);
}

#[tokio::test(start_paused = true)]
async fn undelivered_revocations_are_logged_with_their_number_at_stop() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    store.disconnect();
    for n in 0..3 {
        drop(a.revocations.revoke(link(&n.to_string())));
    }
    let errors = ErrorLog::capture();
    a.stop().await;
    let lines = errors.lines();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(line.contains("topic=\"revocation\" changes=3"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn invalid_records_in_the_store_are_ignored() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let items = ["", "{}", "{\"v\":9}"].map(|text| ListItem {
        text: text.to_owned(),
        lifetime: Duration::from_hours(1),
    });
    store.list_add("revoked", &items).await.unwrap();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    for text in ["", "{}", "[{}]", "[1, \"x\"]"] {
        store.publish(Topic::Revocation, text).await.unwrap();
    }
    run_until_idle().await;
    assert!(a.revocations.table.is_empty());
    let record = Record::of(link("l"), clock.event_time());
    let text = Record::list_to_json(&[record]);
    store.publish(Topic::Revocation, &text).await.unwrap();
    run_until_idle().await;
    assert!(a.revocations.is_link_revoked("l"), "the task still runs");
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn revocations_flow_over_redis_and_are_exchanged_after_an_outage() {
    let mut server = RedisServer::start(&[]);
    let stores = [server.store("", "n"), server.store("", "n")];
    let clock = Clock::system();
    for connected in &stores {
        connected.until_ready().await;
    }
    let replicas = stores
        .each_ref()
        .map(|connected| Replica::start(&connected.store, &clock));
    let [a, b] = replicas.each_ref().map(|replica| &replica.revocations);
    // Both have subscribed if a revocation arrives within the second.
    drop(a.revoke(link("first")));
    until(|| b.is_link_revoked("first").then_some(())).await;
    let began = tokio::time::Instant::now();
    drop(a.revoke(link("second")));
    until(|| b.is_link_revoked("second").then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1));

    server.kill().await;
    for connected in &stores {
        connected.until(|state| *state != StoreState::Ready).await;
    }
    drop(a.revoke(link("by a")));
    drop(b.revoke(link("by b")));
    assert!(a.is_link_revoked("by a"));
    // The restarted server is empty.
    server.launch();
    until(|| (a.is_link_revoked("by b") && b.is_link_revoked("by a")).then_some(())).await;
    let [a, b] = replicas;
    a.stop().await;
    b.stop().await;
    let listed = stores[0].store.list_members("revoked").await.unwrap();
    assert_eq!(listed.len(), 4, "{listed:?}");
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn as_many_revocations_as_are_kept_are_shared() {
    let server = RedisServer::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    let clock = Clock::system();
    let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
    for n in 0..50_000 {
        drop(revocations.revoke(link(&n.to_string())));
    }
    let _a = Replica::run(revocations, sync, &connected.store);
    let b = Replica::start(&connected.store, &clock);
    // Counting all records is slow, so it starts when the first and the last have arrived.
    let is_there = |n: u32| b.revocations.is_link_revoked(&n.to_string());
    let arrived = || (is_there(0) && is_there(49_999)).then_some(());
    until_within(Duration::from_mins(3), arrived).await;
    let all = || (b.revocations.table.records().len() == 50_000).then_some(());
    until_within(Duration::from_mins(3), all).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_list_gets_it_again_when_a_replica_starts() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    drop(a.revocations.revoke(link("l")));
    run_until_idle().await;
    // `FLUSHALL`: no connection is lost.
    let texts = store.content().list_members("revoked").await.unwrap();
    store
        .content()
        .list_remove("revoked", &texts)
        .await
        .unwrap();
    let b = Replica::start(&store, &clock);
    run_until_idle().await;
    assert!(b.revocations.is_link_revoked("l"));
    assert_eq!(listed(&store).await, 1);
    // Nobody asks for ever.
    let operations = store.operations();
    run_until_idle().await;
    assert_eq!(store.operations(), operations);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_says_whether_the_store_has_the_revocation() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let a = Replica::start(&store, &clock);
    run_until_idle().await;
    let volatile = |error: StoreError| Preservation::Volatile(error.into());
    store.time_out();
    let outcome = a.revocations.revoke(link("1")).outcome().await;
    assert_eq!(outcome, volatile(StoreError::Timeout));
    store.recover();
    store.disconnect();
    let outcome = a.revocations.revoke(link("2")).outcome().await;
    assert!(outcome.is_volatile(), "{outcome:?}");
    store.reconnect();
    run_until_idle().await;
    let outcome = a.revocations.revoke(link("2")).outcome().await;
    assert_eq!(outcome, Preservation::Kept, "the next attempt");
    store.stall();
    let receipt = a.revocations.revoke(link("3"));
    let began = tokio::time::Instant::now();
    assert_eq!(receipt.outcome().await, volatile(StoreError::Timeout));
    assert!(began.elapsed() < Duration::from_secs(4), "a bounded time");
    a.stop().await;
}

/// A replica that starts with the journal in a directory.
fn start_on(directory: &Path, store: &Arc<FaultyStore>, clock: &Clock) -> Replica {
    let opened = Journal::open(directory, JournalMetrics::default(), clock.clone());
    let (journal, content) = opened.unwrap();
    let journal = Some((journal, &content));
    let longest = Duration::from_hours(24);
    let (revocations, sync) = Revocations::with_journal(longest, clock.clone(), journal);
    Replica::run(revocations, sync, store)
}

#[tokio::test]
async fn the_journal_keeps_what_a_stopped_store_did_not_take() {
    let (clock, _) = clock();
    let store = FaultyStore::new();
    let directory = tempfile::tempdir().unwrap();
    let a = start_on(directory.path(), &store, &clock);
    let b = Replica::start(&store, &clock);
    run_until_idle().await;
    drop(b.revocations.revoke(link("of b")));
    until(|| a.revocations.is_link_revoked("of b").then_some(())).await;
    store.disconnect();
    let outcome = a.revocations.revoke(link("in the outage")).outcome().await;
    assert!(matches!(outcome, Preservation::Unshared(_)), "{outcome:?}");
    a.stop().await;
    // Both are there before anything is read from the store.
    let a = start_on(directory.path(), &store, &clock);
    for id in ["of b", "in the outage"] {
        assert!(a.revocations.is_link_revoked(id), "{id}");
    }
    store.reconnect();
    until(|| b.revocations.is_link_revoked("in the outage").then_some(())).await;
}
