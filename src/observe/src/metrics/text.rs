//! The two forms in which metrics are written.

use http::{HeaderMap, header};

/// A form that metrics are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0, which Prometheus asks for.
    OpenMetrics,
    /// Prometheus' own text, for whatever else reads it.
    Prometheus,
}

// === impl Format ===

impl Format {
    /// What whoever asks can read.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        if accepted.any(|value| value.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// From `OpenMetrics` to this.
    pub(super) fn write(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => to_prometheus(&text),
        }
    }
}

/// There a family has the name of its samples, suffix and all; and there are neither units, nor
/// infos, nor an end.
fn to_prometheus(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let described = |keyword| {
            let rest: &str = line.strip_prefix(keyword)?;
            rest.split_once(' ')
        };
        if let Some(described) = described("# HELP ") {
            help = Some(described);
        } else if let Some((name, kind)) = described("# TYPE ") {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                push(&mut lines, &["# HELP ", name, suffix, " ", help]);
            }
            push(&mut lines, &["# TYPE ", name, suffix, " ", kind]);
        } else if !line.starts_with('#') {
            push(&mut lines, &[line]);
        }
    }
    lines
}

fn push(lines: &mut String, parts: &[&str]) {
    lines.extend(parts.iter().copied().chain(["\n"]));
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn families_are_named_as_their_samples() {
        let text = "# HELP a_b Help.\n# TYPE a_b counter\na_b_total{x=\"y\"} 1\n\
                    # HELP d_seconds D.\n# TYPE d_seconds histogram\n# UNIT d_seconds seconds\n\
                    d_seconds_sum 0.0\n# HELP v V.\n# TYPE v info\nv_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_b_total Help.\n# TYPE a_b_total counter\na_b_total{x=\"y\"} 1\n\
                        # HELP d_seconds D.\n# TYPE d_seconds histogram\nd_seconds_sum 0.0\n\
                        # HELP v_info V.\n# TYPE v_info gauge\nv_info{v=\"1\"} 1\n";
        assert_eq!(Format::Prometheus.write(text.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.write(text.to_owned()), text);
    }

    #[test]
    fn whoever_asks_for_open_metrics_gets_them() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some("text/plain"), Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (None, Format::Prometheus),
        ] {
            let value = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            assert_eq!(Format::accepted(&value.into_iter().collect()), format);
        }
    }
}
