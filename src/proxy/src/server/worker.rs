//! Workers: one thread, one single-threaded runtime, one set of upstream pools each.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::{IpAddr, TcpStream},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot, watch,
    },
};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::connection::serve;
use crate::gateway::{Gateway, Spread, Worker};
use cluster::placement::Move;
use model::room::RoomKey;
use observe::metrics::{LimitKind, WorkerMetrics};

/// The threads that serve requests.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Handle>,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system gave no thread.
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
    /// The system gave no event queue.
    #[error("cannot start a worker's runtime")]
    Runtime(#[source] io::Error),
}

/// What a worker is told of while it serves.
#[derive(Debug)]
pub struct News {
    /// Something was revoked.
    pub revoked: watch::Receiver<()>,
    /// A room opened or closed.
    pub presence: broadcast::Receiver<RoomKey>,
    /// A room or a shard moved, where there can be shards.
    pub moves: Option<broadcast::Receiver<Move>>,
}

#[derive(Debug)]
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    metrics: Arc<WorkerMetrics>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Serve(Arrival),
    Drain,
    EndSockets(Spread),
    Judge,
    Answer(oneshot::Sender<()>),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: IpAddr,
    /// It is TLS.
    pub(super) tls: bool,
    /// It begins with a PROXY header.
    pub(super) proxied: bool,
}

/// The open connections of one worker, to tell each that it drains.
#[derive(Debug, Default)]
struct Open {
    next: Cell<u64>,
    draining: Cell<bool>,
    /// Each is told how long to linger.
    drains: RefCell<HashMap<u64, oneshot::Sender<Duration>>>,
}

// === impl Workers ===

impl Workers {
    /// Starts a thread for each shard of metrics.
    pub fn start(
        gateway: &Arc<Gateway>,
        tls: Option<&Arc<ServerConfig>>,
        news: &News,
        shards: Vec<Arc<WorkerMetrics>>,
    ) -> Result<Self, WorkerError> {
        let workers = (0..)
            .zip(shards)
            .map(|(number, metrics)| {
                Handle::start(
                    number,
                    Arc::clone(gateway),
                    tls.cloned(),
                    news.clone(),
                    metrics,
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { workers })
    }

    /// Gives a connection to the worker that has the fewest, those included that became WebSockets.
    pub(super) fn serve(&self, arrival: Arrival) {
        let least = self
            .workers
            .iter()
            .min_by_key(|worker| worker.metrics.open_connections() + worker.metrics.open_sockets());
        let Some(worker) = least else { return };
        worker.metrics.add_connections(1);
        if worker.commands.send(Command::Serve(arrival)).is_err() {
            worker.metrics.add_connections(-1);
            warn!("a worker is gone; its connection is dropped");
        }
    }

    /// Counts a connection for which the system gave no socket.
    pub fn not_accepted(&self) {
        if let Some(worker) = self.workers.first() {
            worker.metrics.count_limit(LimitKind::Accept);
        }
    }

    /// Lets what is under way finish, and sends clients away from open connections.
    pub fn drain(&self) {
        self.tell(|_| Command::Drain);
    }

    /// Has new rules asked about whoever is connected.
    pub fn judge(&self) {
        self.tell(|_| Command::Judge);
    }

    /// Closes the WebSockets with code 1001, one after another over a time.
    pub fn end_sockets(&self, window: Duration) {
        self.tell(|head_start| Command::EndSockets(Spread { window, head_start }));
    }

    /// Whether every worker does what it is told. Waits for one that is busy.
    pub async fn are_alive(&self) -> bool {
        for worker in &self.workers {
            let (answer, answered) = oneshot::channel();
            if worker.commands.send(Command::Answer(answer)).is_err() || answered.await.is_err() {
                return false;
            }
        }
        true
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> i64 {
        self.workers
            .iter()
            .map(|worker| worker.metrics.open_connections())
            .sum()
    }

    /// How many WebSockets are open.
    pub fn open_sockets(&self) -> i64 {
        self.workers
            .iter()
            .map(|worker| worker.metrics.open_sockets())
            .sum()
    }

    /// Stops the threads; whatever is still open breaks off.
    pub fn stop(self) {
        let threads: Vec<_> = self
            .workers
            .into_iter()
            .filter_map(|worker| worker.thread)
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                warn!("a worker ended in a panic");
            }
        }
    }

    /// Gives each worker a command, made of where it stands among all, from 0 to 1.
    fn tell(&self, command: impl Fn(f64) -> Command) {
        let all = f64::from(u32::try_from(self.workers.len()).unwrap_or(u32::MAX));
        for (number, worker) in (0u32..).zip(&self.workers) {
            // A worker that is gone has nothing to end.
            let _ = worker.commands.send(command(f64::from(number) / all));
        }
    }
}

// === impl News ===

impl Clone for News {
    fn clone(&self) -> Self {
        Self {
            revoked: self.revoked.clone(),
            presence: self.presence.resubscribe(),
            moves: self.moves.as_ref().map(broadcast::Receiver::resubscribe),
        }
    }
}

// === impl Handle ===

impl Handle {
    fn start(
        number: usize,
        gateway: Arc<Gateway>,
        tls: Option<Arc<ServerConfig>>,
        news: News,
        metrics: Arc<WorkerMetrics>,
    ) -> Result<Self, WorkerError> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread();
        let shard = Arc::clone(&metrics);
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let mut runtime = runtime;
                match runtime.enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => {
                        let _ = started.send(Ok(()));
                        runtime.block_on(run(inbox, gateway, tls, news, shard));
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })
            .map_err(WorkerError::Thread)?;
        match start.recv() {
            Ok(Ok(())) => Ok(Self {
                commands,
                metrics,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(WorkerError::Runtime(error)),
            Err(_) => Err(WorkerError::Runtime(io::Error::other("the thread ended"))),
        }
    }
}

/// A worker's whole life.
async fn run(
    mut inbox: mpsc::UnboundedReceiver<Command>,
    gateway: Arc<Gateway>,
    tls: Option<Arc<ServerConfig>>,
    news: News,
    metrics: Arc<WorkerMetrics>,
) {
    let News {
        mut revoked,
        mut presence,
        mut moves,
    } = news;
    let worker = Rc::new(Worker::new(gateway, Arc::clone(&metrics)));
    let tls = tls.map(TlsAcceptor::from);
    let open = Rc::new(Open::default());
    loop {
        let command = tokio::select! {
            command = inbox.recv() => command,
            changed = revoked.changed() => {
                if changed.is_err() {
                    return;
                }
                worker.end_revoked();
                continue;
            }
            changed = presence.recv() => {
                match changed {
                    Ok(room) => worker.presence_changed(&room),
                    Err(RecvError::Lagged(_)) => worker.presence_unknown(),
                    Err(RecvError::Closed) => return,
                }
                continue;
            }
            moved = next(&mut moves) => {
                match moved {
                    Ok(moved) => worker.end_moved(&moved),
                    Err(RecvError::Lagged(_)) => worker.end_all_moved(),
                    Err(RecvError::Closed) => return,
                }
                continue;
            }
        };
        match command {
            None => return,
            Some(Command::Drain) => {
                worker.part();
                open.drain();
                worker.end_listeners();
            }
            Some(Command::Judge) => worker.judge(),
            Some(Command::Answer(answer)) => {
                // Who asked may have gone meanwhile.
                let _ = answer.send(());
            }
            Some(Command::EndSockets(spread)) => {
                let worker = Rc::clone(&worker);
                tokio::task::spawn_local(async move { worker.end_sockets(spread).await });
            }
            Some(Command::Serve(arrival)) => {
                let tls = tls.clone().filter(|_| arrival.tls);
                let (number, drain) = open.enter();
                let (worker, open) = (Rc::clone(&worker), Rc::clone(&open));
                let closing = Closing {
                    metrics: Arc::clone(&metrics),
                    open,
                    number,
                };
                tokio::task::spawn_local(async move {
                    let _closing = closing;
                    if let Err(error) = serve(worker, arrival, tls, drain).await {
                        warn!(%error, "a connection could not be taken over");
                    }
                });
            }
        }
    }
}

async fn next(moves: &mut Option<broadcast::Receiver<Move>>) -> Result<Move, RecvError> {
    match moves {
        Some(moves) => moves.recv().await,
        None => std::future::pending().await,
    }
}

/// Books a connection out, also when its task panics.
struct Closing {
    metrics: Arc<WorkerMetrics>,
    open: Rc<Open>,
    number: u64,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.open.drains.borrow_mut().remove(&self.number);
        self.metrics.add_connections(-1);
    }
}

