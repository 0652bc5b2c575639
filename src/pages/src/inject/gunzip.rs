//! Unpacking of an upstream that compresses although it was asked not to, within bounds.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use super::CompletionError;

/// Unpacks a gzip stream that comes in pieces.
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Bounded>,
    received: usize,
}

/// Takes output up to a limit.
#[derive(Default)]
struct Bounded {
    output: Vec<u8>,
    produced: usize,
    limit: usize,
    exceeded: bool,
}

// === impl Gunzip ===

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            decoder: MultiGzDecoder::new(Bounded::default()),
            received: 0,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Bytes, CompletionError> {
        self.received += chunk.len();
        let allowed = FREE_BYTES.saturating_add(self.received.saturating_mul(MAX_RATIO));
        self.decoder.get_mut().limit = allowed.min(MAX_BYTES);
        let outcome = self
            .decoder
            .write_all(chunk)
            .and_then(|()| self.decoder.flush());
        let bounded = self.decoder.get_mut();
        outcome.map_err(|error| bounded.explain(error))?;
        Ok(bounded.take())
    }

    pub(super) fn finish(mut self) -> Result<Bytes, CompletionError> {
        if self.received == 0 {
            return Ok(Bytes::new());
        }
        let outcome = self.decoder.try_finish();
        let bounded = self.decoder.get_mut();
        outcome.map_err(|error| bounded.explain(error))?;
        Ok(bounded.take())
    }
}

// === impl Bounded ===

impl Bounded {
    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.output))
    }

    fn explain(&self, error: io::Error) -> CompletionError {
        if self.exceeded {
            CompletionError::TooLarge
        } else {
            CompletionError::Gzip(error)
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.produced += bytes.len();
        if self.produced > self.limit {
            self.exceeded = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Jitsi's page and configuration are below 100 KiB; branding may make them some times that.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Text packs 3 to 10 times; gzip's most, over 1000, is reached by nothing honest.
const MAX_RATIO: usize = 100;

/// A small answer may be anything.
const FREE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Vec<u8>, CompletionError> {
        let mut gunzip = Gunzip::new();
        let mut plain = Vec::new();
        for chunk in chunks {
            plain.extend_from_slice(&gunzip.push(chunk)?);
        }
        plain.extend_from_slice(&gunzip.finish()?);
        Ok(plain)
    }

    #[test]
    fn any_chunking_unpacks() {
        let plain: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut packed = gzip(&plain);
        for size in [1, 7, 1000, packed.len()] {
            assert_eq!(unpack(packed.chunks(size)).unwrap(), plain);
        }
        packed.extend(gzip(b"and another member"));
        assert!(unpack([packed.as_slice()]).unwrap().ends_with(b"member"));
        assert_eq!(unpack([]).unwrap(), b"");
    }

    #[test]
    fn what_is_unpacked_is_not_held_back() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"first").unwrap();
        encoder.flush().unwrap();
        assert_eq!(Gunzip::new().push(encoder.get_ref()).unwrap(), "first");
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = gzip(&vec![0; 8 * 1024 * 1024]);
        assert!(bomb.len() < 10_000);
        assert!(matches!(
            unpack([bomb.as_slice()]),
            Err(CompletionError::TooLarge)
        ));
        assert!(matches!(
            unpack(bomb.chunks(64)),
            Err(CompletionError::TooLarge)
        ));
    }

    #[test]
    fn what_is_cut_short_or_broken_is_an_error() {
        let packed = gzip(b"text that is long enough to be cut");
        for length in 1..packed.len() {
            let outcome = unpack([&packed[..length]]);
            assert!(matches!(outcome, Err(CompletionError::Gzip(_))), "{length}");
        }
        let mut broken = packed.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 0xff;
        assert!(unpack([broken.as_slice()]).is_err());
        assert!(unpack([b"<html>".as_slice()]).is_err());
    }
}
