//! Keys to the API: what they look like, how they are compared, how often they may be used.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{self, SHA256, SHA256_OUTPUT_LEN},
};

use crate::clock::Timestamp;

/// A key to the API, of which only a hash is kept.
#[derive(Clone)]
pub struct ApiKey {
    id: String,
    hash: Hash,
}

/// A key that somebody showed, which may be anybody's.
pub struct Bearer(Hash);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Too few characters to be out of anybody's reach.
    #[error("{0} characters are too few for a key; write one with `openssl rand -base64 32`")]
    Short(usize),
    /// Characters that an `Authorization` header cannot carry.
    #[error(
        "the key has characters that no header carries; write one with `openssl rand -base64 32`"
    )]
    Characters,
    /// Not 64 hexadecimal digits.
    #[error("not a SHA-256 in hexadecimal; write one with `printf %s KEY | sha256sum`")]
    Hash,
}

/// Requests that a key may make: so many a minute, and as many at once.
///
/// A clock of its own runs ahead of the real one by an interval with each request (the generic cell
/// rate algorithm), so that one number is the whole state.
#[derive(Debug)]
pub(super) struct Rate {
    /// Microseconds since 1970.
    ahead: AtomicU64,
    interval: u64,
}

type Hash = [u8; SHA256_OUTPUT_LEN];

// === impl ApiKey ===

impl ApiKey {
    /// A key that is written out.
    pub fn of_text(id: String, key: &str) -> Result<Self, ApiKeyError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(ApiKeyError::Short(key.len()));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError::Characters);
        }
        Ok(Self {
            id,
            hash: hash(key),
        })
    }

    /// A key of which only the SHA-256 is known, in hexadecimal.
    pub fn of_hash(id: String, hex: &str) -> Result<Self, ApiKeyError> {
        let digits: Option<Vec<u8>> = hex
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.ok_or(ApiKeyError::Hash)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        match (bytes.try_into(), rest) {
            (Ok(hash), []) => Ok(Self { id, hash }),
            _ => Err(ApiKeyError::Hash),
        }
    }

    /// The name of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether two names stand for one key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    /// Whether this is what was shown; takes as long for any answer.
    pub(super) fn is(&self, shown: &Bearer) -> bool {
        verify_slices_are_equal(&self.hash, &shown.0).is_ok()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.id).finish()
    }
}

// === impl Bearer ===

impl Bearer {
    /// Reads an `Authorization` header (RFC 6750 § 2.1).
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, key) = header.split_once(' ')?;
        let key = key.trim_start_matches(' ');
        let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && scheme.eq_ignore_ascii_case("bearer")).then(|| Self(hash(key)))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

// === impl Rate ===

impl Rate {
    /// So many requests a minute, at least one.
    pub(super) fn per_minute(requests: u32) -> Self {
        Self {
            ahead: AtomicU64::new(0),
            interval: MINUTE / u64::from(requests.max(1)),
        }
    }

    /// Takes one request, or says how long until the next.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_unix().saturating_mul(SECOND);
        let taken = self
            .ahead
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
                let next = ahead.max(now).saturating_add(self.interval);
                (next <= now.saturating_add(MINUTE)).then_some(next)
            });
        taken.map(drop).map_err(|ahead| {
            let wait = ahead.saturating_add(self.interval).saturating_sub(now);
            Duration::from_micros(wait.saturating_sub(MINUTE))
        })
    }
}

fn hash(key: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest::digest(&SHA256, key.as_bytes()).as_ref());
    hash
}

/// What 32 random bytes have at least in any spelling; also more than anybody would type.
const MIN_KEY_BYTES: usize = 32;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
