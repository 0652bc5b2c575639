//! All workers' counters together, summed when somebody asks.
//!
//! Every word of every list is written, at zero if nothing happened yet: so that the number of
//! series is the same whatever clients do, and a first event is seen as one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{
    WorkerMetrics,
    histogram::Durations,
    tally::Tally,
    words::{
        ADMISSIONS, CUTS, FAILURES, HANDSHAKES, Limit, ROLES, STATUS_CLASSES, Stream, Upstream,
    },
};
use model::route::{Label, Transport};

/// The workers' counters.
#[derive(Debug)]
pub(super) struct Workers(pub(super) Vec<Arc<WorkerMetrics>>);

/// Names and values of labels.
type Labels<'l, const N: usize> = [(&'static str, &'static str); N];

/// Where in a worker's counters something is.
type Cell<T> = fn(&WorkerMetrics) -> &T;

// === impl Workers ===

impl Workers {
    /// A family of counters with two labels, each over a list of words.
    fn grid<const N: usize>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        rows: (&'static str, &[&'static str]),
        columns: (&'static str, &[&'static str; N]),
        of: impl Fn(&WorkerMetrics, usize) -> Option<&Tally<N>>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (row, row_word) in rows.1.iter().enumerate() {
            for (column, column_word) in columns.1.iter().enumerate() {
                let count =
                    |worker: &WorkerMetrics| of(worker, row).map_or(0, |tally| tally.get(column));
                let labels: Labels<'_, 2> = [(rows.0, row_word), (columns.0, column_word)];
                ConstCounter::new(self.sum(count)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// A family of counters with one label.
    fn row<const N: usize>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        (label, words): (&'static str, &[&'static str; N]),
        of: Cell<Tally<N>>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (at, word) in words.iter().enumerate() {
            let labels: Labels<'_, 1> = [(label, word)];
            let count = self.sum(|worker| of(worker).get(at));
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Histograms of durations with one label.
    fn durations(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        (label, words): (&'static str, &[&'static str]),
        of: impl Fn(&WorkerMetrics, usize) -> Option<&Durations>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (at, word) in words.iter().enumerate() {
            let labels: Labels<'_, 1> = [(label, word)];
            let shares = self.0.iter().filter_map(|worker| of(worker, at));
            Durations::total(shares).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        of: Cell<AtomicU64>,
    ) -> fmt::Result {
        let count = self.sum(|worker| of(worker).load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(count).encode(metric)
    }

    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        of: Cell<AtomicI64>,
    ) -> fmt::Result {
        let workers = self.0.iter();
        let sum: i64 = workers
            .map(|worker| of(worker).load(Ordering::Relaxed))
            .sum();
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(sum).encode(metric)
    }

    fn sum(&self, of: impl Fn(&WorkerMetrics) -> u64) -> u64 {
        self.0.iter().map(|worker| of(worker)).sum()
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = Label::ALL.map(Label::as_str);
        self.grid(
            encoder,
            ("requests", "Answered requests by route and class of status"),
            ("route", &routes),
            ("status", &STATUS_CLASSES),
            |worker, route| worker.requests.get(route),
        )?;
        self.durations(
            encoder,
            (
                "request_duration",
                "Time from the head of a request to the head of its answer, by route; for bosh, \
                 long polls included",
            ),
            ("route", &routes),
            |worker, route| worker.request_durations.get(route),
        )
    }

    fn people(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        {
            let help = "Decisions of the room rules on people who want to enter";
            let mut family =
                encoder.encode_descriptor("admissions", help, None, MetricType::Counter)?;
            for (at, word) in ADMISSIONS.iter().enumerate() {
                let labels: Labels<'_, 2> = [("outcome", word.outcome), ("reason", word.reason)];
                let count = self.sum(|worker| worker.admissions.get(at));
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let transports = [Transport::Bosh, Transport::WebSocket].map(Transport::as_str);
        self.grid(
            encoder,
            (
                "entries",
                "Connections to Prosody that people were let into a room with",
            ),
            ("transport", &transports),
            ("role", &ROLES),
            |worker, transport| worker.entries.get(transport),
        )?;
        self.grid(
            encoder,
            (
                "cuts",
                "Sockets and streams that the gateway ended, by reason",
            ),
            ("transport", &transports),
            ("reason", &CUTS),
            |worker, transport| worker.cuts.get(transport),
        )?;
        let renewals = (
            "session_renewals",
            "Session cookies made anew for people who are still there",
        );
        self.counter(encoder, renewals, |worker| &worker.renewals)
    }

    fn upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let upstreams = Upstream::ALL.map(Upstream::as_str);
        self.durations(
            encoder,
            (
                "upstream_duration",
                "Time to the head of an upstream's answer, long polls not among them",
            ),
            ("upstream", &upstreams),
            |worker, upstream| worker.upstream_durations.get(upstream),
        )?;
        self.grid(
            encoder,
            (
                "upstream_failures",
                "Upstreams that gave no answer worth reading, by kind of failure",
            ),
            ("upstream", &upstreams),
            ("kind", &FAILURES),
            |worker, upstream| worker.upstream_failures.get(upstream),
        )?;
        let sessions = ("bosh_sessions", "BOSH sessions created");
        self.counter(encoder, sessions, |worker| &worker.bosh_sessions)?;
        let help = "How long Prosody took to answer the long polls of BOSH sessions";
        let unit = Some(&Unit::Seconds);
        let waits = encoder.encode_descriptor("bosh_wait", help, unit, MetricType::Histogram)?;
        let shares = self.0.iter().map(|worker| &worker.bosh_waits);
        Durations::total(shares).encode(waits)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        {
            let help = "Open WebSockets, BOSH sessions that poll, and streams of events";
            let mut family =
                encoder.encode_descriptor("streams_open", help, None, MetricType::Gauge)?;
            for stream in Stream::ALL {
                let workers = self.0.iter();
                let sum: i64 = workers.map(|worker| worker.open_streams(stream)).sum();
                let labels: Labels<'_, 1> = [("kind", stream.as_str())];
                ConstGauge::new(sum).encode(family.encode_family(&labels)?)?;
            }
        }
        let open = ("connections_open", "Open connections of clients");
        self.gauge(encoder, open, |worker| &worker.connections)?;
        self.row(
            encoder,
            ("tls_handshakes", "TLS handshakes with clients by outcome"),
            ("outcome", &HANDSHAKES),
            |worker| &worker.handshakes,
        )?;
        self.row(
            encoder,
            (
                "limits",
                "What was refused because it was too much, by limit",
            ),
            ("limit", &Limit::ALL.map(Limit::as_str)),
            |worker| &worker.limits,
        )
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.people(&mut encoder)?;
        self.upstreams(&mut encoder)?;
        self.connections(&mut encoder)
    }
}
