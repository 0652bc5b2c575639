//! A body that is read before its response is answered.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// The outcome of reading a body up to a limit.
pub(super) enum ReadAhead<B> {
    /// The body, to its end.
    Whole(Bytes),
    /// The first bytes of a body that is longer than the limit, and the body behind them.
    Beginning(Bytes, B),
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
        if read.len() > most {
            return Ok(ReadAhead::Beginning(read.into_bytes(), body));
        }
    }
    Ok(ReadAhead::Whole(read.into_bytes()))
}

/// Chunks as one text; a single one is not copied.
#[derive(Default)]
struct Chunks {
    first: Bytes,
    all: BytesMut,
}

// === impl Chunks ===

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&chunk);
    }

    fn len(&self) -> usize {
        self.all.len().max(self.first.len())
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}
