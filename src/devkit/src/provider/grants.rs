//! Codes, access tokens and sessions of the provider.

use std::{collections::HashMap, time::Duration};

use model::clock::Timestamp;

/// All valid codes, access tokens and sessions.
#[derive(Debug)]
pub(super) struct Grants {
    pub(super) codes: ExpiringMap<Code>,
    /// The forms of pushed authorization requests.
    pub(super) pushed: ExpiringMap<String>,
    pub(super) tokens: ExpiringMap<Access>,
    pub(super) sessions: ExpiringMap<SsoSession>,
    pub(super) refresh_tokens: ExpiringMap<Refresh>,
}

/// An authorization code, for one use by one client with one redirect URI.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) session: SsoSession,
}

/// The account and scope of an access token.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) account: String,
    pub(super) scope: String,
}

/// The right of a refresh token, which is redeemed once.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) session: SsoSession,
}

/// A session at the provider.
#[derive(Clone, Debug)]
pub(super) struct SsoSession {
    pub(super) sid: String,
    pub(super) account: String,
    /// The time of the last authentication.
    pub(super) began: Timestamp,
    /// The authentication context class of it; `None` for the plain one.
    pub(super) acr: Option<String>,
}

// === impl SsoSession ===

impl SsoSession {
    /// The authentication methods (RFC 8176).
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self.acr {
            Some(_) => &["pwd", "mfa"],
            None => &["pwd"],
        }
    }
}

/// Values by random keys, with a lifetime. A full map removes the value that expires first.
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
            pushed: ExpiringMap::new(PUSHED_LIFETIME),
            tokens: ExpiringMap::new(ACCESS_LIFETIME),
            sessions: ExpiringMap::new(SESSION_LIFETIME),
            refresh_tokens: ExpiringMap::new(SESSION_LIFETIME),
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

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values().map(|(_, value)| value)
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

    /// Removes and returns a value.
    pub(super) fn take(&mut self, name: &str, now: Timestamp) -> Option<V> {
        let (ends, value) = self.values.remove(name)?;
        (now < ends).then_some(value)
    }

    pub(super) fn remove_where(&mut self, fits: impl Fn(&V) -> bool) {
        self.values.retain(|_, (_, value)| !fits(value));
    }
}

/// Clients exchange a code at once; RFC 6749 § 4.1.2 allows at most ten minutes.
const CODE_LIFETIME: Duration = Duration::from_mins(1);

/// The lifetime of a reference (RFC 9126 § 2.2), which the browser follows at once.
pub(super) const PUSHED_LIFETIME: Duration = Duration::from_mins(1);

/// Long enough for userinfo requests after a sign-in.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_mins(10);

/// Covers a working day, like the sessions of real providers.
const SESSION_LIFETIME: Duration = Duration::from_hours(8);

/// The browsers and tests of one machine need far fewer.
const MAX_VALUES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_drops_the_value_that_expires_first() {
        let mut map = ExpiringMap::new(Duration::from_mins(1));
        let at = |second: usize| Timestamp::from_unix(second as u64);
        for second in 0..=MAX_VALUES {
            map.put(second.to_string(), (), at(second / 100));
        }
        assert_eq!(map.values.len(), MAX_VALUES);
        assert!(map.find(&MAX_VALUES.to_string(), at(10)).is_some());
        let early = (0..100).filter(|n| map.find(&n.to_string(), at(10)).is_none());
        assert_eq!(early.count(), 1);
    }

    #[test]
    fn values_expire_and_are_taken_once() {
        let mut map = ExpiringMap::new(Duration::from_mins(1));
        let now = Timestamp::from_unix(100);
        map.put("a".to_owned(), 1, now);
        map.put("b".to_owned(), 2, now);
        assert_eq!(map.take("a", now), Some(1));
        assert_eq!(map.take("a", now), None);
        assert_eq!(map.find("b", now.after(Duration::from_mins(1))), None);
    }
}
