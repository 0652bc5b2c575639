//! The counters of all workers, summed when `/metrics` is read.
//!
//! Every value of every label is written, at zero before the first event: the number of series is
//! constant, and `rate()` sees the first event.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{
    WorkerMetrics,
    histogram::Durations,
    label_counters::{Count, PerLabel},
    labels::{AdmissionReason, LabelValue, StreamKind},
};

/// The counters of all workers.
#[derive(Debug)]
pub(super) struct Workers(pub(super) Vec<Arc<WorkerMetrics>>);

/// Name and help text of a metric.
#[derive(Clone, Copy)]
struct About {
    name: &'static str,
    help: &'static str,
}

/// Writes the metrics of all workers.
struct Writer<'w, 'e> {
    workers: &'w [Arc<WorkerMetrics>],
    encoder: DescriptorEncoder<'e>,
}

// === impl Workers ===

impl Collector for Workers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer {
            workers: &self.0,
            encoder,
        };
        writer.traffic()?;
        writer.admissions()?;
        writer.upstreams()
    }
}

// === impl Writer ===

impl Writer<'_, '_> {
    fn traffic(&mut self) -> fmt::Result {
        self.grid(
            About {
                name: "requests",
                help: "Responses by route and status class",
            },
            ["route", "status"],
            |worker| &worker.requests,
        )?;
        self.histograms(
            About {
                name: "request_duration",
                help: "Time from the request head to the response head, by route; for bosh, long \
                       polls included",
            },
            "route",
            |worker| &worker.request_durations,
        )?;
        self.streams()?;
        let connections = self.encoder.encode_descriptor(
            "connections_open",
            "Open client connections",
            None,
            MetricType::Gauge,
        )?;
        let open = self.workers.iter().map(|worker| worker.open_connections());
        ConstGauge::new(open.sum::<i64>()).encode(connections)?;
        self.row(
            About {
                name: "tls_handshakes",
                help: "TLS handshakes with clients by outcome",
            },
            "outcome",
            |worker| &worker.handshakes,
        )?;
        self.row(
            About {
                name: "limits",
                help: "Requests, connections and streams that a limit refused",
            },
            "limit",
            |worker| &worker.limits,
        )?;
        self.grid(
            About {
                name: "api_requests",
                help: "Requests to the API by operation and outcome",
            },
            ["operation", "outcome"],
            |worker| &worker.api_requests,
        )
    }

