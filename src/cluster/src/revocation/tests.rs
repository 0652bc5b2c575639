use tokio::time::{advance, sleep};

use super::*;
use crate::store::{
    Memory, Note, Topic,
    testing::{Server, until, until_within},
};
use model::{
    clock::ClockControl,
    identity::{Identity, VerifiedIdentity},
    random::Random,
    seal::Keyring,
    session::{Principal, SessionCodec, SessionSettings},
};

fn session(clock: &Clock, subject: &str, sid: &str) -> Principal {
    let settings = SessionSettings {
        idle: Duration::from_hours(1),
        absolute: Duration::from_hours(24),
    };
    let codec = SessionCodec::new(&Keyring::single([1; 32]), "o", settings, clock.clone());
    let who = Identity {
        subject: subject.to_owned(),
        ..Identity::default()
    };
    Principal::Member(codec.begin(
        VerifiedIdentity::by_provider(who),
        Some(sid.to_owned()),
        &Random::system(),
    ))
}

fn replica(clock: &Clock) -> Arc<Revocations> {
    Arc::new(Revocations::new(Duration::from_hours(24), clock.clone()))
}

fn clock() -> (Clock, ClockControl) {
    Clock::manual(Timestamp::from_unix(1_000_000))
}

fn link(id: &str) -> Selector {
    Selector::Link(id.to_owned())
}

/// Lets every task do what it can do now.
async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

#[test]
fn exactly_the_meant_sessions_end() {
    let (clock, hand) = clock();
    let revocations = replica(&clock);
    let (a, b, c) = (
        session(&clock, "1", "x"),
        session(&clock, "1", "y"),
        session(&clock, "2", "z"),
    );
    assert!(!revocations.contains(&a));
    revocations.revoke(Selector::Session(a.id().clone()));
    assert!(revocations.contains(&a) && !revocations.contains(&b));
    revocations.revoke(Selector::ProviderSession("y".to_owned()));
    assert!(revocations.contains(&b) && !revocations.contains(&c));
    revocations.revoke(Selector::ProviderSubject("2".to_owned()));
    assert!(revocations.contains(&c));
    hand.advance(Duration::from_secs(1));
    assert!(
        !revocations.contains(&session(&clock, "2", "w")),
        "signed in anew"
    );
}

#[test]
fn an_operator_ends_a_person_or_a_session() {
    let (clock, hand) = clock();
    let revocations = replica(&clock);
    let operator = |id: &str| revocations.revoke(Selector::Operator(id.to_owned()));
    let (a, b, c) = (
        session(&clock, "1", "x"),
        session(&clock, "1", "y"),
        session(&clock, "2", "z"),
    );
    operator(a.id().as_str());
    assert_eq!(revocations.cause(a.credentials()), Some(Cause::Operator));
    assert!(!revocations.contains(&b));
    operator("1");
    assert_eq!(revocations.cause(b.credentials()), Some(Cause::Operator));
    assert!(!revocations.contains(&c));
    hand.advance(Duration::from_secs(1));
    assert!(
        !revocations.contains(&session(&clock, "1", "w")),
        "signed in anew"
    );
}

#[test]
fn a_revoked_link_is_good_for_nobody_until_no_such_link_can_live() {
    let (clock, hand) = clock();
    let revocations = replica(&clock);
    revocations.revoke(link("l"));
    assert!(revocations.matches_link("l") && !revocations.matches_link("m"));
    hand.advance(Duration::from_hours(400 * 24 - 1));
    revocations.revoke(link("l2"));
    assert!(revocations.matches_link("l"));
}

#[test]
fn old_revocations_are_forgotten() {
    let (clock, hand) = clock();
    let revocations = replica(&clock);
    let everybody = || {
        for n in 0..100 {
            revocations.revoke(Selector::ProviderSubject(n.to_string()));
        }
    };
    everybody();
    hand.advance(Duration::from_hours(25));
    everybody();
    let records = revocations.entries.records();
    assert_eq!(records.len(), 100);
    assert!(records.iter().all(|record| record.at == clock.now()));
}

