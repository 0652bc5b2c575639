//! The cache of Jitsi's static files: a shared cache (RFC 9111) in front of the web server.
//!
//! | file | contents |
//! |---|---|
//! | `request` | a request for a static file: answered from the cache, by a fetch, or forwarded |
//! | `key` | the key of a file, and which requests the cache may answer |
//! | `slots` | the bounded table, which all workers share |
//! | `compression` | bodies in brotli, made in the background |
//! | `stored_asset` | a stored file, and the answers made of it: whole, part, 304 |
//! | `fetches` | one fetch per file at a time, whose outcome all its requests get |
//! | `fill` | the fetch itself, by a request of the gateway's own |
//!
//! **What a client can change.** Nothing of a stored file: the request to the web server has the
//! canonical path, the query as forwarded and a coding, which are the key, and fields that are constant.
//! `model::caching` decides what is stored and for how long.
//!
//! **When a file is stored.** With a version in its address (`?v=`) at its first request, which waits
//! until the file is here. Without one, the client's request is forwarded; if the response says that it
//! may be stored, the next request stores the file. So files without a lifetime cost nothing.
//!
//! **Hit path.** One lookup under a read lock of one of the table's parts, which writers hold for some
//! instructions. No task, no connection; the body is shared.

mod compression;
mod fetches;
mod fill;
mod key;
mod request;
mod slots;
mod stored_asset;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub use self::compression::AssetCompressor;
pub(crate) use self::request::AssetRequest;
use self::{
    compression::CompressionQueue,
    fetches::{BegunFetch, Fetches, Joined},
    fill::FillOutcome,
    key::AssetKey,
    slots::{Slot, Slots},
    stored_asset::StoredAsset,
};
use model::{
    caching::{ContentCoding, Exchange, Freshness, check_storable},
    clock::Clock,
};
use observe::metrics::CacheMetrics;

/// `[cache]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetCacheSettings {
    /// Bytes of all stored files together.
    pub size: usize,
    /// Bytes of one file.
    pub largest: usize,
}

/// The cache; all workers share it.
#[derive(Debug)]
pub struct AssetCache {
    slots: Slots,
    fetches: Fetches,
    to_compress: CompressionQueue,
    largest: usize,
    clock: Clock,
}

// === impl AssetCache ===

impl AssetCache {
    /// An empty cache, and the task that compresses its files.
    pub fn new(
        settings: AssetCacheSettings,
        metrics: CacheMetrics,
        clock: Clock,
    ) -> (Arc<Self>, AssetCompressor) {
        let (to_compress, jobs) = CompressionQueue::new();
        let cache = Arc::new(Self {
            slots: Slots::new(settings, metrics),
            // A quarter beside the stored files, and at least one of the largest.
            fetches: Fetches::new((settings.size / 4).max(settings.largest)),
            to_compress,
            largest: settings.largest,
            clock,
        });
        let compressor = AssetCompressor {
            cache: Arc::clone(&cache),
            jobs,
        };
        (cache, compressor)
    }

    /// Removes all files; returns how many there were. A fetch under way stores nothing.
    pub fn purge(&self) -> usize {
        self.fetches.purge(|| self.slots.clear())
    }

    /// Keeps what a fetch found, unless there was a purge since it began.
    fn store(&self, key: &AssetKey, slot: Slot, fetch: &BegunFetch) {
        self.fetches
            .if_current(fetch.generation, || self.slots.put(key, slot));
    }

    /// Adds a body in brotli to a file, if the file is still the stored one.
    fn keep_brotli(&self, key: &AssetKey, of: &Arc<StoredAsset>, brotli: Bytes) {
        self.fetches.exclusively(|| {
            if let Some(Slot::Stored(stored)) = self.slots.get(key)
                && Arc::ptr_eq(&stored, of)
            {
                let stored = Arc::new(of.with_brotli(brotli));
                self.slots.put(key, Slot::Stored(stored));
            }
        });
    }

    /// Looks at a response that was forwarded: if it may be stored, the next request stores it.
    fn observe(&self, key: &AssetKey, status: StatusCode, headers: &HeaderMap, exchange: Exchange) {
        let now = self.clock.now();
        // The client's request may have asked for any coding.
        let is_storable = check_storable(status, headers, ContentCoding::Gzip).is_ok()
            && Freshness::of(headers, exchange, key.is_versioned()).is_fresh(now);
        if !is_storable {
            return;
        }
        match self.slots.get(key) {
            Some(Slot::Unstorable { until }) if now < until => {}
            Some(Slot::Stored(_) | Slot::Worthwhile) => {}
            None | Some(Slot::Unstorable { .. }) => self.slots.put(key, Slot::Worthwhile),
        }
    }
}
