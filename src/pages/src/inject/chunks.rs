//! The bytes of a page in the pieces in which they arrived.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// A text in chunks, which are not copied.
#[derive(Debug, Default)]
pub struct Chunks {
    chunks: Vec<Bytes>,
    length: usize,
}

// === impl Chunks ===

impl Chunks {
    /// Appends a chunk.
    pub fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        self.chunks.push(chunk);
    }

    /// The length of the text in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    pub(super) fn starts_with(&self, prefix: &[u8]) -> bool {
        let mut rest = prefix;
        for chunk in &self.chunks {
            let (now, later) = rest.split_at(rest.len().min(chunk.len()));
            if !chunk.starts_with(now) {
                return false;
            }
            rest = later;
        }
        rest.is_empty()
    }

    /// The bytes of a range; less at the end of the text.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut begin = 0;
        self.chunks.iter().map(move |chunk| {
            let place = |at: usize| at.saturating_sub(begin).min(chunk.len());
            let piece = chunk.get(place(range.start)..place(range.end));
            begin += chunk.len();
            piece.unwrap_or_default()
        })
    }

    /// The text in one piece; a single chunk is not copied.
    pub fn join(self) -> Bytes {
        let Self { mut chunks, length } = self;
        match chunks.as_mut_slice() {
            [] => Bytes::new(),
            [one] => std::mem::take(one),
            several => {
                let mut text = BytesMut::with_capacity(length);
                for chunk in several {
                    text.extend_from_slice(chunk);
                }
                text.freeze()
            }
        }
    }
}

impl From<Bytes> for Chunks {
    fn from(text: Bytes) -> Self {
        Self {
            length: text.len(),
            chunks: vec![text],
        }
    }
}
