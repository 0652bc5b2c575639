//! Failures of an upstream that follow the head of its response.

use std::sync::Arc;

use observe::metrics::{UpstreamFailure, UpstreamKind, WorkerMetrics};

/// Counts what the sender of a request does not learn of, because it has the head already.
#[derive(Clone, Debug)]
pub struct FailureCounter {
    metrics: Arc<WorkerMetrics>,
    upstream: UpstreamKind,
}

// === impl FailureCounter ===

impl FailureCounter {
    /// Counts for upstreams of a kind.
    pub const fn new(metrics: Arc<WorkerMetrics>, upstream: UpstreamKind) -> Self {
        Self { metrics, upstream }
    }

    pub(super) fn count(&self, failure: UpstreamFailure) {
        self.metrics.count_upstream_failure(self.upstream, failure);
    }
}
