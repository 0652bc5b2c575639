//! [`Worker`] as the service of the HTTP server, and the changes that it applies to open connections.

use std::{rc::Rc, sync::Arc};

use cluster::placement::Move;
use http::{Request, Response};
use model::room::RoomKey;
use observe::metrics::WorkerMetrics;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{
    Body, SharedState, Worker,
    server::{ClientBody, Connection, DrainSchedule, Service, ServiceFactory},
};

/// Builds the worker of each thread.
#[derive(Clone, Debug)]
pub struct WorkerFactory {
    /// State that all workers share.
    pub state: Arc<SharedState>,
    /// Changes that end connections or push events.
    pub notifications: Notifications,
}

/// Changes of revocation, presence and placement; a clone begins with the next change.
#[derive(Debug)]
pub struct Notifications {
    /// Changes when a session is revoked.
    pub revoked: watch::Receiver<()>,
    /// Changes when the provider confirmed a member with other claims.
    pub identities: watch::Receiver<()>,
    /// Rooms that opened or closed.
    pub presence: broadcast::Receiver<RoomKey>,
    /// Rooms and shards that moved; `None` without a Jitsi.
    pub moves: Option<broadcast::Receiver<Move>>,
}

// === impl WorkerFactory ===

impl ServiceFactory for WorkerFactory {
    type Service = Worker;

    fn build(self, metrics: Arc<WorkerMetrics>) -> (Rc<Worker>, impl Future<Output = ()>) {
        let worker = Rc::new(Worker::new(self.state, metrics));
        let background = apply_notifications(Rc::clone(&worker), self.notifications);
        (worker, background)
    }
}

// === impl Notifications ===

impl Clone for Notifications {
    fn clone(&self) -> Self {
        Self {
            revoked: self.revoked.clone(),
            identities: self.identities.clone(),
            presence: self.presence.resubscribe(),
            moves: self.moves.as_ref().map(broadcast::Receiver::resubscribe),
        }
    }
}

// === impl Worker ===

impl Service for Worker {
    type Body = Body;

    fn handle(
        self: Rc<Self>,
        request: Request<ClientBody>,
        connection: Connection,
    ) -> impl Future<Output = Response<Body>> + 'static {
        Self::handle(self, request, connection)
    }

    fn on_reload(&self) {
        self.reevaluate_admissions();
    }

    fn start_draining(&self) {
        Self::start_draining(self);
        self.listeners.close();
    }

    async fn end_sockets(self: Rc<Self>, schedule: DrainSchedule) {
        Self::end_sockets(&self, schedule).await;
    }
}

/// Applies notifications until a sender is dropped, which happens when the control plane ends.
///
/// A receiver that lagged has lost notifications, so the worker then rescans all it has open.
async fn apply_notifications(worker: Rc<Worker>, notifications: Notifications) {
    let Notifications {
        mut revoked,
        mut identities,
        mut presence,
        mut moves,
    } = notifications;
    loop {
        tokio::select! {
            changed = revoked.changed() => match changed {
                Ok(()) => worker.end_revoked(),
                Err(_) => return,
            },
            changed = identities.changed() => match changed {
                Ok(()) => worker.reevaluate_members(),
                Err(_) => return,
            },
            room = presence.recv() => match room {
                Ok(room) => worker.listeners.wake(&room),
                Err(RecvError::Lagged(_)) => worker.listeners.wake_all(),
                Err(RecvError::Closed) => return,
            },
            moved = next_move(&mut moves) => match moved {
                Ok(moved) => worker.end_moved(&moved),
                Err(RecvError::Lagged(_)) => worker.end_all_moved(),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

async fn next_move(moves: &mut Option<broadcast::Receiver<Move>>) -> Result<Move, RecvError> {
    match moves {
        Some(moves) => moves.recv().await,
        None => std::future::pending().await,
    }
}
