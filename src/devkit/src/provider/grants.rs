//! What the provider has given out: codes, access tokens, sessions.

use std::{collections::HashMap, time::Duration};

use model::clock::Timestamp;

/// Everything given out that is still good.
#[derive(Debug)]
pub(super) struct Grants {
    pub(super) codes: ExpiringMap<Code>,
    pub(super) tokens: ExpiringMap<Access>,
    pub(super) sessions: ExpiringMap<SsoSession>,
}

/// An authorization code: one use, by one client, for one redirect address.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) session: SsoSession,
}

/// What an access token is good for.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) account: String,
    pub(super) scope: String,
}

/// Somebody signed in at the provider.
#[derive(Clone, Debug)]
pub(super) struct SsoSession {
    pub(super) sid: String,
    pub(super) account: String,
    pub(super) began: Timestamp,
}

/// Values by unguessable names, each for a while. When it is full, the one that would end first
/// goes.
#[derive(Debug)]
pub(super) struct ExpiringMap<V> {
    lifetime: Duration,
    values: HashMap<String, (Timestamp, V)>,
}

// === impl Grants ===

impl Default for Grants {
    fn default() -> Self {
        Self {
            codes: ExpiringMap::new(CODE_LIFETIME),
            tokens: ExpiringMap::new(ACCESS_LIFETIME),
            sessions: ExpiringMap::new(SESSION_LIFETIME),
        }
    }
}

// === impl ExpiringMap ===

impl<V> ExpiringMap<V> {
    fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            values: HashMap::new(),
        }
    }

    pub(super) fn put(&mut self, name: String, value: V, now: Timestamp) {
        self.values.retain(|_, (ends, _)| now < *ends);
        if self.values.len() >= MAX_VALUES {
            let first = self.values.iter().min_by_key(|(_, (ends, _))| *ends);
            if let Some(first) = first.map(|(name, _)| name.clone()) {
                self.values.remove(&first);
            }
        }
        self.values.insert(name, (now.after(self.lifetime), value));
    }

    pub(super) fn find(&self, name: &str, now: Timestamp) -> Option<&V> {
        let (ends, value) = self.values.get(name)?;
        (now < *ends).then_some(value)
    }

    /// Hands a value out for the last time.
    pub(super) fn take(&mut self, name: &str, now: Timestamp) -> Option<V> {
        let (ends, value) = self.values.remove(name)?;
        (now < ends).then_some(value)
    }

    pub(super) fn remove_where(&mut self, fits: impl Fn(&V) -> bool) {
        self.values.retain(|_, (_, value)| !fits(value));
    }
}

/// A client exchanges its code at once; RFC 6749 § 4.1.2 allows at most ten minutes.
const CODE_LIFETIME: Duration = Duration::from_mins(1);

/// Long enough for anything a client asks right after signing somebody in.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_mins(10);

/// A working day.
const SESSION_LIFETIME: Duration = Duration::from_hours(8);

/// Far more than one machine's browsers and tests need.
const MAX_VALUES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shelf_drops_what_would_end_first() {
        let mut shelf = ExpiringMap::new(Duration::from_mins(1));
        let at = |second: usize| Timestamp::from_unix(second as u64);
        for second in 0..=MAX_VALUES {
            shelf.put(second.to_string(), (), at(second / 100));
        }
        assert_eq!(shelf.values.len(), MAX_VALUES);
        assert!(shelf.find(&MAX_VALUES.to_string(), at(10)).is_some());
        let early = (0..100).filter(|n| shelf.find(&n.to_string(), at(10)).is_none());
        assert_eq!(early.count(), 1);
    }

    #[test]
    fn values_end_with_their_time_and_are_taken_once() {
        let mut shelf = ExpiringMap::new(Duration::from_mins(1));
        let now = Timestamp::from_unix(100);
        shelf.put("a".to_owned(), 1, now);
        shelf.put("b".to_owned(), 2, now);
        assert_eq!(shelf.take("a", now), Some(1));
        assert_eq!(shelf.take("a", now), None);
        assert_eq!(shelf.find("b", now.after(Duration::from_mins(1))), None);
    }
}
