//! Traces for an OpenTelemetry collector: a span for each request, continued from a proxy that is
//! trusted and continued by Jitsi's web server.
//!
//! They are there only in programs that are built with the feature `otel`; in others
//! [`Traces`] cannot be made, and whoever configures it is told so.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod export;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

#[cfg(not(feature = "otel"))]
pub use self::absent::{Span, Traces};
#[cfg(feature = "otel")]
pub use self::export::{Span, Traces};

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector's address for traces, as `http://collector:4318/v1/traces`.
    pub endpoint: Uri,
    /// How many of a hundred requests are traced of which no trusted proxy has decided.
    pub percent: u8,
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The program was built without them.
    #[error("this program was built without the feature otel, so it sends no traces")]
    Absent,
    /// The library cannot use the settings.
    #[error("traces cannot be set up: {0}")]
    Exporter(String),
}

/// The place of a span in its trace, as the header `traceparent` (W3C Trace Context § 3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

// === impl Traceparent ===

impl Traceparent {
    /// The header for a request that continues the trace. What came as such a header, and what else
    /// belongs to it, is replaced.
    pub fn put(self, headers: &mut HeaderMap) {
        let value = HeaderValue::try_from(self.to_string());
        headers.insert(
            TRACEPARENT,
            value.expect("hexadecimal digits can stand in a header"),
        );
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

/// Whether a program was built so that it can send traces.
pub const ARE_BUILT_IN: bool = cfg!(feature = "otel");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_replaces_what_came() {
        let traceparent = Traceparent {
            trace: [0xab; 16],
            span: [1, 2, 3, 4, 5, 6, 7, 8],
            sampled: true,
        };
        let mut headers = HeaderMap::new();
        for name in ["traceparent", "tracestate", "baggage"] {
            headers.insert(name, HeaderValue::from_static("stranger"));
        }
        traceparent.put(&mut headers);
        let expected = "00-abababababababababababababababab-0102030405060708-01";
        assert_eq!(headers["traceparent"], expected);
        assert_eq!(headers.len(), 1);
    }
}
