//! Traces for an OpenTelemetry collector: a span per request, whose parent may be a trusted proxy's
//! span and whose child may be a span of Jitsi's web server.
//!
//! Without the feature `otel`, [`Traces`] has no values and [`Traces::start`] returns an error.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod export;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

#[cfg(not(feature = "otel"))]
pub use self::absent::{RequestSpan, Traces};
#[cfg(feature = "otel")]
pub use self::export::{RequestSpan, Traces};

/// The section `[traces]`.
#[derive(Clone, Debug)]
pub struct TracesSettings {
    /// The collector's OTLP/HTTP endpoint, for example `http://collector:4318/v1/traces`.
    pub endpoint: Uri,
    /// Percentage of requests traced, where no trusted proxy made the sampling decision.
    pub percent: u8,
}

/// Why traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracesSetupError {
    /// Built without the feature `otel`.
    #[error("the program was built without the feature otel")]
    Absent,
    /// The exporter refused the settings.
    #[error("cannot set up the trace exporter: {0}")]
    Exporter(String),
}

/// The header `traceparent` (W3C Trace Context § 3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

// === impl Traceparent ===

impl Traceparent {
    /// Sets the header on an upstream request, and removes the client's `tracestate` and `baggage`.
    pub fn put(self, headers: &mut HeaderMap) {
        let value = HeaderValue::try_from(self.to_string());
        // Infallible: hexadecimal digits and hyphens.
        headers.insert(TRACEPARENT, value.expect("visible ASCII"));
        headers.remove("tracestate");
        headers.remove("baggage");
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (
            u128::from_be_bytes(self.trace),
            u64::from_be_bytes(self.span),
        );
        write!(
            f,
            "00-{trace:032x}-{span:016x}-{:02x}",
            u8::from(self.sampled)
        )
    }
}

impl fmt::Debug for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traceparent({self})")
    }
}

/// Whether the feature `otel` is enabled.
pub const ARE_BUILT_IN: bool = cfg!(feature = "otel");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn put_replaces_the_trace_headers_of_the_client() {
        let traceparent = Traceparent {
            trace: [0xab; 16],
            span: [1, 2, 3, 4, 5, 6, 7, 8],
            sampled: true,
        };
        let mut headers = HeaderMap::new();
        for name in ["traceparent", "tracestate", "baggage"] {
            headers.insert(name, HeaderValue::from_static("client"));
        }
        traceparent.put(&mut headers);
        let expected = "00-abababababababababababababababab-0102030405060708-01";
        assert_eq!(headers["traceparent"], expected);
        assert_eq!(headers.len(), 1);
    }
}
