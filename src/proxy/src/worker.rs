//! One thread's share of the gateway.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use model::{
    identity::{Identity, Standing},
    room::RoomKey,
    session::Pass,
};
use observe::metrics::WorkerMetrics;

use crate::{
    DrainSchedule, Rules, SharedState, connections::ConnectionRegistry,
    endpoints::events::Listeners, request_context::ContextError, request_context::RequestId,
    shard_upstreams::ShardUpstreams, state::JitsiBackend,
};

/// One thread's share of the gateway.
#[derive(Debug)]
pub struct Worker {
    pub(crate) state: Arc<SharedState>,
    /// To the shards that were needed so far.
    pub(crate) upstreams: RefCell<Vec<Rc<ShardUpstreams>>>,
    pub(crate) connections: ConnectionRegistry,
    pub(crate) listeners: Listeners,
    pub(crate) metrics: Arc<WorkerMetrics>,
    name: u32,
    requests: Cell<u64>,
    /// The gateway stops.
    pub(crate) draining: Cell<bool>,
}

// === impl Worker ===

impl Worker {
    /// A worker on the current thread.
    pub fn new(state: Arc<SharedState>, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            upstreams: RefCell::default(),
            connections: ConnectionRegistry::default(),
            listeners: Listeners::default(),
            name: u32::from_be_bytes(state.random.bytes()),
            requests: Cell::new(0),
            draining: Cell::new(false),
            metrics,
            state,
        }
    }

    /// Ends the connections of revoked principals.
    pub fn end_revoked(&self) {
        self.connections
            .end_revoked(&self.state.authenticator.revocations);
    }

    /// Ends the connections that reloaded rules no longer admit.
    pub fn reevaluate_admissions(&self) {
        self.connections
            .end_refused(|principal, room| !self.may_stay(principal, room));
    }

    /// Asks HTTP/1.1 clients to reconnect, to another replica.
    pub fn start_draining(&self) {
        self.draining.set(true);
    }

    /// Ends the WebSockets because the gateway stops.
    pub async fn end_sockets(&self, spread: DrainSchedule) {
        self.connections
            .end_sockets(spread, &self.state.random)
            .await;
    }

    /// The Jitsi behind the gateway; with JaaS its paths do not exist.
    pub(crate) fn jitsi(&self) -> Result<&JitsiBackend, ContextError> {
        self.state.jitsi.as_ref().ok_or(ContextError::NotFound)
    }

    pub(crate) fn next_id(&self) -> RequestId {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        RequestId {
            worker: self.name,
            number,
        }
    }

    /// The rules in force; one request sees one state of them.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.state.rules.load_full()
    }

    /// A guest's pass, with the name that the guest stated, if any.
    pub(crate) fn new_guest(&self, room: &RoomKey, name: Option<String>) -> Pass {
        let state = &self.state;
        let identity = Identity {
            name,
            ..Identity::default()
        };
        let now = state.clock.now();
        let validity = now..now.after(state.guests.lifetime);
        Pass::issue(room, Standing::Guest, identity, validity, &state.random)
    }
}
