//! Replication of revocations.
//!
//! Each revocation is added to a list in the store and then published. A resync compares the list
//! with the table: entries missing in the table are applied, entries missing in the list are
//! written. So a revocation survives an outage of the store, and the restart of an empty store.
//!
//! A replica that starts asks the others to resync: if the store lost its list, theirs are the only
//! copies, and they noticed no loss.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Record, Revocations, receipt::Delivery};
use crate::{
    replication::{Outbox, Replication, StateMachine},
    store::{ListItem, Store, StoreError, StoreState, Topic},
};

/// The task that shares revocations; see [`RevocationSync::run`].
pub struct RevocationSync(Replication<Machine>);

pub(super) struct Machine {
    revocations: Arc<Revocations>,
    /// Records that the store may lack.
    unsent: VecDeque<Record>,
    /// Who waits for the store's answer about a record.
    waiting: HashMap<Record, Vec<oneshot::Sender<Delivery>>>,
    /// Number of records in the write that is in flight.
    in_flight: usize,
    /// Whether the other replicas were asked to resync.
    asked: bool,
    /// Whether the list has records that a later or coarser one has replaced.
    prune: bool,
    /// Whether the last exchange with the store succeeded.
    in_sync: bool,
    retry_at: Option<Instant>,
}

/// A revocation of this replica.
pub(super) struct Outgoing {
    pub(super) record: Record,
    /// The coarser ones that it made necessary.
    pub(super) coarse: Vec<Record>,
    /// Whether the list has records that these replace.
    pub(super) replaces: bool,
    /// Gets the first answer of the store.
    pub(super) delivered: oneshot::Sender<Delivery>,
}

pub(super) enum Completion {
    Listed {
        state: StoreState,
        result: Result<Vec<String>, StoreError>,
    },
    Shared {
        records: Vec<Record>,
        state: StoreState,
        result: Result<(), StoreError>,
    },
    Asked(Result<(), StoreError>),
    /// The next resync removes what is left.
    Pruned(Result<(), StoreError>),
}

// === impl RevocationSync ===

impl RevocationSync {
    pub(super) fn new(replication: Replication<Machine>) -> Self {
        Self(replication)
    }

    /// Replicates revocations until `stopped`. Queued revocations are delivered first, within two
    /// seconds; a failure to do so is logged with their number.
    pub async fn run(self, store: Arc<dyn Store>, stopped: CancellationToken) {
        self.0.run(store, stopped).await;
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(revocations: Arc<Revocations>) -> Self {
        Self {
            revocations,
            unsent: VecDeque::new(),
            waiting: HashMap::new(),
            in_flight: 0,
            asked: false,
            prune: false,
            in_sync: true,
            retry_at: None,
        }
    }

    /// Writes the next records unless a write is in flight.
    fn send(&mut self, outbox: &mut Outbox<Completion>) {
        if self.in_flight > 0 || self.unsent.is_empty() {
            return;
        }
        let count = self.unsent.len().min(MAX_RECORDS);
        let records: Vec<_> = self.unsent.drain(..count).collect();
        self.in_flight = count;
        let items = self.list_items(&records);
        outbox.write(|store| async move {
            let result = share(&*store, &items, &records).await;
            let state = store.state();
            Completion::Shared {
                records,
                state,
                result,
            }
        });
    }

    /// Applies the records of other replicas. They are on this replica's disk soon, too: the store may
    /// lose them.
    fn take(&self, records: Vec<Record>) {
        if !records.is_empty() {
            let coarse = self.revocations.insert(records.iter().cloned());
            drop(self.revocations.commit(records.into_iter().chain(coarse)));
        }
    }

    /// Answers those who wait for a record.
    fn answer(&mut self, record: &Record, delivery: &Delivery) {
        for waiting in self.waiting.remove(record).into_iter().flatten() {
            // The receiver is gone if it took too long.
            let _ = waiting.send(delivery.clone());
        }
    }

    fn list_items(&self, records: &[Record]) -> Vec<ListItem> {
        let Revocations {
            clock, lifetimes, ..
        } = &*self.revocations;
        let now = clock.now();
        let item = |record: &Record| {
            Some(ListItem {
                text: record.to_json(),
                lifetime: lifetimes.remaining(record, now)?,
            })
        };
        records.iter().filter_map(item).collect()
    }

    /// Queues records again. An unreachable store triggers a resync when it is reachable; any other
    /// failure triggers one at once the first time, and after [`RETRY`] from then on.
    fn restore(
        &mut self,
        records: Vec<Record>,
        error: &StoreError,
        outbox: &mut Outbox<Completion>,
    ) {
        for record in records.into_iter().rev() {
            self.unsent.push_front(record);
        }
        warn!(%error, pending = self.unsent.len(), "revocations are not shared with other replicas yet");
        if matches!(error, StoreError::Unreachable(_)) {
            return;
        }
        if self.in_sync {
            self.in_sync = false;
            self.resync(outbox);
        } else {
            self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
        }
    }

    fn reconcile(
        &mut self,
        state: &StoreState,
        listed: Vec<String>,
        outbox: &mut Outbox<Completion>,
    ) {
        debug!(count = listed.len(), "read revocations from the store");
        let listed: HashSet<_> = listed.into_iter().collect();
        // The table contains all of `unsent`, so the difference replaces it.
        let ours = self.revocations.table.records().into_iter();
        self.unsent = ours
            .filter(|record| !listed.contains(&record.to_json()))
            .collect();
        let theirs = listed.iter().filter_map(|text| Record::from_json(text));
        let (replaced, theirs): (Vec<_>, Vec<_>) =
            theirs.partition(|record| self.revocations.table.supersedes(record));
        if !replaced.is_empty() {
            let texts: Vec<_> = replaced.iter().map(Record::to_json).collect();
            outbox.write(|store| async move {
                Completion::Pruned(store.list_remove(LIST, &texts).await)
            });
        }
        for record in &replaced {
            self.answer(record, &Ok(state.clone()));
        }
        for record in &theirs {
            self.answer(record, &Ok(state.clone()));
        }
        self.take(theirs);
        self.revocations.initial_read.cancel();
        if !self.asked {
            self.asked = true;
            outbox.write(|store| async move {
                Completion::Asked(store.publish(Topic::Revocation, RESYNC).await)
            });
        }
        self.in_sync = self.unsent.is_empty();
        self.retry_at = None;
        self.send(outbox);
    }
}

impl StateMachine for Machine {
    const TOPIC: Topic = Topic::Revocation;