// === impl Open ===

impl Open {
    fn enter(&self) -> (u64, oneshot::Receiver<Duration>) {
        let number = self.next.get();
        self.next.set(number + 1);
        let (sender, receiver) = oneshot::channel();
        if self.draining.get() {
            // It was accepted just before listening ended, and no other command will come.
            let _ = sender.send(LINGER);
        } else {
            self.drains.borrow_mut().insert(number, sender);
        }
        (number, receiver)
    }

    fn drain(&self) {
        self.draining.set(true);
        for (_, drain) in self.drains.borrow_mut().drain() {
            // A connection that does not listen any more is ending.
            let _ = drain.send(LINGER);
        }
    }
}

/// How long a connection of HTTP/1.1 is kept on which nothing is under way. A client that is at work asks
/// sooner; the next request of one that is not has little chance to cross with the end.
const LINGER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_turns_with_ending_their_sockets() {
        let (handles, inboxes): (Vec<_>, Vec<_>) = (0..4)
            .map(|_| {
                let (commands, inbox) = mpsc::unbounded_channel();
                let handle = Handle {
                    commands,
                    metrics: Arc::default(),
                    thread: None,
                };
                (handle, inbox)
            })
            .unzip();
        Workers { workers: handles }.end_sockets(LINGER);
        let spread = |mut inbox: mpsc::UnboundedReceiver<Command>| match inbox.try_recv() {
            Ok(Command::EndSockets(spread)) => spread,
            other => panic!("{other:?}"),
        };
        let spreads: Vec<_> = inboxes.into_iter().map(spread).collect();
        let expected = [0.0, 0.25, 0.5, 0.75].map(|head_start| Spread {
            window: LINGER,
            head_start,
        });
        assert_eq!(spreads, expected);
    }

    #[test]
    fn who_comes_while_draining_is_told_at_once() {
        let open = Open::default();
        let (_, mut before) = open.enter();
        assert!(before.try_recv().is_err());
        open.drain();
        assert_eq!(before.try_recv(), Ok(LINGER));
        // Accepted before, handed over after.
        let (_, mut after) = open.enter();
        assert_eq!(after.try_recv(), Ok(LINGER));
    }
}
