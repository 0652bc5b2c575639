//! Randomness as a parameter: the operating system's in production, a counter in tests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Makes unguessable values; cheap to clone and to share between threads.
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
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A predictable sequence, for tests only.
    pub fn predictable(seed: u64) -> Self {
        Self(Source::Counter(Arc::new(AtomicU64::new(seed))))
    }

    /// `N` random bytes, `N` ≤ 32 for the predictable source.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: nothing safe can be done without it.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => aws_lc_rs::rand::fill(&mut bytes)
                .expect("the operating system's random generator does not fail"),
            Source::Counter(counter) => {
                let count = counter.fetch_add(1, Ordering::Relaxed);
                let hash = digest::digest(&digest::SHA256, &count.to_be_bytes());
                bytes
                    .iter_mut()
                    .zip(hash.as_ref())
                    .for_each(|(byte, hashed)| *byte = *hashed);
            }
        }
        bytes
    }

    /// `N` random bytes as unpadded base64url text.
    pub fn text<const N: usize>(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_and_have_the_length_asked_for() {
        let random = Random::system();
        assert_ne!(random.bytes::<32>(), random.bytes::<32>());
        assert_eq!(random.text::<16>().len(), 22);
        assert_eq!(
            Random::predictable(1).text::<16>(),
            Random::predictable(1).text::<16>()
        );
    }
}
