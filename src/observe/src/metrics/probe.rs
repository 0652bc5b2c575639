//! Results of the login probe, by backend.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};

use super::labels::label_values;
use model::clock::Timestamp;

/// The last result of the login probe for each backend, for `/metrics` and `/readyz`. A collector
/// rather than a `Family`: a backend has one series, whose `reason` changes.
#[derive(Clone, Debug, Default)]
pub struct ProbeMetrics(Arc<Mutex<BTreeMap<String, LastProbe>>>);

label_values! {
    /// Whether a backend admits logins with a token and refuses logins without one.
    pub enum ProbeVerdict {
        /// A valid token logs in, an anonymous login is refused.
        Ok = "ok",
        /// No connection.
        Unreachable = "unreachable",
        /// The server creates no BOSH session.
        NoSession = "no_session",
        /// A valid token is refused.
        Refused = "refused",
        /// A login gets no response.
        NoAnswer = "no_answer",
        /// A login without a token succeeds.
        Open = "open",
    }
}

#[derive(Clone, Copy, Debug)]
struct LastProbe {
    verdict: ProbeVerdict,
    took: Duration,
    at: Timestamp,
}

/// The value of a gauge.
type Reading = fn(&LastProbe) -> f64;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    backend: String,
    reason: ProbeVerdict,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendLabels {
    backend: String,
}

// === impl ProbeMetrics ===

impl ProbeMetrics {
    /// Records a result and returns the backend's previous verdict.
    pub fn record(
        &self,
        backend: &str,
        verdict: ProbeVerdict,
        took: Duration,
        at: Timestamp,
    ) -> Option<ProbeVerdict> {
        let result = LastProbe { verdict, took, at };
        let previous = self.lock().insert(backend.to_owned(), result);
        previous.map(|result| result.verdict)
    }

    /// Removes the backends for which `known` returns `false`.
    pub fn retain(&self, known: impl Fn(&str) -> bool) {
        self.lock().retain(|backend, _| known(backend));
    }

    /// The last verdict by backend.
    pub fn verdicts(&self) -> BTreeMap<String, ProbeVerdict> {
        let results = self.lock();
        results
            .iter()
            .map(|(backend, result)| (backend.clone(), result.verdict))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LastProbe>> {
        // Every critical section is one map operation, so a panic leaves no partial entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for ProbeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let results = self.lock().clone();
        if results.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "backend_probe_ok",
            "1 if a valid token logs in at the backend and an anonymous login is refused, else 0",
            None,
            MetricType::Gauge,
        )?;
        for (backend, result) in &results {
            let labels = VerdictLabels {
                backend: backend.clone(),
                reason: result.verdict,
            };
            let ok = ConstGauge::new(i64::from(result.verdict == ProbeVerdict::Ok));
            ok.encode(family.encode_family(&labels)?)?;
        }
        let gauges: [(&str, &str, Reading); 2] = [
            (
                "backend_probe_duration",
                "Duration of the last probe of the backend",
                |result| result.took.as_secs_f64(),
            ),
            (
                "backend_probe_timestamp",
                "When the backend was last probed, in seconds since 1970",
                |result| Duration::from_secs(result.at.as_unix()).as_secs_f64(),
            ),
        ];
        for (name, help, value) in gauges {
            let unit = Some(&Unit::Seconds);
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (backend, result) in &results {
                let labels = BackendLabels {
                    backend: backend.clone(),
                };
                ConstGauge::new(value(result)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn each_backend_has_one_series_with_its_last_reason() {
        let probe = ProbeMetrics::default();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(probe.clone()));
        let at = Timestamp::from_unix(1000);
        let record = |verdict| probe.record("one", verdict, Duration::from_millis(20), at);
        assert_eq!(record(ProbeVerdict::Refused), None);
        assert_eq!(record(ProbeVerdict::Ok), Some(ProbeVerdict::Refused));
        probe.record("two", ProbeVerdict::Open, Duration::from_secs(1), at);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "backend_probe_ok{backend=\"one\",reason=\"ok\"} 1",
            "backend_probe_ok{backend=\"two\",reason=\"open\"} 0",
            "backend_probe_duration_seconds{backend=\"one\"} 0.02",
            "backend_probe_timestamp_seconds{backend=\"two\"} 1000",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("refused\""), "{text}");
        probe.retain(|backend| backend == "two");
        assert_eq!(probe.verdicts().into_keys().collect::<Vec<_>>(), ["two"]);
    }
}
