//! One fetch per file at a time. Its outcome reaches all requests for the file, on all workers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use super::{AssetKey, FillOutcome};

/// The fetches under way. Locked for some instructions, by requests that find no fresh file.
#[derive(Debug)]
pub(super) struct Fetches {
    table: Mutex<FetchTable>,
    budget: Arc<BodyBudget>,
}

/// What a request for a file finds.
pub(super) enum Joined {
    /// The file came meanwhile, or may no longer be stored.
    Settled,
    /// Another request fetches it.
    Under(watch::Receiver<Option<FillOutcome>>),
    /// This request has to fetch it.
    Begun(BegunFetch, watch::Receiver<Option<FillOutcome>>),
    /// Too many fetches are under way.
    Full,
}

/// A fetch under way. Dropped without an outcome, it releases its waiters.
#[derive(Debug)]
pub(super) struct BegunFetch {
    pub(super) generation: u64,
    pub(super) budget: FillReservation,
    outcome: watch::Sender<Option<FillOutcome>>,
}

/// Memory of the bodies that are being fetched.
#[derive(Debug)]
struct BodyBudget {
    most: usize,
    used: AtomicUsize,
}

/// The share of one fetch; returned on drop.
#[derive(Debug)]
pub(super) struct FillReservation {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct FetchTable {
    /// Counts purges.
    generation: u64,
    under_way: HashMap<Box<str>, watch::Receiver<Option<FillOutcome>>>,
}

// === impl Fetches ===

impl Fetches {
    /// No fetch; the bodies of all together may take so many bytes.
    pub(super) fn new(most: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self {
            table: Mutex::default(),
            budget: Arc::new(BodyBudget { most, used }),
        }
    }

    /// Joins the fetch of a file, or begins one; `is_settled` checks again whether the file is here.
    pub(super) fn join(&self, key: &AssetKey, is_settled: impl FnOnce() -> bool) -> Joined {
        let mut table = self.lock();
        if let Some(waiter) = table.under_way.get(key.as_str()) {
            // A fetch that panicked left its entry behind.
            if waiter.has_changed().is_ok() {
                return Joined::Under(waiter.clone());
            }
        }
        if is_settled() {
            return Joined::Settled;
        }
        if table.under_way.len() >= MAX_FETCHES {
            table
                .under_way
                .retain(|_, waiter| waiter.has_changed().is_ok());
            if table.under_way.len() >= MAX_FETCHES {
                return Joined::Full;
            }
        }
        let (outcome, waiter) = watch::channel(None);
        table.under_way.insert(key.as_str().into(), waiter.clone());
        let begun = BegunFetch {
            generation: table.generation,
            budget: FillReservation {
                budget: Arc::clone(&self.budget),
                bytes: 0,
            },
            outcome,
        };
        Joined::Begun(begun, waiter)
    }

    /// Ends a fetch: its waiters get the outcome. The file is stored before, so that none is fetched twice.
    pub(super) fn end(&self, key: &AssetKey, fetch: &BegunFetch, outcome: FillOutcome) {
        let mut table = self.lock();
        // After a purge, the entry is that of a later fetch.
        if table.generation == fetch.generation {
            table.under_way.remove(key.as_str());
        }
        drop(table);
        fetch.outcome.send_replace(Some(outcome));
    }

    /// Calls `keep` if there was no purge since `generation`.
    pub(super) fn if_current(&self, generation: u64, keep: impl FnOnce()) {
        let table = self.lock();
        if table.generation == generation {
            keep();
        }
    }

    /// Calls `change` while nothing is stored or purged.
    pub(super) fn exclusively(&self, change: impl FnOnce()) {
        let _table = self.lock();
        change();
    }

    /// Calls `clear`; what is being fetched is not stored any more.
    pub(super) fn purge<T>(&self, clear: impl FnOnce() -> T) -> T {
        let mut table = self.lock();
        table.generation += 1;
        // Later requests have to fetch anew.
        table.under_way.clear();
        clear()
    }

    fn lock(&self) -> MutexGuard<'_, FetchTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl FillReservation ===

impl FillReservation {
    /// Reserves memory; whether there is some.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let used = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        used + bytes <= self.budget.most
    }
}

impl Drop for FillReservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Above the files of a page that many people open at once; further ones are forwarded.
const MAX_FETCHES: usize = 256;
