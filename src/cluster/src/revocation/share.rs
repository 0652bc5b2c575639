//! The task that exchanges revocations with the other replicas.
//!
//! Each is added to a list in the store and said to whoever listens. After each connection the
//! lists are compared: what the store has is taken over, what it has not is added. So nothing is
//! lost that was revoked while the store was away, nor when it comes back empty.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::OptionFuture};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Record, Revocations};
use crate::store::{Event, Note, State, Store, StoreError, Topic};

/// Between the table and the store.
pub(super) struct Sharing<'a> {
    revocations: &'a Revocations,
    store: Arc<dyn Store>,
    /// Something could not be written.
    behind: Notify,
}

// === impl Sharing ===

impl<'a> Sharing<'a> {
    pub(super) fn new(revocations: &'a Revocations, store: Arc<dyn Store>) -> Self {
        Self {
            revocations,
            store,
            behind: Notify::new(),
        }
    }

    pub(super) async fn run(
        &self,
        outbox: mpsc::UnboundedReceiver<Record>,
        stopped: CancellationToken,
    ) {
        tokio::select! {
            () = self.tell(outbox) => {}
            () = self.listen() => {}
            () = stopped.cancelled() => {}
        }
    }

    /// Writes what is revoked here.
    async fn tell(&self, mut outbox: mpsc::UnboundedReceiver<Record>) {
        let mut records = Vec::new();
        while outbox.recv_many(&mut records, AT_ONCE).await > 0 {
            if let Err(error) = self.share(&records).await {
                warn!(%error, "a revocation is not known to other replicas yet");
                self.behind.notify_one();
            }
            records.clear();
        }
    }

    /// Applies what is revoked elsewhere.
    async fn listen(&self) {
        let mut events = self.store.subscribe();
        if matches!(self.store.state(), State::Unreachable { .. }) {
            self.revocations.deaf(true);
        }
        let mut exchange: OptionFuture<_> = Some(self.exchange().boxed()).into();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(Event::Said { topic: Topic::Revocation, text }) => {
                        self.revocations.apply(Record::read_all(&text));
                    }
                    Ok(Event::Said { .. }) => {}
                    Ok(Event::Lost) => self.revocations.deaf(true),
                    Ok(Event::Connected) | Err(RecvError::Lagged(_)) => {
                        exchange = Some(self.exchange().boxed()).into();
                    }
                    Err(RecvError::Closed) => return,
                },
                () = self.behind.notified() => {
                    exchange = Some(self.exchange().boxed()).into();
                }
                Some(()) = &mut exchange => exchange = None.into(),
            }
        }
    }

    /// Compares with the store until it has worked, or the store is gone: then its return begins
    /// the next exchange.
    async fn exchange(&self) {
        while let Err(error) = self.compare().await {
            if matches!(error, StoreError::Unreachable(_)) {
                return;
            }
            warn!(%error, "revocations could not be exchanged with other replicas");
            sleep(RETRY).await;
        }
        self.revocations.deaf(false);
    }

    async fn compare(&self) -> Result<(), StoreError> {
        let theirs: HashSet<_> = self.store.notes(LIST).await?.into_iter().collect();
        debug!(known = theirs.len(), "revocations were read from the store");
        let ours: Vec<_> = self
            .revocations
            .entries
            .records()
            .into_iter()
            .filter(|record| !theirs.contains(&record.write()))
            .collect();
        let theirs = theirs.iter().filter_map(|text| Record::read(text));
        self.revocations.apply(theirs);
        for records in ours.chunks(AT_ONCE) {
            self.share(records).await?;
        }
        Ok(())
    }

    /// Writes first, so that whoever hears nothing finds it.
    async fn share(&self, records: &[Record]) -> Result<(), StoreError> {
        let now = self.revocations.clock.now();
        let notes: Vec<_> = records
            .iter()
            .filter_map(|record| {
                Some(Note {
                    text: record.write(),
                    lifetime: self.revocations.lifetimes.remaining(record, now)?,
                })
            })
            .collect();
        self.store.note(LIST, &notes).await?;
        let text = Record::write_all(records);
        self.store.publish(Topic::Revocation, &text).await
    }
}

/// The key of the list.
const LIST: &str = "revoked";

/// How many revocations one message carries.
const AT_ONCE: usize = 500;

/// How long to wait before a store that is there, but does not do what it should, is asked again.
const RETRY: Duration = Duration::from_secs(5);
