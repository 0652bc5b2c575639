//! A body that is read before its response is answered.

use std::{ops::Range, pin::Pin};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// The outcome of reading a body up to a limit.
pub(super) enum ReadAhead<B> {
    /// The body, to its end.
    Whole(Chunks),
    /// The first bytes of a body that is longer than the limit, and the body behind them.
    Beginning(Chunks, B),
}

/// A text in chunks, as it arrived.
#[derive(Default)]
pub(super) struct Chunks {
    chunks: Vec<Bytes>,
    length: usize,
}

impl From<Bytes> for Chunks {
    fn from(text: Bytes) -> Self {
        Self {
            length: text.len(),
            chunks: vec![text],
        }
    }
}

/// Reads a body to its end, or until more than `most` bytes are there. Trailers are dropped.
pub(super) async fn read_ahead<B>(mut body: B, most: usize) -> Result<ReadAhead<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = Chunks::default();
    while let Some(frame) = Pin::new(&mut body).frame().await {
        if let Ok(data) = frame?.into_data() {
            read.push(data);
        }
        if read.length > most {
            return Ok(ReadAhead::Beginning(read, body));
        }
    }
    Ok(ReadAhead::Whole(read))
}

// === impl Chunks ===

impl Chunks {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        self.chunks.push(chunk);
    }

    /// In bytes.
    pub(super) fn length(&self) -> usize {
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

    /// The text in one piece; one chunk is not copied.
    pub(super) fn join(self) -> Bytes {
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
