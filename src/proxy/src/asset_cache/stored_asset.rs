//! A stored file, and the answers made of it.

use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::Body;
use model::{
    caching::{
        AcceptedCodings, ByteRange, ContentCoding, Exchange, Freshness, RangeOutcome,
        ResponseDirectives, Validators, check_storable, is_unchanged, range_condition_holds,
        response_date,
    },
    clock::Timestamp,
};

/// A file as the web server sent it, and in brotli.
#[derive(Debug)]
pub(super) struct StoredAsset {
    /// The fields of every answer, without those of a coding.
    head: HeaderMap,
    body: Bytes,
    coding: ContentCoding,
    brotli: Option<Bytes>,
    /// How often clients asked for a body in brotli that was not there; none of them is needed any more
    /// from [`QUEUED`] on.
    missed: AtomicU8,
    /// Those of the web server, for validation.
    pub(super) validators: Validators,
    pub(super) freshness: Freshness,
    /// `Date`.
    made: Option<Timestamp>,
}

/// A body of a stored file in one coding.
struct Representation<'s> {
    body: &'s Bytes,
    coding: ContentCoding,
    validators: Validators,
}

// === impl StoredAsset ===

impl StoredAsset {
    /// A file of a response with this head, from which hop-by-hop fields were removed.
    pub(super) fn new(
        mut head: HeaderMap,
        body: Bytes,
        coding: ContentCoding,
        freshness: Freshness,
    ) -> Self {
        let validators = Validators::of(&head);
        for name in REPLACED {
            head.remove(name);
        }
        let is_compressible = is_text(&head) && !ResponseDirectives::of(&head).keeps_coding;
        if coding != ContentCoding::Identity || is_compressible {
            head.insert(header::VARY, ACCEPT_ENCODING);
        }
        let is_compressible = is_compressible && body.len() >= LEAST;
        head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Self {
            made: response_date(&head),
            head,
            body,
            coding,
            brotli: None,
            missed: AtomicU8::new(if is_compressible { 0 } else { QUEUED }),
            validators,
            freshness,
        }
    }

    /// The same file with a body in brotli.
    pub(super) fn with_brotli(&self, brotli: Bytes) -> Self {
        Self {
            head: self.head.clone(),
            body: self.body.clone(),
            coding: self.coding,
            brotli: Some(brotli),
            missed: AtomicU8::new(QUEUED),
            validators: self.validators.clone(),
            freshness: self.freshness,
            made: self.made,
        }
    }

    /// The body as the web server sent it.
    pub(super) fn body(&self) -> (&Bytes, ContentCoding) {
        (&self.body, self.coding)
    }

    /// Whether the file is to be compressed now: clients asked for it in brotli repeatedly.
    pub(super) fn wants_brotli(&self, accepted: AcceptedCodings) -> bool {
        // After that, requests write nothing here.
        self.missed.load(Ordering::Relaxed) < QUEUED
            && accepted.weight(ContentCoding::Brotli) >= accepted.weight(self.coding)
            && self.missed.fetch_add(1, Ordering::Relaxed) + 1 == QUEUED
    }

    /// Waits for further requests, as the queue is full.
    pub(super) fn forget_requests(&self) {
        self.missed.store(0, Ordering::Relaxed);
    }

    /// The same file after a 304 with this head (RFC 9111 § 3.2); `None` if it may no longer be stored.
    pub(super) fn validated(
        &self,
        update: &HeaderMap,
        exchange: Exchange,
        versioned: bool,
    ) -> Option<Self> {
        let mut head = self.head.clone();
        if let Some(etag) = &self.validators.etag {
            head.insert(header::ETAG, etag.clone());
        }
        // Without one in the 304, the file is as old as the 304.
        head.remove(header::DATE);
        for name in update.keys().filter(|name| !OF_BODY.contains(name)) {
            head.remove(name);
            for value in update.get_all(name) {
                head.append(name.clone(), value.clone());
            }
        }
        check_storable(StatusCode::OK, &head, self.coding).ok()?;
        let freshness = Freshness::of(&head, exchange, versioned);
        let file = Self::new(head, self.body.clone(), self.coding, freshness);
        Some(match &self.brotli {
            Some(brotli) if file.missed.load(Ordering::Relaxed) == 0 => {
                file.with_brotli(brotli.clone())
            }
            _ => file,
        })
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.head.iter();
        let head: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
            .sum();
        let brotli = self.brotli.as_ref().map_or(0, Bytes::len);
        self.body.len() + brotli + head + FIXED_OVERHEAD
    }

