//! Placeholders without values, for programs built without the feature `otel`.

use std::convert::Infallible;

use http::{HeaderMap, Method, StatusCode};
use tokio::runtime::Handle;

use super::{Traceparent, TracesSettings, TracesSetupError};
use model::route::Label;

/// Has no values.
#[derive(Clone, Debug)]
pub struct Traces(Infallible);

/// Has no values.
#[derive(Debug)]
pub struct RequestSpan(Infallible);

// === impl Traces ===

impl Traces {
    /// Returns [`TracesSetupError::Absent`].
    pub fn start(_settings: &TracesSettings, _runtime: Handle) -> Result<Self, TracesSetupError> {
        Err(TracesSetupError::Absent)
    }

    /// Unreachable.
    pub fn begin(&self, _continued: Option<&HeaderMap>) -> RequestSpan {
        match self.0 {}
    }

    /// Unreachable.
    pub fn stop(&self) {
        match self.0 {}
    }
}

// === impl RequestSpan ===

impl RequestSpan {
    /// Unreachable.
    pub fn traceparent(&self) -> Traceparent {
        match self.0 {}
    }

    /// Unreachable.
    pub fn end(self, _method: &Method, _route: Label, _status: StatusCode, _id: String) {
        match self.0 {}
    }
}
