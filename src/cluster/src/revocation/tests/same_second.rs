//! The order of a sign-in and a revocation in one second, in the memory, on the disk and in the store.

use observe::metrics::JournalMetrics;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    journal::Journal,
    replication::testing::run_until_idle,
    store::{ListItem, MemoryStore, Store},
};

/// Milliseconds of the sign-in and of the revocation in one second, and whether the session ends.
const ORDERS: [(u64, u64, bool); 6] = [
    (0, 0, true),
    (0, 1, true),
    (1, 0, false),
    (400, 400, true),
    (400, 399, false),
    (998, 999, true),
];

/// The revocations that name a person or a session at the provider.
fn selectors() -> [(&'static str, Selector); 5] {
    let subject = || "1".to_owned();
    [
        ("everywhere", Selector::Person(subject())),
        ("operator", Selector::Operator(subject())),
        ("logout token, sub", Selector::ProviderSubject(subject())),
        (
            "logout token, no session",
            Selector::SubjectWithoutSession(subject()),
        ),
        ("logout token, sid", provider_session("x")),
    ]
}

/// The session of person 1 that begins now. [`Selector::SubjectWithoutSession`] is about sessions without a `sid`.
fn person(clock: &Clock, selector: &Selector) -> Principal {
    let codec = codec(clock);
    let who = Identity {
        subject: "1".to_owned(),
        ..Identity::default()
    };
    let sid = match selector {
        Selector::SubjectWithoutSession(_) => None,
        _ => Some("x".to_owned()),
    };
    let session = codec.begin(VerifiedIdentity::by_provider(who), sid, &Random::system());
    // As the cookie has it.
    Principal::Member(codec.open(&codec.seal(&session).unwrap()).unwrap())
}

#[test]
fn a_session_ends_if_it_began_no_later_than_the_revocation() {
    for (name, selector) in selectors() {
        for (began, revoked, ends) in ORDERS {
            let (clock, control) = clock();
            let revocations = local(&clock);
            let mut sign_in = None;
            for millisecond in 0..1000 {
                if millisecond == began {
                    sign_in = Some(person(&clock, &selector));
                }
                if millisecond == revoked {
                    drop(revocations.revoke(selector.clone()));
                }
                control.advance(Duration::from_millis(1));
            }
            assert_eq!(
                revocations.contains(&sign_in.unwrap()),
                ends,
                "{name}: sign-in at {began} ms, revocation at {revoked} ms"
            );
        }
    }
}

#[test]
fn a_repeated_revocation_of_the_same_second_counts() {
    for (name, selector) in selectors() {
        let (clock, control) = clock();
        let revocations = local(&clock);
        drop(revocations.revoke(selector.clone()));
        control.advance(Duration::from_millis(1));
        let session = person(&clock, &selector);
        assert!(!revocations.contains(&session), "{name}");
        control.advance(Duration::from_millis(1));
        drop(revocations.revoke(selector));
        assert!(revocations.contains(&session), "{name}");
    }
}

#[test]
fn a_session_that_began_while_a_logout_token_was_checked_goes_on() {
    let (clock, control) = clock();
    let revocations = local(&clock);
    let selector = Selector::ProviderSubject("1".to_owned());
    let before = person(&clock, &selector);
    let received = clock.event_time();
    control.advance(Duration::from_millis(1500));
    let meanwhile = person(&clock, &selector);
    drop(revocations.revoke_as_of(selector, received));
    assert!(revocations.contains(&before));
    assert!(!revocations.contains(&meanwhile));
}

#[tokio::test(start_paused = true)]
async fn the_order_is_kept_by_the_disk_and_by_the_store() {
    for (name, selector) in selectors() {
        let (clock, control) = clock();
        let directory = tempfile::tempdir().unwrap();
        let open = || Journal::open(directory.path(), JournalMetrics::default(), clock.clone());
        let store = Arc::new(MemoryStore::new());
        control.advance(Duration::from_millis(300));
        let before = person(&clock, &selector);
        {
            let (journal, content) = open().unwrap();
            let journal = Some((journal, &content));
            let day = Duration::from_hours(24);
            let (revocations, sync) = Revocations::with_journal(day, clock.clone(), journal);
            let shared = Arc::clone(&store) as Arc<dyn Store>;
            let stop = CancellationToken::new();
            let task = tokio::spawn(sync.run(shared, stop.clone()));
            drop(revocations.revoke(selector.clone()));
            stop.cancel();
            task.await.unwrap();
        }
        control.advance(Duration::from_millis(1));
        let after = person(&clock, &selector);
        let (journal, content) = open().unwrap();
        let restarted = Revocations::with_journal(
            Duration::from_hours(24),
            clock.clone(),
            Some((journal, &content)),
        );
        let (other, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        tokio::spawn(sync.run(shared, CancellationToken::new()));
        run_until_idle().await;
        for (place, revocations) in [("disk", &restarted.0), ("store", &other)] {
            assert!(revocations.contains(&before), "{name}, {place}");
            assert!(!revocations.contains(&after), "{name}, {place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_without_milliseconds_ends_the_sessions_of_its_second() {
    let (clock, control) = clock();
    let store = Arc::new(MemoryStore::new());
    let item = ListItem {
        text: r#"{"v":1,"kind":"person","id":"1","at":1000000}"#.to_owned(),
        lifetime: Duration::from_hours(1),
    };
    store.list_add("revoked", &[item]).await.unwrap();
    let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    tokio::spawn(sync.run(shared, CancellationToken::new()));
    run_until_idle().await;
    control.advance(Duration::from_millis(999));
    assert!(revocations.contains(&session(&clock, "1", "x")));
    control.advance(Duration::from_millis(1));
    assert!(!revocations.contains(&session(&clock, "1", "x")));
    let listed = store.list_members("revoked").await.unwrap();
    assert_eq!(listed.len(), 1, "not written anew: {listed:?}");
}
