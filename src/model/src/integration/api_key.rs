//! API keys, stored as hashes and compared in constant time.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest::SHA256_OUTPUT_LEN};

use crate::digest::sha256;

/// An API key, kept only as its SHA-256.
#[derive(Clone)]
pub struct ApiKey {
    id: String,
    hash: Hash,
}

/// The unverified key of a request.
pub struct Bearer(Hash);

/// Why a configured key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Too short to resist guessing.
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

type Hash = [u8; SHA256_OUTPUT_LEN];

// === impl ApiKey ===

impl ApiKey {
    /// Creates a key from its text.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError::Short`] and [`ApiKeyError::Characters`].
    pub fn of_text(id: String, key: &str) -> Result<Self, ApiKeyError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(ApiKeyError::Short(key.len()));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError::Characters);
        }
        Ok(Self {
            id,
            hash: sha256(key.as_bytes()),
        })
    }

    /// Creates a key from its SHA-256 in hexadecimal.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError::Hash`].
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

    /// The name of the key in the audit log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether both have the same key, whatever their names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    /// Whether the request has this key; constant time.
    pub(super) fn matches(&self, bearer: &Bearer) -> bool {
        verify_slices_are_equal(&self.hash, &bearer.0).is_ok()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.id).finish()
    }
}

// === impl Bearer ===

impl Bearer {
    /// Parses the value of an `Authorization` field (RFC 6750 § 2.1).
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, key) = header.split_once(' ')?;
        let key = key.trim_start_matches(' ');
        let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && scheme.eq_ignore_ascii_case("bearer")).then(|| Self(sha256(key.as_bytes())))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

/// 32 random bytes have more characters than this in hexadecimal and in base64.
const MIN_KEY_BYTES: usize = 32;