    fn streams(&mut self) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(
            "streams_open",
            "Open WebSockets, polling BOSH sessions and event streams",
            None,
            MetricType::Gauge,
        )?;
        for kind in StreamKind::ALL {
            let open = self.workers.iter().map(|worker| worker.open_streams(*kind));
            let gauge = ConstGauge::new(open.sum::<i64>());
            gauge.encode(family.encode_family(&[("kind", *kind)])?)?;
        }
        Ok(())
    }

    fn admissions(&mut self) -> fmt::Result {
        self.outcomes(
            About {
                name: "admissions",
                help: "Decisions of the room policy on visitors who want to enter",
            },
            |worker| &worker.admissions,
            AdmissionReason::outcome,
        )?;
        self.grid(
            About {
                name: "entries",
                help: "Admitted connections to Prosody by transport and role",
            },
            ["transport", "role"],
            |worker| &worker.entries,
        )?;
        self.grid(
            About {
                name: "cuts",
                help: "WebSockets and BOSH sessions that the gateway closed, by reason",
            },
            ["transport", "reason"],
            |worker| &worker.cuts,
        )?;
        self.row(
            About {
                name: "location_cuts",
                help: "WebSockets and requests of locations that the gateway ended, by reason",
            },
            "reason",
            |worker| &worker.location_cuts,
        )
    }

    fn upstreams(&mut self) -> fmt::Result {
        self.counter(
            About {
                name: "session_renewals",
                help: "Session cookies issued again for sessions in use",
            },
            |worker| &worker.renewals,
        )?;
        self.histograms(
            About {
                name: "upstream_duration",
                help: "Time to the head of an upstream's response, without long polls",
            },
            "upstream",
            |worker| &worker.upstream_durations,
        )?;
        self.grid(
            About {
                name: "upstream_failures",
                help: "Upstream requests without a usable response, by kind of failure",
            },
            ["upstream", "kind"],
            |worker| &worker.upstream_failures,
        )?;
        self.row(
            About {
                name: "cache_requests",
                help: "Requests for static files of Jitsi's web server, by how they were answered",
            },
            "outcome",
            |worker| &worker.cache_requests,
        )?;
        self.counter(
            About {
                name: "bosh_sessions",
                help: "Created BOSH sessions",
            },
            |worker| &worker.bosh_sessions,
        )?;
        let waits = self.encoder.encode_descriptor(
            "bosh_wait",
            "Time until Prosody's response to a long poll",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let shares = self.workers.iter().map(|worker| &worker.bosh_waits);
        Durations::total(shares).encode(waits)
    }

    fn counter(&mut self, about: About, of: fn(&WorkerMetrics) -> &Count) -> fmt::Result {
        let metric =
            self.encoder
                .encode_descriptor(about.name, about.help, None, MetricType::Counter)?;
        ConstCounter::new(sum(self.workers, of)).encode(metric)
    }

    /// A counter with one label.
    fn row<L: LabelValue, const N: usize>(
        &mut self,
        about: About,
        label: &'static str,
        of: fn(&WorkerMetrics) -> &PerLabel<L, Count, N>,
    ) -> fmt::Result {
        let workers = self.workers;
        let series = L::ALL.iter().map(|value| {
            let count = sum(workers, |worker| of(worker).of(*value));
            ([(label, value.as_str())], count)
        });
        self.counters(about, series)
    }

    /// A counter with the labels `outcome` and `reason`, where the reason implies the outcome.
    fn outcomes<L: LabelValue, const N: usize>(
        &mut self,
        about: About,
        of: fn(&WorkerMetrics) -> &PerLabel<L, Count, N>,
        outcome: fn(L) -> &'static str,
    ) -> fmt::Result {
        let workers = self.workers;
        let series = L::ALL.iter().map(|reason| {
            let count = sum(workers, |worker| of(worker).of(*reason));
            let labels = [("outcome", outcome(*reason)), ("reason", reason.as_str())];
            (labels, count)
        });
        self.counters(about, series)
    }

    /// A counter with two independent labels.
    fn grid<R: LabelValue, C: LabelValue, const ROWS: usize, const COLUMNS: usize>(
        &mut self,
        about: About,
        [row_label, column_label]: [&'static str; 2],
        of: fn(&WorkerMetrics) -> &PerLabel<R, PerLabel<C, Count, COLUMNS>, ROWS>,
    ) -> fmt::Result {
        let workers = self.workers;
        let pairs = R::ALL
            .iter()
            .flat_map(|row| C::ALL.iter().map(move |column| (*row, *column)));
        let series = pairs.map(|(row, column)| {
            let count = sum(workers, |worker| of(worker).of(row).of(column));
            let labels = [(row_label, row.as_str()), (column_label, column.as_str())];
            (labels, count)
        });
        self.counters(about, series)
    }

    fn counters<S: EncodeLabelSet>(
        &mut self,
        about: About,
        series: impl Iterator<Item = (S, u64)>,
    ) -> fmt::Result {
        let mut family =
            self.encoder
                .encode_descriptor(about.name, about.help, None, MetricType::Counter)?;
        for (labels, count) in series {
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A histogram of durations with one label.
    fn histograms<L: LabelValue, const N: usize>(
        &mut self,
        about: About,
        label: &'static str,
        of: fn(&WorkerMetrics) -> &PerLabel<L, Durations, N>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(
            about.name,
            about.help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for value in L::ALL {
            let shares = self.workers.iter().map(|worker| of(worker).of(*value));
            let labels = [(label, value.as_str())];
            Durations::total(shares).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn sum(workers: &[Arc<WorkerMetrics>], of: impl Fn(&WorkerMetrics) -> &Count) -> u64 {
    workers.iter().map(|worker| of(worker).get()).sum()
}
