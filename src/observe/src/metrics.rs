//! What is counted: by each worker for itself, so that no two cores write to one cache line on the
//! data path, and by the control plane; put together when somebody reads it.
//!
//! Every value of a label comes from a closed list in the program; none is taken from what a client
//! sent. `docs/metrics.md` describes all of it, and a test holds it to what is here.

mod control;
mod histogram;
mod probe;
mod process;
mod shards;
mod tally;
mod text;
mod words;
mod worker;
mod workers;

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text::encode, registry::Registry};

pub use self::{
    control::{
        CertificateMetrics, ConfigHash, ControlMetrics, OutcomeLabel, ProviderMetrics,
        ReloadMetrics, StoreMetrics,
    },
    probe::{ProbeMetrics, Verdict},
    shards::{ShardLabel, ShardMetrics, ShardStateLabels},
    text::Format,
    words::{Limit, Stream, Upstream},
    worker::{Open, WorkerMetrics},
};
use self::{process::Process, workers::Workers};

/// All metrics, ready to be written out.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

// === impl Metrics ===

impl Metrics {
    /// Metrics over these workers, of a process that started at that second since 1970.
    pub fn new(workers: Vec<Arc<WorkerMetrics>>, control: &ControlMetrics, started: u64) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process {
            started,
            config_hash: control.config_hash.clone(),
        }));
        let own = registry.sub_registry_with_prefix("gateway");
        control.register(own);
        own.register_collector(Box::new(Workers(workers)));
        Self { registry }
    }

    /// The text that Prometheus reads.
    pub fn encode(&self, format: Format) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => format.write(text),
            Err(fmt::Error) => String::from("# EOF\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use model::route::{Label, Transport};

    fn written(workers: Vec<Arc<WorkerMetrics>>, control: &ControlMetrics) -> String {
        Metrics::new(workers, control, 1_800_000_000).encode(Format::OpenMetrics)
    }

    #[test]
    fn workers_are_summed() {
        let workers = vec![
            Arc::new(WorkerMetrics::default()),
            Arc::new(WorkerMetrics::default()),
        ];
        let mut open = Vec::new();
        for worker in &workers {
            worker.answered(Label::Bosh, StatusCode::OK, Duration::from_millis(3));
            worker.decided("moderator");
            worker.entered(Transport::WebSocket, "participant");
            worker.cut(Transport::Bosh, "back_channel");
            worker.upstream_failed(Upstream::Xmpp, "connect");
            worker.limited(Limit::Body);
            open.extend([
                worker.open(Stream::WebSocket),
                worker.open(Stream::WebSocket),
            ]);
        }
        open.pop();
        workers[0].decided("made up");
        workers[0].cut(Transport::Bosh, "made up");
        let control = ControlMetrics::default();
        let ok = OutcomeLabel { outcome: "ok" };
        control.sign_ins.get_or_create(&ok).inc();
        let text = written(workers, &control);
        for line in [
            "gateway_requests_total{route=\"bosh\",status=\"2xx\"} 2",
            "gateway_request_duration_seconds_bucket{le=\"0.0025\",route=\"bosh\"} 0",
            "gateway_request_duration_seconds_bucket{le=\"0.005\",route=\"bosh\"} 2",
            "gateway_request_duration_seconds_count{route=\"bosh\"} 2",
            "gateway_admissions_total{outcome=\"admitted\",reason=\"moderator\"} 2",
            "gateway_admissions_total{outcome=\"refused\",reason=\"closed\"} 0",
            "gateway_entries_total{transport=\"websocket\",role=\"participant\"} 2",
            "gateway_cuts_total{transport=\"bosh\",reason=\"back_channel\"} 2",
            "gateway_upstream_failures_total{upstream=\"xmpp\",kind=\"connect\"} 2",
            "gateway_limits_total{limit=\"body_size\"} 2",
            "gateway_streams_open{kind=\"websocket\"} 3",
            "gateway_sign_ins_total{outcome=\"ok\"} 1",
            "gateway_bosh_sessions_total 0",
            "process_start_time_seconds 1800000000",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("made up"));
    }

    #[test]
    fn what_happens_adds_no_series() {
        let workers = vec![Arc::new(WorkerMetrics::default())];
        let series = |workers: &[Arc<WorkerMetrics>]| {
            let text = written(workers.to_vec(), &ControlMetrics::default());
            text.lines().filter(|line| !line.starts_with('#')).count()
        };
        let before = series(&workers);
        for route in Label::ALL {
            for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
                workers[0].answered(route, status, Duration::from_secs(100));
            }
        }
        assert_eq!(series(&workers), before);
    }

    #[test]
    fn only_the_configuration_in_use_is_told() {
        let control = ControlMetrics::default();
        control.config_hash.set("first");
        control.config_hash.set("second");
        let text = written(Vec::new(), &control);
        assert!(
            text.contains("gateway_config_info{hash=\"second\"} 1"),
            "{text}"
        );
        assert!(!text.contains("first"));
    }
}
