mod bounds;
mod replicated;
mod same_second;

use model::{
    clock::{ClockControl, Timestamp},
    identity::{Identity, VerifiedIdentity},
    random::Random,
    seal::Keyring,
    session::{Principal, SessionCodec, SessionSettings},
};

use super::*;

fn codec(clock: &Clock) -> SessionCodec {
    let settings = SessionSettings {
        idle: Duration::from_hours(1),
        absolute: Duration::from_hours(24),
    };
    SessionCodec::new(&Keyring::single([1; 32]), "o", settings, clock.clone())
}

fn session(clock: &Clock, subject: &str, sid: &str) -> Principal {
    let codec = codec(clock);
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

/// Revocations without replication.
fn local(clock: &Clock) -> Arc<Revocations> {
    Revocations::new(Duration::from_hours(24), clock.clone()).0
}

fn clock() -> (Clock, ClockControl) {
    Clock::manual(Timestamp::from_unix(1_000_000))
}

fn signed_out(principal: &Principal) -> Selector {
    Selector::Session(principal.credentials().next().unwrap().into())
}

fn provider_session(sid: &str) -> Selector {
    Selector::ProviderSession {
        sid: sid.to_owned(),
        subject: None,
    }
}

fn link(id: &str) -> Selector {
    Selector::Link(id.to_owned())
}

#[test]
fn a_selector_revokes_the_sessions_it_names_and_no_others() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let (a, b, c) = (
        session(&clock, "1", "x"),
        session(&clock, "1", "y"),
        session(&clock, "2", "z"),
    );
    assert!(!revocations.contains(&a));
    drop(revocations.revoke(signed_out(&a)));
    assert!(revocations.contains(&a) && !revocations.contains(&b));
    drop(revocations.revoke(provider_session("y")));
    assert!(revocations.contains(&b) && !revocations.contains(&c));
    drop(revocations.revoke(Selector::ProviderSubject("2".to_owned())));
    assert!(revocations.contains(&c));
    clock_control.advance(Duration::from_secs(1));
    assert!(
        !revocations.contains(&session(&clock, "2", "w")),
        "a later sign-in"
    );
}

#[test]
fn an_operator_revokes_a_session_or_all_sessions_of_a_person() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let operator = |id: &str| revocations.revoke(Selector::Operator(id.to_owned()));
    let (a, b, c) = (
        session(&clock, "1", "x"),
        session(&clock, "1", "y"),
        session(&clock, "2", "z"),
    );
    drop(operator(a.id().as_str()));
    assert_eq!(revocations.cause(a.credentials()), Some(Cause::Operator));
    assert!(!revocations.contains(&b));
    drop(operator("1"));
    assert_eq!(revocations.cause(b.credentials()), Some(Cause::Operator));
    assert!(!revocations.contains(&c));
    clock_control.advance(Duration::from_secs(1));
    assert!(
        !revocations.contains(&session(&clock, "1", "w")),
        "a later sign-in"
    );
}

#[test]
fn a_link_stays_revoked_until_it_would_have_expired() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    drop(revocations.revoke(link("l")));
    assert!(revocations.is_link_revoked("l") && !revocations.is_link_revoked("m"));
    clock_control.advance(Duration::from_hours(400 * 24 - 1));
    drop(revocations.revoke(link("l2")));
    assert!(revocations.is_link_revoked("l"));
}

#[test]
fn expired_revocations_are_dropped() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let revoke_all = || {
        for n in 0..100 {
            drop(revocations.revoke(Selector::ProviderSubject(n.to_string())));
        }
    };
    revoke_all();
    clock_control.advance(Duration::from_hours(25));
    revoke_all();
    let records = revocations.table.records();
    assert_eq!(records.len(), 100);
    assert!(records.iter().all(|record| record.at == clock.now()));
}

#[tokio::test]
async fn a_revocation_notifies_watchers() {
    let revocations = local(&Clock::system());
    let mut watch = revocations.watch();
    drop(revocations.revoke(Selector::ProviderSubject("1".to_owned())));
    watch.changed().await.unwrap();
}

#[test]
fn a_session_id_that_the_provider_uses_again_is_revoked_no_more() {
    let (clock, clock_control) = clock();
    let revocations = local(&clock);
    let before = session(&clock, "1", "x");
    drop(revocations.revoke(provider_session("x")));
    assert_eq!(
        revocations.cause(before.credentials()),
        Some(Cause::BackChannel)
    );
    clock_control.advance(Duration::from_secs(1));
    assert!(!revocations.contains(&session(&clock, "1", "x")));
    assert!(revocations.contains(&before));
}
