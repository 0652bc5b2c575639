//! What came in, for tests to look at.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, Method, Request};

/// A request as it arrived.
#[derive(Clone)]
pub struct ReceivedRequest {
    /// What it asked for.
    pub kind: RequestKind,
    /// The method.
    pub method: Method,
    /// The path, undecoded.
    pub path: String,
    /// The query, undecoded.
    pub query: Option<String>,
    /// The header fields.
    pub headers: HeaderMap,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A page or a file; a keep-alive without an upgrade.
    Web,
    /// A WebSocket: its token is read.
    WebSocket,
    /// A new BOSH session: its token is read.
    BoshSession,
    /// A request within a BOSH session.
    BoshRequest,
}

/// The latest requests.
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
        }
    }
}

/// Without query and header, which can hold tokens.
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

/// More than a test makes, less than a long demonstration would gather.
const MAX_KEPT: usize = 1024;
