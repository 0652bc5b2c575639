//! Which requests may be answered from the cache, and the key of each.

use http::{Request, header, uri::Authority};
use hyper::body::Body as HttpBody;

use model::{caching::ContentCoding, path::CanonicalPath, query, route::is_versioned_file};

/// The key of a stored file: coding, web server, path and query as they are forwarded.
#[derive(Clone, Debug)]
pub(crate) struct AssetKey {
    text: String,
    target_at: usize,
    asked: ContentCoding,
    versioned: bool,
}

// === impl AssetKey ===

impl AssetKey {
    /// The key of a path and a raw query; `None` if they are too long.
    pub(super) fn new(
        web: &Authority,
        path: &CanonicalPath,
        query: &str,
        asked: ContentCoding,
    ) -> Option<Self> {
        let (path, query) = (path.as_str(), query::without_tokens(query));
        let length = path.len() + query.len() + 1;
        if length > MAX_TARGET_BYTES {
            return None;
        }
        let coding = asked.as_str();
        // Neither a coding nor an authority has a space or a slash.
        let mut text = String::with_capacity(coding.len() + 1 + web.as_str().len() + length);
        for part in [coding, " ", web.as_str()] {
            text.push_str(part);
        }
        let target_at = text.len();
        text.push_str(path);
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
        Some(Self {
            text,
            target_at,
            asked,
            versioned: query::has_version(&query) && is_versioned_file(path),
        })
    }

    /// The text, by which the file is found.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.text.get(self.target_at..).unwrap_or_default()
    }

    /// The coding that the web server is asked for.
    pub(super) const fn asked(&self) -> ContentCoding {
        self.asked
    }

    /// Whether the address has a version.
    pub(super) const fn is_versioned(&self) -> bool {
        self.versioned
    }
}

/// Whether a GET or HEAD for a static file may be answered from the cache: without a body and
/// credentials, and without conditions on which a stored file cannot decide (RFC 9110 § 13.1).
pub(super) fn is_cacheable<B: HttpBody>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let excluded = [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::UPGRADE,
        header::EXPECT,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::TRANSFER_ENCODING,
    ];
    request.body().is_end_stream() && !excluded.iter().any(|name| headers.contains_key(name))
}

/// Above the address of any file; bounds the memory of a key.
const MAX_TARGET_BYTES: usize = 1024;
