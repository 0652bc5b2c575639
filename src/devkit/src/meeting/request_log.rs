//! The latest requests, for tests.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};

/// A request; with its body, if it is a conference request.
#[derive(Clone)]
pub struct ReceivedRequest {
    /// The kind, by path and body.
    pub kind: RequestKind,
    /// The HTTP method.
    pub method: Method,
    /// The path, undecoded.
    pub path: String,
    /// The query, undecoded.
    pub query: Option<String>,
    /// All headers, unchanged.
    pub headers: HeaderMap,
    /// The body of a conference request.
    pub body: Option<Bytes>,
}

/// The kinds of requests to a meeting backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A page or a file, or a keep-alive request on a signalling path.
    Web,
    /// An upgrade to WebSocket, which may have a token.
    WebSocket,
    /// A request that opens a BOSH session, which may have a token.
    BoshSession,
    /// A later request of a BOSH session.
    BoshRequest,
    /// A conference request to Jicofo, which has a token.
    ConferenceRequest,
}

/// The latest requests, at most [`MAX_KEPT`].
#[derive(Debug, Default)]
pub(super) struct RequestLog(Mutex<VecDeque<ReceivedRequest>>);

// === impl ReceivedRequest ===

impl ReceivedRequest {
    pub(super) fn of<B>(kind: RequestKind, request: &Request<B>) -> Self {
        Self {
            kind,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(ToOwned::to_owned),
            headers: request.headers().clone(),
            body: None,
        }
    }
}

/// Omits query and headers, which may contain tokens.
impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.kind, self.method, self.path)
    }
}

// === impl RequestLog ===

impl RequestLog {
    pub(super) fn add<B>(&self, kind: RequestKind, request: &Request<B>) {
        self.push(ReceivedRequest::of(kind, request));
    }

    pub(super) fn push(&self, received: ReceivedRequest) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= MAX_KEPT {
            log.pop_front();
        }
        log.push_back(received);
    }

    pub(super) fn all(&self) -> Vec<ReceivedRequest> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().cloned().collect()
    }
}

/// More requests than a test sends; bounds the memory of a long demonstration.
const MAX_KEPT: usize = 1024;
