//! How long things take: counters of fixed buckets, so that adding is two additions and reading is
//! a sum over workers.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use super::tally::Tally;

/// One worker's share of a histogram of durations.
#[derive(Debug)]
pub(super) struct Durations {
    bounds: &'static [u64; BOUNDS],
    /// How many fell below each bound and not below the one before; the last, above all of them.
    buckets: Tally<{ BOUNDS + 1 }>,
    nanoseconds: AtomicU64,
}

/// What all workers' shares come to.
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
            buckets: Tally::default(),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// For what takes milliseconds unless something is wrong.
    pub(super) fn of_answers() -> Self {
        Self::new(&ANSWERS)
    }

    /// For what waits for news, a minute at most.
    pub(super) fn of_waits() -> Self {
        Self::new(&WAITS)
    }

    /// Adds one.
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.iter().take_while(|bound| micros > **bound);
        self.buckets.add(at.count());
        // After 584 years it begins anew.
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanos, Ordering::Relaxed);
    }

    /// All shares together.
    pub(super) fn total<'s>(shares: impl Iterator<Item = &'s Self> + Clone) -> Total {
        let bounds = shares.clone().next().map_or(&ANSWERS, |share| share.bounds);
        let bounds = bounds
            .iter()
            .map(|micros| Duration::from_micros(*micros).as_secs_f64())
            .chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds
            .enumerate()
            .map(|(at, bound)| {
                (
                    bound,
                    shares.clone().map(|share| share.buckets.get(at)).sum(),
                )
            })
            .collect();
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

/// How many bounds a histogram has.
const BOUNDS: usize = 13;

/// From a file in memory to an upstream that gave up, in microseconds.
const ANSWERS: [u64; BOUNDS] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];

/// Jitsi's client lets Prosody wait for 60 s; what is longer is a Prosody that hangs.
const WAITS: [u64; BOUNDS] = [
    10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    20_000_000, 40_000_000, 65_000_000, 90_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_they_do_not_pass() {
        let (one, other) = (Durations::of_answers(), Durations::of_answers());
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
    fn bounds_rise() {
        for bounds in [ANSWERS, WAITS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
