//! What one worker counts. On the way of a request there is nothing but additions to memory that no
//! other core writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use super::{
    histogram::Durations,
    tally::Tally,
    words::{
        ADMISSIONS, CUTS, FAILURES, HANDSHAKES, Limit, ROLES, STATUS_CLASSES, Stream, TRANSPORTS,
        UPSTREAMS, Upstream,
    },
};
use model::route::{Label, Transport};

/// What one worker counts.
///
/// Aligned so that no two workers' counters share a cache line, nor the pair of lines that is
/// fetched together.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    pub(super) requests: [Tally<{ STATUS_CLASSES.len() }>; Label::ALL.len()],
    pub(super) request_durations: [Durations; Label::ALL.len()],
    pub(super) admissions: Tally<{ ADMISSIONS.len() }>,
    pub(super) entries: [Tally<{ ROLES.len() }>; TRANSPORTS],
    pub(super) cuts: [Tally<{ CUTS.len() }>; TRANSPORTS],
    pub(super) upstream_durations: [Durations; UPSTREAMS],
    pub(super) upstream_failures: [Tally<{ FAILURES.len() }>; UPSTREAMS],
    pub(super) bosh_waits: Durations,
    pub(super) bosh_sessions: AtomicU64,
    pub(super) renewals: AtomicU64,
    pub(super) limits: Tally<{ Limit::ALL.len() }>,
    pub(super) handshakes: Tally<{ HANDSHAKES.len() }>,
    pub(super) streams: [AtomicI64; Stream::ALL.len()],
    pub(super) connections: AtomicI64,
}

/// Something that is open and counted as such until it is dropped.
#[derive(Debug)]
pub struct Open {
    metrics: Arc<WorkerMetrics>,
    stream: Stream,
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    /// Counts an answered request, and how long its answer took to begin.
    pub fn answered(&self, route: Label, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(row) = self.requests.get(route as usize) {
            row.add(class);
        }
        if let Some(durations) = self.request_durations.get(route as usize) {
            durations.add(took);
        }
    }

    /// Counts a decision of the rules, by its word.
    pub fn decided(&self, word: &'static str) {
        let at = ADMISSIONS.iter().position(|known| known.word == word);
        self.admissions.add(at.unwrap_or(usize::MAX));
    }

    /// Counts a connection to Prosody that somebody got a token for, or needs none.
    pub fn entered(&self, transport: Transport, role: &'static str) {
        if let Some(row) = self.entries.get(transport as usize) {
            row.add_word(&ROLES, role);
        }
    }

    /// Counts a socket or stream that the gateway ended, by the reason.
    pub fn cut(&self, transport: Transport, reason: &'static str) {
        if let Some(row) = self.cuts.get(transport as usize) {
            row.add_word(&CUTS, reason);
        }
    }

    /// Counts an answer of a server behind us, by how long its head took.
    pub fn upstream_answered(&self, upstream: Upstream, took: Duration) {
        if let Some(durations) = self.upstream_durations.get(upstream as usize) {
            durations.add(took);
        }
    }

    /// Counts a server behind us that gave no answer worth reading, by the kind of failure.
    pub fn upstream_failed(&self, upstream: Upstream, kind: &'static str) {
        if let Some(row) = self.upstream_failures.get(upstream as usize) {
            row.add_word(&FAILURES, kind);
        }
    }

    /// Counts a long poll that Prosody answered.
    pub fn bosh_waited(&self, took: Duration) {
        self.bosh_waits.add(took);
    }

    /// Counts a new BOSH session.
    pub fn bosh_session(&self) {
        self.bosh_sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a session cookie that was made anew because its person is still there.
    pub fn renewed(&self) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts something that was refused because it was too much.
    pub fn limited(&self, limit: Limit) {
        self.limits.add(limit as usize);
    }

    /// Counts a TLS handshake by its outcome.
    pub fn handshake(&self, outcome: &'static str) {
        self.handshakes.add_word(&HANDSHAKES, outcome);
    }

    /// One stream more, until the answer is dropped.
    pub fn open(self: &Arc<Self>, stream: Stream) -> Open {
        if let Some(open) = self.streams.get(stream as usize) {
            open.fetch_add(1, Ordering::Relaxed);
        }
        Open {
            metrics: Arc::clone(self),
            stream,
        }
    }

    /// One connection more, or less.
    pub fn connections(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// How many WebSockets are open.
    pub fn open_sockets(&self) -> i64 {
        self.open_streams(Stream::WebSocket)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn open_streams(&self, stream: Stream) -> i64 {
        let open = self.streams.get(stream as usize);
        open.map_or(0, |open| open.load(Ordering::Relaxed))
    }
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| Tally::default()),
            request_durations: std::array::from_fn(|_| Durations::of_answers()),
            admissions: Tally::default(),
            entries: std::array::from_fn(|_| Tally::default()),
            cuts: std::array::from_fn(|_| Tally::default()),
            upstream_durations: std::array::from_fn(|_| Durations::of_answers()),
            upstream_failures: std::array::from_fn(|_| Tally::default()),
            bosh_waits: Durations::of_waits(),
            bosh_sessions: AtomicU64::default(),
            renewals: AtomicU64::default(),
            limits: Tally::default(),
            handshakes: Tally::default(),
            streams: std::array::from_fn(|_| AtomicI64::default()),
            connections: AtomicI64::default(),
        }
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(open) = self.metrics.streams.get(self.stream as usize) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