    type Input = Outgoing;
    type Completion = Completion;

    fn apply(&mut self, inputs: Vec<Outgoing>, outbox: &mut Outbox<Completion>) {
        for outgoing in inputs {
            let Outgoing {
                record,
                coarse,
                replaces,
                delivered,
            } = outgoing;
            let waiting = self.waiting.entry(record.clone()).or_default();
            waiting.push(delivered);
            self.prune |= replaces;
            self.unsent.push_back(record);
            self.unsent.extend(coarse);
        }
        self.send(outbox);
    }

    fn receive(&mut self, text: &str, outbox: &mut Outbox<Completion>) {
        if text == RESYNC {
            self.resync(outbox);
        } else {
            self.take(Record::list_from_json(text));
        }
    }

    fn resync(&mut self, outbox: &mut Outbox<Completion>) {
        outbox.read_snapshot(|store| async move {
            let result = store.list_members(LIST).await;
            let state = store.state();
            Completion::Listed { state, result }
        });
    }

    fn complete(&mut self, completion: Completion, outbox: &mut Outbox<Completion>) {
        match completion {
            Completion::Listed { state, result } => match result {
                Ok(listed) => self.reconcile(&state, listed, outbox),
                Err(StoreError::Unreachable(_)) => {}
                Err(error) => {
                    warn!(%error, "cannot read revocations from the store");
                    self.retry_at = Some(Instant::now() + RETRY);
                }
            },
            // The next resync asks again.
            Completion::Asked(result) => self.asked = result.is_ok(),
            Completion::Pruned(result) => self.prune |= result.is_err(),
            Completion::Shared {
                records,
                state,
                result,
            } => {
                self.in_flight = 0;
                let delivery = result.clone().map(|()| state);
                for record in &records {
                    self.answer(record, &delivery);
                }
                match result {
                    Ok(()) => {
                        self.in_sync = true;
                        self.send(outbox);
                        if self.prune && self.unsent.is_empty() {
                            self.prune = false;
                            self.resync(outbox);
                        }
                    }
                    Err(error) => self.restore(records, &error, outbox),
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    fn expire(&mut self, now: Instant, outbox: &mut Outbox<Completion>) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.resync(outbox);
        }
    }

    fn queue_final_writes(&mut self, outbox: &mut Outbox<Completion>) {
        self.send(outbox);
    }

    fn undelivered(&self) -> usize {
        self.unsent.len() + self.in_flight
    }
}

/// Writes before it publishes, so that a replica that misses the message finds the list complete.
async fn share(
    store: &dyn Store,
    items: &[ListItem],
    records: &[Record],
) -> Result<(), StoreError> {
    store.list_add(LIST, items).await?;
    let text = Record::list_to_json(records);
    store.publish(Topic::Revocation, &text).await
}

/// The key of the list.
const LIST: &str = "revoked";

/// The message of a replica that starts. Earlier releases ignore it: it is not a list of records.
const RESYNC: &str = r#"{"v":1,"resync":true}"#;

/// Bounds a message to about 50 KiB.
const MAX_RECORDS: usize = 500;

/// Pause before another attempt at a connected store that fails operations: long enough not to load
/// a store that is full or loading its data.
const RETRY: Duration = Duration::from_secs(5);
