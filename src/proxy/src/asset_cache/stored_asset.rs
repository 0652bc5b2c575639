//! A stored file, and the answers made of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::Body;
use model::{
    caching::{
        AcceptedCodings, ByteRange, ContentCoding, Exchange, Freshness, RangeOutcome, Validators,
        check_storable, is_unchanged, range_condition_holds, response_date,
    },
    clock::Timestamp,
};

/// A file as the web server sent it.
#[derive(Clone, Debug)]
pub(super) struct StoredAsset {
    /// The fields of every answer, without those of a coding.
    head: HeaderMap,
    body: Bytes,
    coding: ContentCoding,
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
        if coding != ContentCoding::Identity {
            head.insert(header::VARY, ACCEPT_ENCODING);
        }
        head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Self {
            made: response_date(&head),
            head,
            body,
            coding,
            validators,
            freshness,
        }
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
        let body = self.body.clone();
        Some(Self::new(head, body, self.coding, freshness))
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.head.iter();
        let head: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
            .sum();
        self.body.len() + head + FIXED_OVERHEAD
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
        if accepted.weight(self.coding) == 0 {
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
