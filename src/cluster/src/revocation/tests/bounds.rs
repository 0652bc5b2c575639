//! The number of revocations is bounded, and nothing that was revoked becomes valid at the bound.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    replication::testing::run_until_idle,
    revocation::census::{MAX_OF_CLASS, MAX_OF_PERSON},
    store::{MemoryStore, Store},
};

fn guest(clock: &Clock) -> Principal {
    session(clock, "", "")
}

#[test]
fn one_person_who_signs_in_and_out_again_and_again_takes_a_bounded_place() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let other = session(&clock, "2", "y");
    let mut over = Vec::new();
    for _ in 0..300 {
        let session = session(&clock, "1", "x");
        drop(revocations.revoke(signed_out(&session)));
        over.push(session);
        clock_control.advance(Duration::from_secs(1));
        assert!(revocations.table.records().len() <= MAX_OF_PERSON + 1);
    }
    let revoked = over.iter().filter(|session| revocations.contains(session));
    assert_eq!(revoked.count(), 300);
    assert!(!revocations.contains(&other), "another person");
    let later = session(&clock, "1", "x");
    assert!(!revocations.contains(&later), "a later sign-in");
}

#[test]
fn logout_tokens_about_one_person_take_a_bounded_place() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let other = session(&clock, "2", "sid 7");
    let mut over = Vec::new();
    for n in 0..300 {
        let sid = format!("sid {n}");
        over.push(session(&clock, "1", &sid));
        drop(revocations.revoke(Selector::ProviderSession {
            sid,
            subject: Some("1".to_owned()),
        }));
        clock_control.advance(Duration::from_secs(1));
        assert!(revocations.table.records().len() <= MAX_OF_PERSON + 1);
    }
    assert!(over.iter().all(|session| revocations.contains(session)));
    assert!(!revocations.contains(&session(&clock, "1", "sid 0")));
    // A `sid` that was replaced does not end the sessions of others.
    clock_control.advance(Duration::from_secs(1));
    assert!(revocations.contains(&over[0]) && !revocations.contains(&other));
}

#[test]
fn guests_who_come_and_go_take_a_bounded_place_and_end_no_members_session() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let member = session(&clock, "1", "x");
    let first = guest(&clock);
    drop(revocations.revoke(signed_out(&first)));
    for n in 0..150 {
        let began = clock.event_time();
        let guests = (0..MAX_OF_CLASS / 100).map(|m| EndedSession {
            id: SessionId::from(&*format!("guest {n} {m}")),
            owner: String::new(),
            began,
        });
        let records = guests.map(|guest| Record::of(Selector::Session(guest), began));
        revocations.insert(records);
        clock_control.advance(Duration::from_secs(1));
    }
    assert!(revocations.table.records().len() <= MAX_OF_CLASS + 1);
    assert!(revocations.contains(&first));
    assert!(!revocations.contains(&member));
    clock_control.advance(Duration::from_secs(1));
    assert!(!revocations.contains(&guest(&clock)), "a later guest");
}

#[test]
fn a_link_too_many_is_refused() {
    let (clock, _) = clock();
    let revocations = local(&clock);
    let all = (0..MAX_OF_KIND).map(|n| Record::of(link(&n.to_string()), clock.event_time()));
    revocations.insert(all);
    let receipt = revocations.revoke(link("one more"));
    let outcome = futures_util::FutureExt::now_or_never(receipt.outcome());
    assert_eq!(
        outcome,
        Some(Preservation::Volatile(PreservationError::Full))
    );
    assert!(revocations.is_link_revoked("0") && !revocations.is_link_revoked("one more"));
    // What is revoked already is no more.
    drop(revocations.revoke(link("0")));
}

#[tokio::test(start_paused = true)]
async fn the_same_revocation_again_and_again_is_one_record_in_the_store() {
    let (clock, clock_control) = clock();
    let store = Arc::new(MemoryStore::new());
    let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    tokio::spawn(sync.run(shared, CancellationToken::new()));
    let session = session(&clock, "1", "x");
    let selectors = [
        signed_out(&session),
        provider_session("x"),
        Selector::ProviderSubject("1".to_owned()),
        Selector::SubjectWithoutSession("1".to_owned()),
        Selector::Operator("1".to_owned()),
        Selector::Invalidated(session.id().clone()),
        link("l"),
    ];
    for _ in 0..100 {
        for selector in &selectors {
            drop(revocations.revoke(selector.clone()));
        }
        clock_control.advance(Duration::from_secs(1));
        run_until_idle().await;
    }
    let listed = store.list_members("revoked").await.unwrap();
    assert_eq!(listed.len(), selectors.len(), "{listed:?}");
    assert_eq!(revocations.table.records().len(), selectors.len());
}

#[tokio::test(start_paused = true)]
async fn what_a_coarser_revocation_replaces_is_removed_from_the_store() {
    let (clock, clock_control) = clock();
    let store = Arc::new(MemoryStore::new());
    let replica = || {
        let (revocations, sync) = Revocations::new(Duration::from_hours(24), clock.clone());
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        tokio::spawn(sync.run(shared, CancellationToken::new()));
        revocations
    };
    let (a, b) = (replica(), replica());
    run_until_idle().await;
    let mut over = Vec::new();
    for _ in 0..200 {
        let session = session(&clock, "1", "x");
        let outcome = a.revoke(signed_out(&session)).outcome().await;
        assert_eq!(outcome, Preservation::ProcessOnly);
        over.push(session);
        clock_control.advance(Duration::from_secs(1));
    }
    run_until_idle().await;
    let listed = store.list_members("revoked").await.unwrap().len();
    assert!(listed <= MAX_OF_PERSON + 1, "{listed} in the store");
    let later = replica();
    run_until_idle().await;
    for (name, replica) in [("a", &a), ("b", &b), ("later", &later)] {
        let revoked = over.iter().filter(|session| replica.contains(session));
        assert_eq!(revoked.count(), 200, "{name}");
        let kept = replica.table.records().len();
        assert!(kept <= MAX_OF_PERSON + 1, "{kept} at {name}");
    }
}
