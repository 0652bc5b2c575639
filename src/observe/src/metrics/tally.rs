//! Counters by the words of a closed list: what is not in the list is not counted, so that nothing
//! from outside becomes a label.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter for each of `N` words.
#[derive(Debug)]
pub(super) struct Tally<const N: usize>([AtomicU64; N]);

// === impl Tally ===

impl<const N: usize> Tally<N> {
    /// Counts one of the word at a position.
    pub(super) fn add(&self, at: usize) {
        if let Some(counter) = self.0.get(at) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one of a word, if it is in the list.
    pub(super) fn add_word(&self, words: &[&str; N], word: &str) {
        if let Some(at) = words.iter().position(|known| *known == word) {
            self.add(at);
        }
    }

    /// How many were counted of the word at a position.
    pub(super) fn get(&self, at: usize) -> u64 {
        self.0.get(at).map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}
