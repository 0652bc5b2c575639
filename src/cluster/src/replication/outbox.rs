//! Store operations that a state machine has queued.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tracing::debug;

use crate::store::Store;

/// Queued store operations. Each yields a completion for the state machine.
///
/// Writes run one at a time in the order of their queueing, so that peers receive messages in the
/// order of the changes. Reads run beside them.
pub(crate) struct Outbox<C> {
    store: Arc<dyn Store>,
    writes: VecDeque<BoxFuture<'static, C>>,
    snapshot: Option<BoxFuture<'static, C>>,
    reads: FuturesUnordered<BoxFuture<'static, C>>,
}

// === impl Outbox ===

impl<C: 'static> Outbox<C> {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            writes: VecDeque::new(),
            snapshot: None,
            reads: FuturesUnordered::new(),
        }
    }

    /// Queues a write that is never dropped.
    pub(crate) fn write<F: Future<Output = C> + Send + 'static>(
        &mut self,
        operation: impl FnOnce(Arc<dyn Store>) -> F,
    ) {
        let operation = operation(Arc::clone(&self.store));
        self.writes.push_back(operation.boxed());
    }

    /// Queues a write whose effect a later one repeats; drops it when the store is so slow that
    /// [`MAX_WRITES`] are queued.
    pub(crate) fn try_write<F: Future<Output = C> + Send + 'static>(
        &mut self,
        operation: impl FnOnce(Arc<dyn Store>) -> F,
    ) {
        if self.writes.len() < MAX_WRITES {
            self.write(operation);
        } else {
            debug!("dropped a message to other replicas: the store is too slow");
        }
    }

    /// Starts a read.
    pub(crate) fn read<F: Future<Output = C> + Send + 'static>(
        &mut self,
        operation: impl FnOnce(Arc<dyn Store>) -> F,
    ) {
        let operation = operation(Arc::clone(&self.store));
        self.reads.push(operation.boxed());
    }

    /// Starts the read of a resync and cancels that of an earlier one.
    pub(crate) fn read_snapshot<F: Future<Output = C> + Send + 'static>(
        &mut self,
        operation: impl FnOnce(Arc<dyn Store>) -> F,
    ) {
        let operation = operation(Arc::clone(&self.store));
        self.snapshot = Some(operation.boxed());
    }

    /// Waits for the next completion; for ever if nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Operations stay queued and resume with the next call.
    pub(super) async fn next(&mut self) -> C {
        poll_fn(|cx| {
            if let Poll::Ready(Some(completion)) = self.poll_write(cx) {
                return Poll::Ready(completion);
            }
            if let Some(snapshot) = &mut self.snapshot
                && let Poll::Ready(completion) = snapshot.poll_unpin(cx)
            {
                self.snapshot = None;
                return Poll::Ready(completion);
            }
            match self.reads.poll_next_unpin(cx) {
                Poll::Ready(Some(completion)) => Poll::Ready(completion),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Waits for the next completion of a write; `None` if no write is queued.
    pub(super) async fn next_write(&mut self) -> Option<C> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Option<C>> {
        let Some(write) = self.writes.front_mut() else {
            return Poll::Ready(None);
        };
        let poll = write.poll_unpin(cx);
        if poll.is_ready() {
            self.writes.pop_front();
        }
        poll.map(Some)
    }
}

/// Holds the writes of a burst in little memory; beyond it, droppable writes are dropped.
const MAX_WRITES: usize = 1024;
