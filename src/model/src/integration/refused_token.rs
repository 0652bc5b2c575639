//! A refused token with what its issuer or the operator has to change.

use std::{fmt, time::Duration};

use super::EmbedError;
use crate::{jws::TokenError, time_format};

/// Why a token is refused, and, as far as it is known, by which of its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedToken {
    /// Why.
    pub error: EmbedError,
    /// The rest; boxed because it is rare.
    pub evidence: Option<Box<Evidence>>,
}

/// What a refused token says, and what the configuration accepts. Never the token or a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The integration that `iss` names.
    pub integration: Option<String>,
    /// The room of the page.
    pub room: String,
    /// The path of the claim.
    pub claim: Option<&'static str>,
    /// The claim's value. Of a token with a valid signature, but for `iss` and `alg`.
    pub found: Option<String>,
    /// The values that would be accepted.
    pub allowed: Option<String>,
}

// === impl RefusedToken ===

impl RefusedToken {
    /// Whether the token was valid and has expired. Its bearer has to get another one.
    pub const fn is_over(&self) -> bool {
        matches!(self.error, EmbedError::Token(TokenError::Expired))
    }
}

impl fmt::Display for RefusedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for RefusedToken {}

impl From<EmbedError> for RefusedToken {
    fn from(error: EmbedError) -> Self {
        Self {
            error,
            evidence: None,
        }
    }
}

// === impl Evidence ===

impl Evidence {
    /// Sets the claim with its value, shortened, and what would be accepted.
    pub(super) fn set(&mut self, claim: &'static str, found: &str, allowed: impl Into<String>) {
        self.claim = Some(claim);
        self.found = Some(shorten(found));
        self.allowed = Some(allowed.into());
    }
}

/// A duration in words, rounded to minutes from an hour on: `exp` is compared with a clock that
/// has gone on.
pub(super) fn describe(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rounded = if seconds >= HOUR {
        seconds.div_ceil(60) * 60
    } else {
        seconds
    };
    time_format::format_duration(Duration::from_secs(rounded))
}

/// The text without control characters, and not longer than a log line bears.
fn shorten(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(MAX_FOUND_CHARS).collect()
}

const HOUR: u64 = 3600;

/// Longer than the names of rooms and hosts that systems write.
const MAX_FOUND_CHARS: usize = 120;
