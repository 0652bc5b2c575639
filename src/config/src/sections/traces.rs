//! `[traces]`: where OpenTelemetry traces go.

use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::{Fault, Section};
use observe::traces::{ARE_BUILT_IN, TracesSettings};

/// A span for each request, for an OpenTelemetry collector (OTLP over HTTP). Only in programs that
/// are built with the feature `otel`, and off unless `endpoint` is there.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTraces {
    /// The collector's address for traces, without TLS.
    #[schemars(example = "http://collector:4318/v1/traces")]
    endpoint: Option<String>,
    /// How many of a hundred requests are traced. What a trusted proxy has decided for a request
    /// comes first.
    #[schemars(range(max = 100))]
    percent: u8,
}

// === impl RawTraces ===

impl RawTraces {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<TracesSettings> {
        let endpoint = section.keep("endpoint", endpoint(&self.endpoint?))?;
        let percent = if self.percent <= 100 {
            Ok(self.percent)
        } else {
            Err(Fault::new("more than 100", "write a number from 0 to 100"))
        };
        let percent = section.keep("percent", percent)?;
        Some(TracesSettings { endpoint, percent })
    }
}

impl Default for RawTraces {
    fn default() -> Self {
        Self {
            endpoint: None,
            percent: 100,
        }
    }
}

fn endpoint(text: &str) -> Result<Uri, Fault> {
    if !ARE_BUILT_IN {
        return Err(Fault::new(
            "this program was built without traces",
            "build it with --features otel, or remove the key",
        ));
    }
    let uri = text.parse::<Uri>().ok();
    let plain = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    uri.filter(plain).ok_or_else(|| {
        Fault::new(
            "not an http:// address",
            "write for example http://collector:4318/v1/traces",
        )
    })
}
