//! Which requests may be answered from the cache, and the key of each.

use http::{Request, header, uri::Authority};
use hyper::body::Body as HttpBody;

use model::{caching::ContentCoding, query, route::is_versioned_file};

/// The key of a stored file: coding, web server, path and query as they are forwarded.
#[derive(Clone, Debug)]
pub(crate) struct AssetKey {
    text: Box<str>,
    target_at: usize,
    asked: ContentCoding,
    versioned: bool,
}

// === impl AssetKey ===

impl AssetKey {
    /// The key of a target (path and query as forwarded); `None` if it is too long.
    pub(super) fn new(web: &Authority, target: &str, asked: ContentCoding) -> Option<Self> {
        if target.len() > MAX_TARGET_BYTES {
            return None;
        }
        let coding = asked.as_str();
        // Neither a coding nor an authority has a space or a slash.
        let mut text = String::with_capacity(coding.len() + 1 + web.as_str().len() + target.len());
        for part in [coding, " ", web.as_str()] {
            text.push_str(part);
        }
        let target_at = text.len();
        text.push_str(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Self {
            text: text.into(),
            target_at,
            asked,
            versioned: query::has_version(query) && is_versioned_file(path),
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
