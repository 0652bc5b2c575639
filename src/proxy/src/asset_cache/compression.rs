//! Brotli bodies of stored files, made once and off the request path.
//!
//! A file is compressed when clients ask for it again, one at a time, on a thread of the control plane.
//! Compressing takes a tenth of a processor at most, so made-up addresses cost no more.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use model::caching::ContentCoding;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{AssetCache, AssetKey, StoredAsset};

/// Files to compress.
#[derive(Debug)]
pub(super) struct CompressionQueue(mpsc::Sender<CompressionJob>);

/// The task that compresses stored files.
#[derive(Debug)]
pub struct AssetCompressor {
    pub(super) cache: Arc<AssetCache>,
    pub(super) jobs: mpsc::Receiver<CompressionJob>,
}

/// A file to compress.
#[derive(Debug)]
pub(super) struct CompressionJob {
    key: AssetKey,
    stored: Arc<StoredAsset>,
}

// === impl CompressionQueue ===

impl CompressionQueue {
    pub(super) fn new() -> (Self, mpsc::Receiver<CompressionJob>) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        (Self(sender), receiver)
    }

    /// Adds a file, unless the queue is full.
    pub(super) fn offer(&self, key: &AssetKey, stored: &Arc<StoredAsset>) -> bool {
        let job = CompressionJob {
            key: key.clone(),
            stored: Arc::clone(stored),
        };
        self.0.try_send(job).is_ok()
    }
}

// === impl AssetCompressor ===

impl AssetCompressor {
    /// Compresses files until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let work = async {
            while let Some(CompressionJob { key, stored }) = self.jobs.recv().await {
                let began = Instant::now();
                let (body, coding) = stored.body();
                let job = (body.clone(), coding, stop.clone());
                let compressing = tokio::task::spawn_blocking(move || {
                    let (body, coding, stop) = job;
                    compress(&body, coding, &stop)
                });
                // A panic of the encoder concerns this file only.
                if let Ok(Some(brotli)) = compressing.await {
                    debug!(from = body.len(), to = brotli.len(), "compressed a file");
                    self.cache.keep_brotli(&key, &stored, brotli);
                }
                sleep(began.elapsed() * PAUSE).await;
            }
        };
        let _ = stop.run_until_cancelled(work).await;
    }
}

/// The body in brotli; `None` if that is not smaller, or the body is not what it is said to be.
fn compress(body: &Bytes, coding: ContentCoding, stop: &CancellationToken) -> Option<Bytes> {
    let plain = match coding {
        ContentCoding::Identity => body.clone(),
        ContentCoding::Gzip => unzip(body)?,
        ContentCoding::Brotli => return None,
    };
    let quality = if plain.len() > LARGE {
        QUALITY_OF_LARGE
    } else {
        QUALITY
    };
    let compressed = Vec::with_capacity(plain.len() / 3);
    let mut encoder = brotli::CompressorWriter::new(compressed, CHUNK, quality, WINDOW);
    for chunk in plain.chunks(CHUNK) {
        if stop.is_cancelled() {
            return None;
        }
        encoder.write_all(chunk).ok()?;
    }
    let compressed = encoder.into_inner();
    (compressed.len() < body.len()).then(|| compressed.into_boxed_slice().into())
}

fn unzip(body: &Bytes) -> Option<Bytes> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(&**body).take(MAX_PLAIN + 1);
    let length = decoder.read_to_end(&mut plain).ok()?;
    (length as u64 <= MAX_PLAIN).then(|| plain.into())
}

/// Pauses of nine times the work are a tenth of a processor.
const PAUSE: u32 = 9;

/// About the files of a page.
const MAX_QUEUED: usize = 64;

/// The highest, whose effort grows with the file: above a megabyte, seconds for the last percents.
const QUALITY: u32 = 11;
const QUALITY_OF_LARGE: u32 = 9;
const LARGE: usize = 1024 * 1024;

/// 4 MiB, which browsers expect at most (RFC 7932 § 9.1 allows 16).
const WINDOW: u32 = 22;

/// How often the end of the process is noticed.
const CHUNK: usize = 64 * 1024;

/// Above any script of Jitsi; a small gzip body can have any length.
const MAX_PLAIN: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn zip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn decompress(brotli: &Bytes) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut decoder = brotli::Decompressor::new(&**brotli, CHUNK);
        decoder.read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn bodies_are_the_same_in_brotli() {
        let text = "let meeting = 'tea';\n".repeat(500);
        let stop = CancellationToken::new();
        for (body, coding) in [
            (Bytes::from(text.clone()), ContentCoding::Identity),
            (zip(text.as_bytes()), ContentCoding::Gzip),
        ] {
            let brotli = compress(&body, coding, &stop).unwrap();
            assert!(brotli.len() < body.len());
            assert_eq!(decompress(&brotli), text.as_bytes(), "{coding:?}");
        }
    }

    #[test]
    fn bodies_that_brotli_does_not_help_are_left_alone() {
        let stop = CancellationToken::new();
        for (body, coding) in [
            (Bytes::from_static(b"x"), ContentCoding::Identity),
            (zip(b"x"), ContentCoding::Brotli),
            (Bytes::from_static(b"no gzip"), ContentCoding::Gzip),
            (zip(b"let x = 1;").slice(..12), ContentCoding::Gzip),
            // A small body of 33 MiB.
            (zip(&vec![b' '; 33 * 1024 * 1024]), ContentCoding::Gzip),
        ] {
            assert_eq!(
                compress(&body, coding, &stop),
                None,
                "{coding:?} {}",
                body.len()
            );
        }
        let text = Bytes::from("let meeting = 'tea';\n".repeat(500));
        stop.cancel();
        assert_eq!(
            compress(&text, ContentCoding::Identity, &stop),
            None,
            "stopped"
        );
    }
}
