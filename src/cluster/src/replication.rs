//! The task that keeps one topic in sync with the other replicas.
//!
//! A [`StateMachine`] decides, a [`Replication`] runs it: it passes local changes, messages of
//! peers, results of store operations and deadlines to the machine, one at a time, and carries out
//! the operations that the machine queues in its [`Outbox`].
//!
//! Publish/subscribe loses messages: while the store is unreachable, and when this replica falls
//! behind (`Lagged`). After both, and at start, the machine resynchronises: it reads the state of
//! the store or the peers and writes what they lack. Between two resyncs the messages suffice.

mod outbox;
#[cfg(test)]
pub(crate) mod testing;

use std::{mem, sync::Arc, time::Duration};

use futures_util::future::OptionFuture;
use tokio::{
    sync::{
        broadcast::error::RecvError,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub(crate) use self::outbox::Outbox;
use crate::store::{Store, StoreEvent, StoreState, Topic};

/// State that replicas share over one topic. The methods queue I/O and do none themselves.
pub(crate) trait StateMachine: Send {
    /// The topic of the messages.
    const TOPIC: Topic;

    /// A change on this replica.
    type Input: Send + 'static;

    /// The result of a store operation.
    type Completion: Send + 'static;

    /// Applies local changes, in the order in which they happened.
    fn apply(&mut self, inputs: Vec<Self::Input>, outbox: &mut Outbox<Self::Completion>);

    /// Applies a message; this replica receives its own messages, too.
    fn receive(&mut self, text: &str, outbox: &mut Outbox<Self::Completion>);

    /// Starts a resync, because messages may have been lost.
    fn resync(&mut self, outbox: &mut Outbox<Self::Completion>);

    /// Called when the store becomes unreachable. A resync follows when it is reachable again.
    fn disconnect(&mut self) {}

    /// Takes the result of a store operation.
    fn complete(&mut self, completion: Self::Completion, outbox: &mut Outbox<Self::Completion>);

    /// The time of the next call of [`StateMachine::expire`].
    fn deadline(&self) -> Option<Instant>;

    /// Processes the deadlines that have passed at `now`.
    fn expire(&mut self, now: Instant, outbox: &mut Outbox<Self::Completion>);

    /// Publishes the effects of one or more of the calls above.
    fn flush(&mut self, _now: Instant, _outbox: &mut Outbox<Self::Completion>) {}

    /// Queues the final writes before the stop.
    fn queue_final_writes(&mut self, outbox: &mut Outbox<Self::Completion>);

    /// The number of local changes that peers will not learn otherwise.
    fn undelivered(&self) -> usize {
        0
    }
}

/// A state machine with its inbox, ready to run.
pub(crate) struct Replication<M: StateMachine> {
    machine: M,
    inbox: UnboundedReceiver<M::Input>,
}

// === impl Replication ===

impl<M: StateMachine> Replication<M> {
    /// Creates a replication that takes its inputs from the other end of `inbox`.
    pub(crate) fn new(machine: M, inbox: UnboundedReceiver<M::Input>) -> Self {
        Self { machine, inbox }
    }

    /// Runs until `stopped`, then completes the queued writes within [`FINAL_WRITES_TIMEOUT`].
    pub(crate) async fn run(mut self, store: Arc<dyn Store>, stopped: CancellationToken) {
        // Before the first resync, so that no message is lost between the two.
        let mut events = store.subscribe();
        let is_reachable = !matches!(store.state(), StoreState::Unreachable { .. });
        let mut outbox = Outbox::new(store);
        if is_reachable {
            self.machine.resync(&mut outbox);
        }
        let mut inputs = Vec::new();
        loop {
            self.machine.flush(Instant::now(), &mut outbox);
            let deadline: OptionFuture<_> = self.machine.deadline().map(sleep_until).into();
            tokio::select! {
                count = self.inbox.recv_many(&mut inputs, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.machine.apply(mem::take(&mut inputs), &mut outbox);
                }
                event = events.recv() => match event {
                    Ok(StoreEvent::Message { topic, text }) if topic == M::TOPIC => {
                        self.machine.receive(&text, &mut outbox);
                    }
                    Ok(StoreEvent::Message { .. }) => {}
                    Ok(StoreEvent::Lost) => self.machine.disconnect(),
                    Ok(StoreEvent::Connected) | Err(RecvError::Lagged(_)) => {
                        self.machine.resync(&mut outbox);
                    }
                    Err(RecvError::Closed) => break,
                },
                completion = outbox.next() => self.machine.complete(completion, &mut outbox),
                Some(()) = deadline => self.machine.expire(Instant::now(), &mut outbox),
                () = stopped.cancelled() => break,
            }
        }
        self.stop(outbox).await;
    }

    async fn stop(mut self, mut outbox: Outbox<M::Completion>) {
        self.inbox.close();
        let mut inputs = Vec::new();
        while let Ok(input) = self.inbox.try_recv() {
            inputs.push(input);
        }
        self.machine.apply(inputs, &mut outbox);
        self.machine.flush(Instant::now(), &mut outbox);
        self.machine.queue_final_writes(&mut outbox);
        let delivery = async {
            while let Some(completion) = outbox.next_write().await {
                self.machine.complete(completion, &mut outbox);
            }
        };
        let _ = timeout(FINAL_WRITES_TIMEOUT, delivery).await;
        let changes = self.machine.undelivered();
        if changes > 0 {
            error!(
                topic = M::TOPIC.as_str(),
                changes, "stopped before all changes reached the store; other replicas lack them"
            );
        }
    }
}

/// Creates the channel from the handles of a state machine to its task. It is unbounded because
/// senders on the request path cannot wait; the task drains it without waiting for the store.
pub(crate) fn inbox<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded_channel()
}

/// Bounds the time that one batch of inputs keeps messages and deadlines waiting.
const BATCH: usize = 1024;

/// Time enough for a store under load, and short compared with the grace period of a service
/// manager (90 seconds for systemd, 30 for Kubernetes).
const FINAL_WRITES_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
