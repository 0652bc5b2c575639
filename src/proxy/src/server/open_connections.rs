//! The open connections of one worker.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use observe::metrics::WorkerMetrics;
use tokio::sync::oneshot;

use crate::table_memory::shrink_if_sparse;

/// Registry of one worker's connections, through which each learns that the worker drains.
#[derive(Debug)]
pub(super) struct OpenConnections {
    metrics: Arc<WorkerMetrics>,
    next_id: Cell<u64>,
    draining: Cell<bool>,
    /// Each sender takes the time for which an idle connection stays open.
    drain_signals: RefCell<HashMap<u64, oneshot::Sender<Duration>>>,
}

/// Deregisters its connection on drop, also when the task panics.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    connections: Rc<OpenConnections>,
    id: u64,
}

// === impl OpenConnections ===

impl OpenConnections {
    pub(super) fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            metrics,
            next_id: Cell::new(0),
            draining: Cell::new(false),
            drain_signals: RefCell::default(),
        }
    }

    /// Registers a connection; the receiver completes when the worker drains.
    ///
    /// The connection gauge counts it already: the pool increments it when it chooses the worker,
    /// so that connections in the queue weigh, too. The guard decrements it.
    pub(super) fn register(self: &Rc<Self>) -> (ConnectionGuard, oneshot::Receiver<Duration>) {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let (sender, receiver) = oneshot::channel();
        if self.draining.get() {
            // Accepted before the listener closed, dequeued after the drain command, which comes
            // only once.
            let _ = sender.send(LINGER);
        } else {
            self.drain_signals.borrow_mut().insert(id, sender);
        }
        let guard = ConnectionGuard {
            connections: Rc::clone(self),
            id,
        };
        (guard, receiver)
    }

    /// Signals all connections, and those that are registered later, to close when idle.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        for (_, signal) in self.drain_signals.borrow_mut().drain() {
            // Without a receiver the connection is already closing.
            let _ = signal.send(LINGER);
        }
    }
}

// === impl ConnectionGuard ===

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut signals = self.connections.drain_signals.borrow_mut();
        signals.remove(&self.id);
        shrink_if_sparse(&mut signals);
        drop(signals);
        self.connections.metrics.add_connections(-1);
    }
}

/// Time for which an idle HTTP/1.1 connection stays open while draining. An active client sends its
/// next request sooner; for an idle one, a request is unlikely to cross with the close.
const LINGER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_registered_before_and_after_the_drain_are_signalled() {
        let open = Rc::new(OpenConnections::new(Arc::default()));
        let (_guard, mut before) = open.register();
        assert!(before.try_recv().is_err());
        open.drain();
        assert_eq!(before.try_recv(), Ok(LINGER));
        let (_guard, mut after) = open.register();
        assert_eq!(after.try_recv(), Ok(LINGER));
    }

    #[test]
    fn a_dropped_guard_deregisters_its_connection() {
        let metrics = Arc::new(WorkerMetrics::default());
        let open = Rc::new(OpenConnections::new(Arc::clone(&metrics)));
        metrics.add_connections(1);
        let (guard, mut signal) = open.register();
        drop(guard);
        assert_eq!(metrics.open_connections(), 0);
        assert!(open.drain_signals.borrow().is_empty());
        open.drain();
        assert!(signal.try_recv().is_err());
    }
}
