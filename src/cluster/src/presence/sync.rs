//! Replication of presence.
//!
//! Every replica owns the list of its occupants: it numbers and publishes each batch of changes,
//! and every ten seconds writes the whole list to the store and publishes a heartbeat with the
//! number of the last included change. A peer that has missed a change sees a gap in the numbers
//! and reads the list at the next heartbeat. A resync asks all peers for a heartbeat and sends one.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Presence, PresenceEvent,
    message::{List, Message, Payload},
    roster::{Action, PEER_TIMEOUT, Roster},
};
use crate::{
    replication::{Outbox, Replication, StateMachine},
    store::{Store, StoreError, Topic},
};

/// The task that keeps and replicates presence; see [`PresenceSync::run`].
pub struct PresenceSync(Replication<Machine>);

pub(super) struct Machine {
    presence: Arc<Presence>,
    roster: Roster,
    next_heartbeat: Instant,
}

pub(super) enum Completion {
    Published(Result<(), StoreError>),
    ListRead {
        replica: String,
        list: Result<Option<String>, StoreError>,
    },
}

// === impl PresenceSync ===

impl PresenceSync {
    pub(super) fn new(replication: Replication<Machine>) -> Self {
        Self(replication)
    }

    /// Keeps the roster until `stopped`, then publishes a message on which peers remove the
    /// occupants of this replica.
    pub async fn run(self, store: Arc<dyn Store>, stopped: CancellationToken) {
        self.0.run(store, stopped).await;
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(presence: Arc<Presence>) -> Self {
        Self {
            presence,
            roster: Roster::default(),
            next_heartbeat: Instant::now(),
        }
    }

    fn publish(&self, payload: Payload, outbox: &mut Outbox<Completion>) {
        let text = Message::to_json(&self.presence.replica, payload);
        outbox.try_write(|store| async move {
            Completion::Published(store.publish(Topic::Presence, &text).await)
        });
    }

    fn publish_list(&self, outbox: &mut Outbox<Completion>) {
        let replica = &self.presence.replica;
        let list = self.roster.list();
        let heartbeat = Message::to_json(replica, Payload::Heartbeat(list.number));
        let (key, list) = (list_key(replica), list.to_json());
        outbox.try_write(|store| async move {
            // The list is written before the heartbeat that refers to it.
            let written = match store.put(&key, &list, PEER_TIMEOUT).await {
                Ok(()) => store.publish(Topic::Presence, &heartbeat).await,
                Err(error) => Err(error),
            };
            Completion::Published(written)
        });
    }
}

impl StateMachine for Machine {
    const TOPIC: Topic = Topic::Presence;

    type Input = PresenceEvent;
    type Completion = Completion;

    fn apply(&mut self, inputs: Vec<PresenceEvent>, _outbox: &mut Outbox<Completion>) {
        let now = Instant::now();
        for event in inputs {
            self.roster.apply_local(event, now);
        }
    }

    fn receive(&mut self, text: &str, outbox: &mut Outbox<Completion>) {
        let Some(message) = Message::from_json(text) else {
            debug!("ignored a presence message that is malformed or of another version");
            return;
        };
        if message.replica == self.presence.replica {
            return;
        }
        let now = Instant::now();
        let action = self.roster.receive(&message.replica, message.payload, now);
        match action {
            // Several peers may ask at once; one heartbeat answers all.
            Some(Action::SendHeartbeat) => {
                self.next_heartbeat = self.next_heartbeat.min(now + RESPONSE_DELAY);
            }
            Some(Action::ReadList(replica)) => outbox.read(|store| async move {
                let list = store.get(&list_key(&replica)).await;
                Completion::ListRead { replica, list }
            }),
            None => {}
        }
    }

    fn resync(&mut self, outbox: &mut Outbox<Completion>) {
        self.publish(Payload::HeartbeatRequest, outbox);
        self.next_heartbeat = Instant::now();
    }

    fn complete(&mut self, completion: Completion, _outbox: &mut Outbox<Completion>) {
        match completion {
            Completion::Published(Ok(())) => {}
            // The next heartbeat repairs the loss of the message.
            Completion::Published(Err(error)) => {
                debug!(%error, "cannot publish presence to other replicas");
            }
            Completion::ListRead { replica, list } => {
                let list = list.unwrap_or_else(|error| {
                    debug!(%error, replica, "cannot read the presence list of a replica");
                    None
                });
                let list = list.and_then(|text| List::from_json(&text));
                self.roster.apply_list(&replica, list, Instant::now());
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let roster = self.roster.next_due().into_iter();
        roster.chain([self.next_heartbeat]).min()
    }

    fn expire(&mut self, now: Instant, outbox: &mut Outbox<Completion>) {
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + HEARTBEAT_INTERVAL;
            self.publish_list(outbox);
        }
    }

    fn flush(&mut self, now: Instant, outbox: &mut Outbox<Completion>) {
        self.roster.expire(now);
        if let Some(changes) = self.roster.take_changes() {
            self.publish(Payload::Changes(changes), outbox);
        }
        self.presence.publish(&mut self.roster);
    }

    fn queue_final_writes(&mut self, outbox: &mut Outbox<Completion>) {
        self.publish(Payload::Leave, outbox);
    }
}

fn list_key(replica: &str) -> String {
    format!("here:{replica}")
}

/// Three heartbeats fall within [`PEER_TIMEOUT`].
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Delay of a requested heartbeat, so that several requests get one response; imperceptible to a
/// starting replica.
const RESPONSE_DELAY: Duration = Duration::from_millis(20);
