//! The tokens of the latest logins, to judge them again later.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::token::prosody::ProsodyClaims;
use secrecy::{ExposeSecret, SecretString};

/// A token with which a login was accepted.
#[derive(Clone)]
pub struct ReceivedToken {
    /// Its position among all tokens, from 1.
    pub number: u64,
    /// Its claims.
    pub claims: ProsodyClaims,
    text: SecretString,
}

/// The latest tokens, at most [`MAX_KEPT`].
#[derive(Debug, Default)]
pub(super) struct ReceivedTokens(Mutex<VecDeque<ReceivedToken>>);

// === impl ReceivedToken ===

impl ReceivedToken {
    pub(super) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

/// Omits the claims, which name people.
impl fmt::Debug for ReceivedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}", self.number)
    }
}

// === impl ReceivedTokens ===

impl ReceivedTokens {
    pub(super) fn add(&self, text: &str, claims: ProsodyClaims) {
        let mut tokens = self.lock();
        let number = tokens.front().map_or(0, |latest| latest.number) + 1;
        tokens.truncate(MAX_KEPT - 1);
        tokens.push_front(ReceivedToken {
            number,
            claims,
            text: text.to_owned().into(),
        });
    }

    /// Latest first.
    pub(super) fn latest(&self) -> Vec<ReceivedToken> {
        self.lock().iter().cloned().collect()
    }

    pub(super) fn find(&self, number: u64) -> Option<ReceivedToken> {
        let tokens = self.lock();
        tokens.iter().find(|token| token.number == number).cloned()
    }

    pub(super) fn display_name(&self, user: &str) -> Option<String> {
        let tokens = self.lock();
        let mut claims = tokens.iter().map(|token| &token.claims);
        let latest = claims.find(|claims| claims.user_id() == Some(user))?;
        latest.user_name().map(ToOwned::to_owned)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ReceivedToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The demonstration shows a few; a reconnecting client sends one token per connection.
const MAX_KEPT: usize = 32;
