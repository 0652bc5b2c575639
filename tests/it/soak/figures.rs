//! What people count during a soak.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Counts, and the failures that nothing explains.
#[derive(Default)]
pub(super) struct SoakFigures {
    counts: [AtomicUsize; Count::NAMES.len()],
    unexpected: Mutex<Vec<String>>,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Count {
    SignIn,
    Join,
    Message,
    /// The person ended the stream as the protocol demands.
    Left,
    /// The person's connection broke off.
    BrokenOff,
    /// The stream ended because the replica stopped, and the person came again.
    Moved,
    /// BOSH requests that were sent again because the replica stopped.
    Repeated,
    /// A stream ended, or was refused, because of a revocation.
    Revoked,
    /// The same because of the rules.
    ClosedOut,
}

// === impl Count ===

impl Count {
    const NAMES: [&str; 9] = [
        "sign-ins",
        "joins",
        "messages",
        "visits left",
        "visits broken off",
        "reconnects as a replica stopped",
        "repeated requests as a replica stopped",
        "visits ended or refused by a revocation",
        "visits ended or refused by rules",
    ];
}

// === impl SoakFigures ===

impl SoakFigures {
    pub(super) fn count(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn add(&self, count: Count, number: usize) {
        self.counts[count as usize].fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, failure: String) {
        self.unexpected.lock().unwrap().push(failure);
    }

    /// The failures that nothing explains.
    pub(super) fn unexpected(&self) -> Vec<String> {
        self.unexpected.lock().unwrap().clone()
    }

    /// The names of what never happened. Whether a replica stops in the middle of a BOSH request is chance.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let counts = std::iter::zip(Count::NAMES, &self.counts);
        let missing = counts.filter(|(_, count)| count.load(Ordering::Relaxed) == 0);
        missing
            .map(|(name, _)| name)
            .filter(|name| *name != Count::NAMES[Count::Repeated as usize])
            .collect()
    }
}

impl fmt::Display for SoakFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in std::iter::zip(Count::NAMES, &self.counts) {
            writeln!(f, "{} {name}", count.load(Ordering::Relaxed))?;
        }
        let expected = [
            Count::Moved,
            Count::Repeated,
            Count::Revoked,
            Count::ClosedOut,
        ];
        let expected = expected.map(|count| self.counts[count as usize].load(Ordering::Relaxed));
        let (expected, unexpected) = (expected.iter().sum::<usize>(), self.unexpected().len());
        write!(f, "{expected} expected errors, {unexpected} unexpected")
    }
}
