//! Sessions that are over before their time: signed out, logged out at the provider, revoked by an
//! operator.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    clock::{Clock, Timestamp},
    session::{Session, SessionId},
};

/// Which sessions end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// This one session of ours.
    Session(SessionId),
    /// All that came from one session at the provider (its `sid`).
    ProviderSession(String),
    /// All that a person has now, by the provider's `sub`; one begun later is not meant.
    ProviderSubject(String),
}

/// What is revoked. Readers take a snapshot and wait for nobody.
#[derive(Debug)]
pub struct Revocations {
    list: ArcSwap<HashMap<Selector, Revoked>>,
    writing: Mutex<()>,
    changed: watch::Sender<()>,
    clock: Clock,
    /// No session lives longer, so no revocation has to be remembered longer.
    longest_session: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Revoked {
    at: Timestamp,
}

// === impl Revocations ===

impl Revocations {
    /// Nothing revoked yet.
    pub fn new(longest_session: Duration, clock: Clock) -> Self {
        Self {
            list: ArcSwap::default(),
            writing: Mutex::new(()),
            changed: watch::Sender::new(()),
            clock,
            longest_session,
        }
    }

    /// Ends sessions from now on, and wakes whoever holds their sockets.
    pub fn revoke(&self, selector: Selector) {
        let now = self.clock.now();
        {
            let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut list = HashMap::clone(&self.list.load());
            list.retain(|_, revoked| now < revoked.at.after(self.longest_session));
            list.insert(selector, Revoked { at: now });
            self.list.store(Arc::new(list));
        }
        self.changed.send_replace(());
    }

    /// Whether a session was revoked.
    pub fn contains(&self, session: &Session) -> bool {
        let list = self.list.load();
        if list.is_empty() {
            return false;
        }
        let by_provider = || {
            session
                .provider_session()
                .is_some_and(|sid| list.contains_key(&Selector::ProviderSession(sid.to_owned())))
        };
        let by_subject = || {
            list.get(&Selector::ProviderSubject(
                session.identity().provider_subject().to_owned(),
            ))
            .is_some_and(|revoked| session.began() <= revoked.at)
        };
        list.contains_key(&Selector::Session(session.id().clone())) || by_provider() || by_subject()
    }

    /// Is told of every change.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Identity, Verified},
        random::Random,
        seal::Keyring,
        session::{SessionCodec, Settings},
    };

    fn session(clock: &Clock, subject: &str, sid: &str) -> Session {
        let settings = Settings {
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(24),
        };
        let codec = SessionCodec::new(&Keyring::of([1; 32]), "o", settings, clock.clone());
        let who = Identity {
            subject: subject.to_owned(),
            ..Identity::default()
        };
        codec.begin(
            Verified::by_provider(who),
            Some(sid.to_owned()),
            &Random::system(),
        )
    }

    #[test]
    fn exactly_the_meant_sessions_end() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1000));
        let revocations = Revocations::new(Duration::from_hours(24), clock.clone());
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
    fn old_revocations_are_forgotten() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(1000));
        let revocations = Revocations::new(Duration::from_hours(24), clock);
        for n in 0..100 {
            revocations.revoke(Selector::ProviderSubject(n.to_string()));
        }
        hand.advance(Duration::from_hours(25));
        revocations.revoke(Selector::ProviderSubject("last".to_owned()));
        assert_eq!(revocations.list.load().len(), 1);
    }

    #[tokio::test]
    async fn changes_wake_watchers() {
        let revocations = Revocations::new(Duration::from_hours(1), Clock::system());
        let mut watch = revocations.watch();
        revocations.revoke(Selector::ProviderSubject("1".to_owned()));
        watch.changed().await.unwrap();
    }
}
