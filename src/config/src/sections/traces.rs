//! `[traces]`: OpenTelemetry traces.

use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault};
use observe::traces::{ARE_BUILT_IN, TracesSettings};

/// Exports a span for each request to an OpenTelemetry collector (OTLP over HTTP). Requires a build
/// with the feature `otel`. Disabled unless `endpoint` is set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTraces {
    /// The collector's URL for traces, without TLS.
    #[schemars(example = "http://collector:4318/v1/traces")]
    endpoint: Option<String>,
    /// The percentage of requests that is sampled. The sampling decision of a trusted proxy takes
    /// precedence.
    #[schemars(range(max = 100))]
    percent: u8,
}

// === impl RawTraces ===

impl RawTraces {
    /// `None` if traces are disabled or a problem was reported.
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<TracesSettings> {
        let endpoint = section.parse("endpoint", self.endpoint, parse_endpoint)?;
        if self.percent > 100 {
            section.reject("percent", "more than 100", "write a number from 0 to 100");
            return None;
        }
        Some(TracesSettings {
            endpoint,
            percent: self.percent,
        })
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

fn parse_endpoint(text: &str) -> Result<Uri, Fault> {
    if !ARE_BUILT_IN {
        return Err(Fault::new(
            "this program was built without traces",
            "build it with --features otel, or remove the key",
        ));
    }
    let is_plain_http = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    text.parse::<Uri>()
        .ok()
        .filter(is_plain_http)
        .ok_or_else(|| {
            let remedy = "write for example http://collector:4318/v1/traces";
            Fault::new("not an http:// URL", remedy)
        })
}
