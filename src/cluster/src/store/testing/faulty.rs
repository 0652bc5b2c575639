//! An in-memory store whose faults a test switches on and off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::store::{
    ListItem, MemoryStore, PutOutcome, Store, StoreError, StoreEvent, StoreState, Topic, UseOutcome,
};

/// Keeps its content during every fault, like a server that is disconnected.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    memory: MemoryStore,
    fault: watch::Sender<Fault>,
    events: broadcast::Sender<StoreEvent>,
    operations: AtomicU32,
}

/// How operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The connection is known to be lost.
    Unreachable,
    /// The connection stays, and every operation times out.
    Timeout,
    /// Operations wait until the fault ends, and then take place.
    Stalled,
}

// === impl FaultyStore ===

impl FaultyStore {
    /// Creates an empty store without a fault.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(),
            fault: watch::Sender::new(Fault::None),
            events: broadcast::Sender::new(1024),
            operations: AtomicU32::new(0),
        })
    }

    /// Fails all operations at once and reports the loss to subscribers.
    pub(crate) fn disconnect(&self) {
        self.fault.send_replace(Fault::Unreachable);
        let _ = self.events.send(StoreEvent::Lost);
    }

    /// Ends a disconnection.
    pub(crate) fn reconnect(&self) {
        self.fault.send_replace(Fault::None);
        let _ = self.events.send(StoreEvent::Connected);
    }

    /// Lets all operations time out without an event to subscribers.
    pub(crate) fn time_out(&self) {
        self.fault.send_replace(Fault::Timeout);
    }

    /// Lets operations wait until [`FaultyStore::recover`].
    pub(crate) fn stall(&self) {
        self.fault.send_replace(Fault::Stalled);
    }

    /// Ends a fault that had no event.
    pub(crate) fn recover(&self) {
        self.fault.send_replace(Fault::None);
    }

    /// Sends an event to subscribers, as if a peer had published it.
    pub(crate) fn inject(&self, event: StoreEvent) {
        let _ = self.events.send(event);
    }

    /// The content, readable during every fault.
    pub(crate) fn content(&self) -> &MemoryStore {
        &self.memory
    }

    /// The number of operations so far, including failed ones.
    pub(crate) fn operations(&self) -> u32 {
        self.operations.load(Ordering::Relaxed)
    }

    fn unless_faulty<'a, T: Send + 'a>(
        &'a self,
        operation: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        async move {
            self.operations.fetch_add(1, Ordering::Relaxed);
            let fault = *self.fault.borrow();
            match fault {
                Fault::None => {}
                Fault::Unreachable => return Err(StoreError::Unreachable("cut off".into())),
                Fault::Timeout => return Err(StoreError::Timeout),
                Fault::Stalled => {
                    let mut fault = self.fault.subscribe();
                    let _ = fault.wait_for(|fault| *fault != Fault::Stalled).await;
                }
            }
            operation.await
        }
        .boxed()
    }
}

impl Store for FaultyStore {
    fn consume_use<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<UseOutcome, StoreError>> {
        let operation = async move { self.memory.consume_use(key, limit, lifetime).await };
        self.unless_faulty(operation.boxed())
    }

    fn uses<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.unless_faulty(async move { self.memory.uses(key).await }.boxed())
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        let operation = async move { self.memory.put_if_absent(key, value, lifetime).await };
        self.unless_faulty(operation.boxed())
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.unless_faulty(async move { self.memory.get(key).await }.boxed())
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.unless_faulty(async move { self.memory.put(key, value, lifetime).await }.boxed())
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.unless_faulty(async move { self.memory.remove(key).await }.boxed())
    }

    fn list_add<'a>(
        &'a self,
        list: &'a str,
        notes: &'a [ListItem],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.unless_faulty(async move { self.memory.list_add(list, notes).await }.boxed())
    }

    fn list_remove<'a>(
        &'a self,
        list: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.unless_faulty(async move { self.memory.list_remove(list, texts).await }.boxed())
    }

    fn list_members<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        self.unless_faulty(async move { self.memory.list_members(list).await }.boxed())
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let operation = async move {
            let text = text.into();
            let _ = self.events.send(StoreEvent::Message { topic, text });
            Ok(())
        };
        self.unless_faulty(operation.boxed())
    }

    fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.events.subscribe()
    }

    fn state(&self) -> StoreState {
        match *self.fault.borrow() {
            Fault::Unreachable => StoreState::Unreachable {
                reason: "cut off".into(),
            },
            _ => StoreState::Ready,
        }
    }

    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move { stopped.cancelled().await }.boxed()
    }
}
