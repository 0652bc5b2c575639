//! What the probe of the backends found last.

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
    registry::{Registry, Unit},
};

use model::clock::Timestamp;

/// What the probe found of each backend. One truth for metrics and `/readyz`, so that a reason that
/// does not hold any more leaves no series behind.
#[derive(Clone, Debug, Default)]
pub struct ProbeMetrics(Arc<Mutex<BTreeMap<String, Seen>>>);

/// Whether people can log in at a backend, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good token logs in, and no token does not.
    Ok,
    /// Nothing answers there.
    Unreachable,
    /// Something answers, but opens no session.
    NoSession,
    /// A good token is refused.
    Refused,
    /// A login is not answered.
    NoAnswer,
    /// Somebody without a token is let in.
    Open,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    verdict: Verdict,
    took: Duration,
    at: Timestamp,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    backend: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendLabel {
    backend: String,
}

/// How a number is made of what was seen.
type Reading = fn(&Seen) -> f64;

// === impl ProbeMetrics ===

impl ProbeMetrics {
    /// Notes what was found; answers what was found before, if anything was.
    pub fn note(
        &self,
        backend: &str,
        verdict: Verdict,
        took: Duration,
        at: Timestamp,
    ) -> Option<Verdict> {
        let seen = Seen { verdict, took, at };
        let before = self.lock().insert(backend.to_owned(), seen);
        before.map(|seen| seen.verdict)
    }

    /// Forgets all backends but these.
    pub fn retain(&self, known: impl Fn(&str) -> bool) {
        self.lock().retain(|backend, _| known(backend));
    }

    /// What was found last, by backend.
    pub fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let seen = self.lock();
        seen.iter()
            .map(|(backend, seen)| (backend.clone(), seen.verdict))
            .collect()
    }

    /// Has them written out.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        // Whoever panicked left whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for ProbeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.lock().clone();
        if seen.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "backend_probe_ok",
            "1 if a good token logs in at the backend and no token does not, else 0, by reason",
            None,
            MetricType::Gauge,
        )?;
        for (backend, seen) in &seen {
            let labels = VerdictLabels {
                backend: backend.clone(),
                reason: seen.verdict.as_str(),
            };
            let ok = ConstGauge::new(i64::from(seen.verdict == Verdict::Ok));
            ok.encode(family.encode_family(&labels)?)?;
        }
        let readings: [(&str, &str, Reading); 2] = [
            (
                "backend_probe_duration",
                "How long the last probe of the backend took",
                |seen| seen.took.as_secs_f64(),
            ),
            (
                "backend_probe_time",
                "When the backend was probed last, in seconds since 1970",
                |seen| Duration::from_secs(seen.at.as_unix()).as_secs_f64(),
            ),
        ];
        for (name, help, of) in readings {
            let unit = Some(&Unit::Seconds);
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (backend, seen) in &seen {
                let labels = BackendLabel {
                    backend: backend.clone(),
                };
                ConstGauge::new(of(seen)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

// === impl Verdict ===

impl Verdict {
    /// The word for metrics and `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unreachable => "unreachable",
            Self::NoSession => "no_session",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
            Self::Open => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_for_each_backend_and_none_that_is_over() {
        let probe = ProbeMetrics::default();
        let mut registry = Registry::default();
        probe.register(&mut registry);
        let at = Timestamp::from_unix(1000);
        let note = |verdict| probe.note("one", verdict, Duration::from_millis(20), at);
        assert_eq!(note(Verdict::Refused), None);
        assert_eq!(note(Verdict::Ok), Some(Verdict::Refused));
        probe.note("two", Verdict::Open, Duration::from_secs(1), at);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "backend_probe_ok{backend=\"one\",reason=\"ok\"} 1",
            "backend_probe_ok{backend=\"two\",reason=\"open\"} 0",
            "backend_probe_duration_seconds{backend=\"one\"} 0.02",
            "backend_probe_time_seconds{backend=\"two\"} 1000",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("refused"), "{text}");
        probe.retain(|backend| backend == "two");
        assert_eq!(probe.verdicts().into_keys().collect::<Vec<_>>(), ["two"]);
    }
}
