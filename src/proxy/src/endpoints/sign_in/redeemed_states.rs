//! The sign-ins whose code was redeemed: each cookie of a sign-in buys one request to the provider.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use model::digest::sha256;

/// The states of the last redeemed sign-ins of this replica.
#[derive(Debug, Default)]
pub(crate) struct RedeemedStates(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    known: HashSet<Digest>,
    oldest_first: VecDeque<Digest>,
}

type Digest = [u8; 32];

// === impl RedeemedStates ===

impl RedeemedStates {
    /// Notes that the code of a sign-in is redeemed; `false` if it was before.
    pub(super) fn redeem(&self, state: &str) -> bool {
        let digest = sha256(state.as_bytes());
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !content.known.insert(digest) {
            return false;
        }
        content.oldest_first.push_back(digest);
        if content.oldest_first.len() > MAX_STATES
            && let Some(oldest) = content.oldest_first.pop_front()
        {
            content.known.remove(&oldest);
        }
        true
    }
}

/// Far more than the sign-ins of a large deployment within the lifetime of a sign-in's cookie, in about
/// two megabytes. Older states can be redeemed again, which costs a stranger as many sign-ins.
const MAX_STATES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_redeemed_once_and_the_table_is_bounded() {
        let states = RedeemedStates::default();
        assert!(states.redeem("one"));
        assert!(!states.redeem("one"));
        assert!(states.redeem("two"));
        for number in 0..2 * MAX_STATES {
            assert!(states.redeem(&number.to_string()));
        }
        let content = states.0.lock().unwrap();
        assert_eq!(content.known.len(), MAX_STATES);
        assert_eq!(content.oldest_first.len(), MAX_STATES);
    }
}
