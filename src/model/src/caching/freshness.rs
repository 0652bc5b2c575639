//! Age and lifetime of a stored response (RFC 9111 § 4.2).

use std::time::Duration;

use http::{HeaderMap, header};

use super::{
    ResponseDirectives, date_of,
    directives::{Reuse, seconds},
};
use crate::clock::Timestamp;

/// When a request was sent and the head of its response arrived.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The time of the request.
    pub requested: Timestamp,
    /// The time of the response.
    pub received: Timestamp,
}

/// How old a stored response is, and how long it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    received: Timestamp,
    /// Seconds at `received`.
    initial_age: u64,
    /// Seconds.
    lifetime: u64,
    /// Seconds after the lifetime.
    stale_if_error: u64,
}

// === impl Freshness ===

impl Freshness {
    /// Computes them from the header fields. `versioned` permits a heuristic: the address has a version.
    pub fn of(headers: &HeaderMap, exchange: Exchange, versioned: bool) -> Self {
        let directives = ResponseDirectives::of(headers);
        let explicit = directives
            .shared_max_age
            .or(directives.max_age)
            .or_else(|| lifetime_by_expires(headers, exchange.received));
        let lifetime = match explicit {
            _ if directives.reuse == Reuse::Never => 0,
            Some(seconds) => seconds,
            None if versioned => heuristic_lifetime(headers, exchange.received),
            None => 0,
        };
        let stale = directives.stale_if_error;
        Self {
            received: exchange.received,
            initial_age: initial_age(headers, exchange),
            lifetime,
            stale_if_error: stale
                .filter(|_| directives.reuse == Reuse::Lax)
                .unwrap_or(0),
        }
    }

    /// The current age in seconds (§ 4.2.3).
    pub fn age(&self, now: Timestamp) -> u64 {
        self.initial_age + now.since(self.received).as_secs()
    }

    /// For how many seconds the response stays fresh.
    pub fn left(&self, now: Timestamp) -> u64 {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// Whether the response may be used without validation.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.left(now) > 0
    }

    /// Whether the response may be used in place of an error (RFC 5861 § 4).
    pub fn is_usable_on_error(&self, now: Timestamp) -> bool {
        self.age(now) < self.lifetime.saturating_add(self.stale_if_error)
    }
}

/// `Expires` less `Date`; zero if `Expires` is malformed, repeated or past (§ 5.3).
fn lifetime_by_expires(headers: &HeaderMap, received: Timestamp) -> Option<u64> {
    headers.get(header::EXPIRES)?;
    let date = date_of(headers, &header::DATE).unwrap_or(received);
    let expires = date_of(headers, &header::EXPIRES);
    Some(expires.map_or(0, |expires| expires.since(date).as_secs()))
}

/// A tenth of the time since the last modification (§ 4.2.2), bounded.
fn heuristic_lifetime(headers: &HeaderMap, received: Timestamp) -> u64 {
    let date = date_of(headers, &header::DATE).unwrap_or(received);
    let modified = date_of(headers, &header::LAST_MODIFIED);
    let lifetime = modified.map_or(0, |modified| date.since(modified).as_secs() / 10);
    lifetime.min(MAX_HEURISTIC.as_secs())
}

/// `corrected_initial_age` (§ 4.2.3).
fn initial_age(headers: &HeaderMap, exchange: Exchange) -> u64 {
    let Exchange {
        requested,
        received,
    } = exchange;
    let date = date_of(headers, &header::DATE).unwrap_or(received);
    let apparent = received.since(date).as_secs();
    let delay = received.since(requested).as_secs();
    apparent.max(stated_age(headers) + delay)
}

/// `Age`: of several the first counts, and an invalid one is ignored (§ 5.1).
fn stated_age(headers: &HeaderMap) -> u64 {
    let first = headers.get(header::AGE).and_then(|age| age.to_str().ok());
    let mut members = first.unwrap_or_default().split(',').map(str::trim);
    seconds(members.find(|member| !member.is_empty())).unwrap_or(0)
}

/// A file whose version is in its address rarely changes under it; a day bounds the harm if it does.
const MAX_HEURISTIC: Duration = Duration::from_hours(24);