    /// The answer to a GET or HEAD; `None` if the client accepts no coding of the file.
    pub(super) fn respond<B>(
        &self,
        request: &Request<B>,
        accepted: AcceptedCodings,
        now: Timestamp,
    ) -> Option<Response<Body>> {
        let shown = self.representation(accepted)?;
        let headers = request.headers();
        let mut head = self.head.clone();
        head.insert(header::AGE, self.freshness.age(now).into());
        if let Some(etag) = &shown.validators.etag {
            head.insert(header::ETAG, etag.clone());
        }
        if is_unchanged(headers, &shown.validators) {
            head.remove(header::CONTENT_TYPE);
            return Some(answer(StatusCode::NOT_MODIFIED, head, Body::EMPTY));
        }
        if shown.coding != ContentCoding::Identity {
            let name = HeaderValue::from_static(shown.coding.as_str());
            head.insert(header::CONTENT_ENCODING, name);
        }
        let is_part = request.method() == Method::GET
            && range_condition_holds(headers, &shown.validators, self.made);
        let length = shown.body.len();
        let range = if is_part {
            ByteRange::of(headers, length)
        } else {
            RangeOutcome::Whole
        };
        Some(match range {
            RangeOutcome::Whole => answer(StatusCode::OK, head, shown.body.clone().into()),
            RangeOutcome::Part(range) => {
                set_content_range(&mut head, range.content_range());
                let part = shown.body.slice(range.bytes);
                answer(StatusCode::PARTIAL_CONTENT, head, part.into())
            }
            RangeOutcome::Unsatisfiable => {
                set_content_range(&mut head, format!("bytes */{length}"));
                for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                    head.remove(name);
                }
                answer(StatusCode::RANGE_NOT_SATISFIABLE, head, Body::EMPTY)
            }
        })
    }

    /// The body in the coding that the client prefers.
    fn representation(&self, accepted: AcceptedCodings) -> Option<Representation<'_>> {
        let weight = accepted.weight(self.coding);
        let by_brotli = accepted.weight(ContentCoding::Brotli);
        if let Some(brotli) = self
            .brotli
            .as_ref()
            .filter(|_| by_brotli > 0 && by_brotli >= weight)
        {
            return Some(Representation {
                body: brotli,
                coding: ContentCoding::Brotli,
                validators: self.validators.weakened(),
            });
        }
        if weight == 0 {
            return None;
        }
        Some(Representation {
            body: &self.body,
            coding: self.coding,
            validators: match self.coding {
                ContentCoding::Identity => self.validators.clone(),
                // A server may give both codings one strong tag.
                _ => self.validators.weakened(),
            },
        })
    }
}

fn answer(status: StatusCode, head: HeaderMap, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = head;
    answer
}

fn set_content_range(head: &mut HeaderMap, range: String) {
    if let Ok(value) = HeaderValue::try_from(range) {
        head.insert(header::CONTENT_RANGE, value);
    }
}

/// Whether a body is text, which compresses well and is not compressed already.
fn is_text(head: &HeaderMap) -> bool {
    let content_type = head.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next();
    let media_type = media_type.unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/") || TEXTS.contains(&&*media_type)
}

/// Media types of texts beside `text/…`.
const TEXTS: [&str; 7] = [
    "application/javascript",
    "application/x-javascript",
    "application/json",
    "application/manifest+json",
    "application/xml",
    "application/rss+xml",
    "image/svg+xml",
];

/// Requests for brotli after which a file is compressed: not for one that is requested once.
const QUEUED: u8 = 2;

/// Below, a coding saves nothing of a packet.
const LEAST: usize = 1024;

/// Fields that each answer sets anew.
const REPLACED: [header::HeaderName; 5] = [
    header::AGE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ETAG,
    header::CONTENT_RANGE,
];

/// Fields of the stored body, which a 304 does not change.
const OF_BODY: [header::HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
];

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// A name, a value and their places in the map.
const FIELD_OVERHEAD: usize = 128;

/// The struct and its shared pointers.
const FIXED_OVERHEAD: usize = 512;
