//! Sessions which the provider confirmed since the sign-in, and the grants to ask it with.
//!
//! [`ValidatedSessions`] is this replica's table, which requests read without a lock: a session's
//! cookie has the identity of its last sealing, which a client in a meeting does not renew.
//! [`GrantVault`] keeps the refresh tokens in the store that replicas share.

mod vault;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use model::{clock::Timestamp, identity::Identity, session::SessionId};
use tokio::sync::watch;

pub use self::vault::{GrantVault, REDEMPTION_TIMEOUT, StoredGrant};
use crate::striped_map::StripedMap;

/// The identities of revalidated sessions. Readers take no locks.
#[derive(Debug)]
pub struct ValidatedSessions {
    table: StripedMap<Arc<str>, Arc<Validation>>,
    changed: watch::Sender<()>,
}

/// The provider's latest answer about a session.
#[derive(Debug)]
pub struct Validation {
    /// The identity by the claims of then.
    pub identity: Identity,
    /// When the provider confirmed it.
    pub at: Timestamp,
    /// When the session ends at the latest.
    pub ends: Timestamp,
    /// The last request that was reported, in seconds since 1970.
    reported: AtomicU64,
}

// === impl ValidatedSessions ===

impl ValidatedSessions {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self {
            table: StripedMap::new(STRIPES),
            changed: watch::Sender::new(()),
        }
    }

    /// The latest answer about a session; `None` if this replica has none.
    pub fn get(&self, id: &SessionId) -> Option<Arc<Validation>> {
        if self.table.is_empty() {
            return None;
        }
        self.table.get(id.as_str())
    }

    /// Notes a validation unless a later one is known; notifies watchers if the identity is news.
    /// Also removes the entries of ended sessions from the written stripe.
    pub fn insert(&self, id: &SessionId, validation: Validation, now: Timestamp) {
        let news = self.put(id, validation, now);
        if news {
            self.changed.send_replace(());
        }
    }

    /// Notes the validation of a sign-in, which no connection precedes.
    pub fn begin(&self, id: &SessionId, validation: Validation, now: Timestamp) {
        self.put(id, validation, now);
    }

    /// Subscribes to changed identities.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn put(&self, id: &SessionId, validation: Validation, now: Timestamp) -> bool {
        let mut news = false;
        let entry = (Arc::from(id.as_str()), Arc::new(validation));
        self.table.update([entry], |stripe, id, validation| {
            let known = stripe.entries().get(&id);
            if known.is_some_and(|known| validation.at < known.at) {
                return;
            }
            news = known.is_none_or(|known| known.identity != validation.identity);
            if !stripe.is_copied() {
                stripe.retain(|_, known| now < known.ends);
            }
            stripe.insert(id, validation);
        });
        news
    }
}

impl Default for ValidatedSessions {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Validation ===

impl Validation {
    /// A validation whose session has made no request yet.
    pub fn new(identity: Identity, at: Timestamp, ends: Timestamp) -> Self {
        Self {
            identity,
            at,
            ends,
            reported: AtomicU64::new(0),
        }
    }

    /// Whether a request is to be reported: most requests of a page come within a second.
    pub fn is_report_due(&self, now: Timestamp) -> bool {
        let last = self.reported.load(Ordering::Relaxed);
        if now.as_unix() < last.saturating_add(REPORT_SECONDS) {
            return false;
        }
        self.reported.store(now.as_unix(), Ordering::Relaxed);
        true
    }
}

/// With ten thousand sessions, a write copies about forty.
const STRIPES: usize = 256;

/// Short compared with the shortest interval of revalidation.
const REPORT_SECONDS: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn person(group: &str) -> Identity {
        Identity {
            subject: "ann".to_owned(),
            groups: vec![group.to_owned()],
            ..Identity::default()
        }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix(second)
    }

    #[test]
    fn watchers_learn_of_a_changed_identity_only() {
        let sessions = ValidatedSessions::new();
        let id = SessionId::from("one");
        let mut watch = sessions.watch();
        sessions.begin(&id, Validation::new(person("staff"), at(1), at(100)), at(1));
        assert!(!watch.has_changed().unwrap());
        sessions.insert(&id, Validation::new(person("staff"), at(2), at(100)), at(2));
        assert!(!watch.has_changed().unwrap(), "the same identity");
        sessions.insert(&id, Validation::new(person("other"), at(3), at(100)), at(3));
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        // A message that came late.
        sessions.insert(&id, Validation::new(person("staff"), at(2), at(100)), at(3));
        assert!(!watch.has_changed().unwrap());
        assert_eq!(sessions.get(&id).unwrap().identity, person("other"));
    }

    #[test]
    fn ended_sessions_do_not_accumulate() {
        let sessions = ValidatedSessions::new();
        for second in 0..100_000 {
            let id = SessionId::from(&*format!("session {second}"));
            let validation = Validation::new(person("staff"), at(second), at(second + 60));
            sessions.insert(&id, validation, at(second));
        }
        // A stripe is swept when it is written.
        assert!(
            sessions.table.len() < 60 + 8 * STRIPES,
            "{}",
            sessions.table.len()
        );
    }
}
