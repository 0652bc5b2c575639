//! Randomness as a parameter: the operating system's generator in production, a counter in tests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::digest::sha256;

/// A source of unguessable values; cheap to clone and to share between threads.
#[derive(Clone, Debug, Default)]
pub struct Random(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Counter(Arc<AtomicU64>),
}

// === impl Random ===

impl Random {
    /// Uses the operating system's generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Yields the same sequence for the same seed, for tests only.
    pub fn predictable(seed: u64) -> Self {
        Self(Source::Counter(Arc::new(AtomicU64::new(seed))))
    }

    /// Generates `N` bytes; `N` ≤ 32 for the predictable source.
    ///
    /// # Panics
    ///
    /// If the operating system's generator fails: no key or id would be safe.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => aws_lc_rs::rand::fill(&mut bytes)
                .expect("the operating system's random generator does not fail"),
            Source::Counter(counter) => {
                let count = counter.fetch_add(1, Ordering::Relaxed);
                let hash = sha256(&count.to_be_bytes());
                bytes
                    .iter_mut()
                    .zip(hash)
                    .for_each(|(byte, hashed)| *byte = hashed);
            }
        }
        bytes
    }

    /// Generates `N` bytes as unpadded base64url text.
    pub fn text<const N: usize>(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_values_differ_and_predictable_ones_repeat() {
        let random = Random::system();
        assert_ne!(random.bytes::<32>(), random.bytes::<32>());
        assert_eq!(random.text::<16>().len(), 22);
        assert_eq!(
            Random::predictable(1).text::<16>(),
            Random::predictable(1).text::<16>()
        );
    }
}
