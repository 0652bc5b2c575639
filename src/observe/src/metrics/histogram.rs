//! Histograms of durations with fixed buckets: adding is two atomic additions, reading is a sum
//! over workers.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::label_counters::Count;

/// One worker's share of a histogram of durations.
#[derive(Debug)]
pub(super) struct Durations {
    bounds: &'static [u64; BOUNDS],
    /// Not cumulative; the last bucket is above all bounds.
    buckets: [Count; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

/// The sum over all workers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Total {
    seconds: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

// === impl Durations ===

impl Durations {
    pub(super) fn new(bounds: &'static [u64; BOUNDS]) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| Count::default()),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// For responses, which take milliseconds.
    pub(super) fn of_responses() -> Self {
        Self::new(&RESPONSES)
    }

    /// For long polls, which last up to a minute.
    pub(super) fn of_polls() -> Self {
        Self::new(&POLLS)
    }

    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let index = self.bounds.partition_point(|bound| *bound < micros);
        // Infallible: there is one bucket more than bounds.
        self.buckets.get(index).expect("a bucket").increment();
        // The sum wraps after 584 years.
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sums the shares of all workers, which have the same bounds.
    pub(super) fn total<'s>(shares: impl Iterator<Item = &'s Self> + Clone) -> Total {
        let bounds = shares
            .clone()
            .next()
            .map_or(&RESPONSES, |share| share.bounds)
            .iter()
            .map(|micros| Duration::from_micros(*micros).as_secs_f64())
            .chain([f64::INFINITY]);
        let mut buckets: Vec<_> = bounds.map(|bound| (bound, 0)).collect();
        for share in shares.clone() {
            for ((_, sum), count) in buckets.iter_mut().zip(&share.buckets) {
                *sum += count.get();
            }
        }
        let nanos = shares.map(|share| share.nanoseconds.load(Ordering::Relaxed));
        Total {
            seconds: Duration::from_nanos(nanos.fold(0, u64::wrapping_add)).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

// === impl Total ===

impl Total {
    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.seconds, self.count, &self.buckets, None)
    }
}

const BOUNDS: usize = 13;

/// In microseconds: from a cached file to an upstream's timeout.
const RESPONSES: [u64; BOUNDS] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];

/// In microseconds: Jitsi's client requests 60 s (`wait`), so a longer poll is a hung Prosody.
const POLLS: [u64; BOUNDS] = [
    10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    20_000_000, 40_000_000, 65_000_000, 90_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_equal_to_a_bound_falls_into_its_bucket() {
        let (one, other) = (Durations::of_responses(), Durations::of_responses());
        let millis = Duration::from_millis;
        for took in [millis(1), millis(2), millis(100)] {
            one.add(took);
        }
        other.add(Duration::from_micros(1_001));
        other.add(Duration::from_secs(61));
        let total = Durations::total([&one, &other].into_iter());
        let filled: Vec<_> = total.buckets.iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(
            filled,
            [&(0.001, 1), &(0.0025, 2), &(0.1, 1), &(f64::INFINITY, 1)]
        );
        assert_eq!(total.count, 5);
        assert!(
            (total.seconds - 61.104_001).abs() < 1e-6,
            "{}",
            total.seconds
        );
    }

    #[test]
    fn bounds_are_strictly_increasing() {
        for bounds in [RESPONSES, POLLS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
