//! One counter, gauge or histogram for each value of a label.

use std::{
    array,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

use super::labels::LabelValue;

/// One worker's share of a counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

/// A `T` for each value of the label `L`; `N` is the number of values.
///
/// The elements lie inline, so that the alignment of `WorkerMetrics` covers them.
#[derive(Debug)]
pub(super) struct PerLabel<L, T, const N: usize> {
    values: [T; N],
    label: PhantomData<fn(L)>,
}

// === impl Count ===

impl Count {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl PerLabel ===

impl<L: LabelValue, T, const N: usize> PerLabel<L, T, N> {
    pub(super) fn new(make: impl Fn() -> T) -> Self {
        Self::of_each(|_| make())
    }

    pub(super) fn of_each(make: impl Fn(L) -> T) -> Self {
        const { assert!(L::ALL.len() == N, "one element for each value") };
        Self {
            // Infallible: `N` is the number of values.
            values: array::from_fn(|index| make(*L::ALL.get(index).expect("a value's number"))),
            label: PhantomData,
        }
    }

    pub(super) fn of(&self, value: L) -> &T {
        // Infallible: `N` is the number of values, by the assertion in `new`.
        self.values.get(value.index()).expect("a value's number")
    }
}

impl<L: LabelValue, T: Default, const N: usize> Default for PerLabel<L, T, N> {
    fn default() -> Self {
        Self::new(T::default)
    }
}