#[tokio::test]
async fn changes_wake_watchers() {
    let revocations = Revocations::new(Duration::from_hours(1), Clock::system());
    let mut watch = revocations.watch();
    revocations.revoke(Selector::ProviderSubject("1".to_owned()));
    watch.changed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn replicas_apply_each_others_revocations() {
    let (clock, _) = clock();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (a, b) = (replica(&clock), replica(&clock));
    let stop = CancellationToken::new();
    for each in [&a, &b] {
        tokio::spawn(Arc::clone(each).run(Arc::clone(&store), stop.clone()));
    }
    let who = session(&clock, "1", "x");
    settle().await;
    let mut watch = b.watch();
    a.revoke(Selector::Session(who.id().clone()));
    assert!(a.contains(&who), "here it is at once");
    watch.changed().await.unwrap();
    assert!(b.contains(&who));
    settle().await;
    assert!(!watch.has_changed().unwrap(), "one change is told once");
    // One that starts later reads it.
    let c = replica(&clock);
    tokio::spawn(Arc::clone(&c).run(Arc::clone(&store), stop.clone()));
    settle().await;
    assert!(c.contains(&who));
    assert_eq!(c.deaf_for(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_before_the_task_ran_is_shared() {
    let (clock, _) = clock();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let a = replica(&clock);
    a.revoke(link("early"));
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&a).run(Arc::clone(&store), stop.clone()));
    settle().await;
    assert_eq!(store.notes("revoked").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nonsense_in_the_store_is_ignored() {
    let (clock, _) = clock();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let notes = ["", "{}", "{\"v\":9}"].map(|text| Note {
        text: text.to_owned(),
        lifetime: Duration::from_hours(1),
    });
    store.note("revoked", &notes).await.unwrap();
    let a = replica(&clock);
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&a).run(Arc::clone(&store), stop.clone()));
    settle().await;
    for text in ["", "{}", "[{}]", "[1, \"x\"]"] {
        store.publish(Topic::Revocation, text).await.unwrap();
    }
    advance(Duration::from_secs(1)).await;
    settle().await;
    assert!(a.entries.is_empty());
    let record = Record::of(link("l"), clock.now());
    let text = Record::write_all(&[record]);
    store.publish(Topic::Revocation, &text).await.unwrap();
    settle().await;
    assert!(a.matches_link("l"), "and the task goes on");
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn revocations_flow_over_redis_and_are_exchanged_after_an_outage() {
    let mut server = Server::start(&[]);
    let stores = [server.store("", "n"), server.store("", "n")];
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let [a, b] = stores.each_ref().map(|connected| {
        let each = replica(&clock);
        let store = Arc::clone(&connected.store) as Arc<dyn Store>;
        tokio::spawn(Arc::clone(&each).run(store, stop.clone()));
        each
    });
    for connected in &stores {
        connected.until_ready().await;
    }
    until(|| a.deaf_for().or(b.deaf_for()).is_none().then_some(())).await;
    let began = tokio::time::Instant::now();
    a.revoke(link("one"));
    until(|| b.matches_link("one").then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1));

    server.kill().await;
    until(|| a.deaf_for().and(b.deaf_for())).await;
    a.revoke(link("by a"));
    b.revoke(link("by b"));
    assert!(a.matches_link("by a"));
    // It comes back with nothing in it.
    server.launch();
    until(|| (a.matches_link("by b") && b.matches_link("by a")).then_some(())).await;
    until(|| a.deaf_for().or(b.deaf_for()).is_none().then_some(())).await;
    let notes = stores[0].store.notes("revoked").await.unwrap();
    assert_eq!(notes.len(), 3, "{notes:?}");
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_hundred_thousand_revocations_are_shared() {
    let server = Server::start(&[]);
    let connected = server.store("", "n");
    connected.until_ready().await;
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let store = Arc::clone(&connected.store) as Arc<dyn Store>;
    let a = replica(&clock);
    for n in 0..100_000 {
        a.revoke(link(&n.to_string()));
    }
    tokio::spawn(Arc::clone(&a).run(Arc::clone(&store), stop.clone()));
    let b = replica(&clock);
    tokio::spawn(Arc::clone(&b).run(store, stop.clone()));
    // Counting them all is work, so it is done when the last ones are there.
    let there = |n: u32| b.matches_link(&n.to_string());
    let arrived = || (there(0) && there(99_999)).then_some(());
    until_within(Duration::from_mins(3), arrived).await;
    let all = || (b.entries.records().len() == 100_000).then_some(());
    until_within(Duration::from_mins(3), all).await;
}
