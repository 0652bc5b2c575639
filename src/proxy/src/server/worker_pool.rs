//! The worker threads: one single-threaded runtime and one [`Service`](super::Service) each.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use observe::metrics::{LimitKind, WorkerMetrics};
use rustls::ServerConfig;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
};
use tracing::warn;

use super::{
    DrainSchedule, ServiceFactory,
    connection::AcceptedConnection,
    worker_loop::{Command, run},
};

/// The threads that serve requests; the handle of the control plane.
#[derive(Debug)]
pub struct WorkerPool {
    workers: Vec<WorkerHandle>,
}

/// The operating system refused a resource of a worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerStartError {
    /// The thread; the limit of threads or memory is reached.
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
    /// The event queue of its runtime; the limit of file descriptors is reached.
    #[error("cannot start the runtime of a worker")]
    Runtime(#[source] io::Error),
}

#[derive(Debug)]
struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    metrics: Arc<WorkerMetrics>,
    thread: Option<JoinHandle<()>>,
}

// === impl WorkerPool ===

impl WorkerPool {
    /// Starts one thread for each element of `metrics`; `idle` is the time that an idle connection stays
    /// open.
    pub fn start<F: ServiceFactory>(
        factory: &F,
        tls: Option<&Arc<ServerConfig>>,
        metrics: Vec<Arc<WorkerMetrics>>,
        idle: Duration,
    ) -> Result<Self, WorkerStartError> {
        let workers = (0..)
            .zip(metrics)
            .map(|(index, metrics)| {
                WorkerHandle::start(index, factory.clone(), tls.cloned(), metrics, idle)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { workers })
    }

    /// Hands a connection to the worker with the fewest connections; WebSockets count, too, although
    /// they left HTTP.
    pub(super) fn dispatch(&self, connection: AcceptedConnection) {
        let least_loaded = self
            .workers
            .iter()
            .min_by_key(|worker| worker.metrics.open_connections() + worker.metrics.open_sockets());
        let Some(worker) = least_loaded else { return };
        worker.metrics.add_connections(1);
        if worker.commands.send(Command::Serve(connection)).is_err() {
            worker.metrics.add_connections(-1);
            warn!("a worker thread has ended; dropped a connection");
        }
    }

    /// Counts a connection that no worker gets.
    pub(super) fn count_limit(&self, limit: LimitKind) {
        if let Some(worker) = self.workers.first() {
            worker.metrics.count_limit(limit);
        }
    }

    /// Closes idle connections and, after their responses, the others.
    pub fn drain(&self) {
        self.broadcast(|_| Command::Drain);
    }

    /// Makes each service apply reloaded settings to its open connections.
    pub fn reload(&self) {
        self.broadcast(|_| Command::Reload);
    }

    /// Closes the WebSockets with code 1001, one after another over `window`.
    pub fn end_sockets(&self, window: Duration) {
        self.broadcast(|head_start| Command::EndSockets(DrainSchedule { window, head_start }));
    }

    /// Whether every worker processes commands; waits for busy workers.
    pub async fn are_alive(&self) -> bool {
        for worker in &self.workers {
            let (ping, pong) = oneshot::channel();
            if worker.commands.send(Command::Ping(ping)).is_err() || pong.await.is_err() {
                return false;
            }
        }
        true
    }

    /// Number of open HTTP connections.
    pub fn open_connections(&self) -> i64 {
        self.workers
            .iter()
            .map(|worker| worker.metrics.open_connections())
            .sum()
    }

    /// Number of open WebSockets.
    pub fn open_sockets(&self) -> i64 {
        self.workers
            .iter()
            .map(|worker| worker.metrics.open_sockets())
            .sum()
    }

    /// Ends the threads and waits for them; open connections are cut. Blocks.
    pub fn stop(self) {
        // Dropping all senders first lets the workers end side by side.
        let threads: Vec<_> = self
            .workers
            .into_iter()
            .filter_map(|worker| worker.thread)
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                warn!("a worker thread panicked");
            }
        }
    }

    /// Sends a command to each worker, made from its position among all, from 0 to below 1.
    fn broadcast(&self, command: impl Fn(f64) -> Command) {
        let count = f64::from(u32::try_from(self.workers.len()).unwrap_or(u32::MAX));
        for (index, worker) in (0u32..).zip(&self.workers) {
            // A worker that has ended has nothing left to end.
            let _ = worker.commands.send(command(f64::from(index) / count));
        }
    }
}

// === impl WorkerHandle ===

impl WorkerHandle {
    fn start<F: ServiceFactory>(
        index: usize,
        factory: F,
        tls: Option<Arc<ServerConfig>>,
        metrics: Arc<WorkerMetrics>,
        idle: Duration,
    ) -> Result<Self, WorkerStartError> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let thread_metrics = Arc::clone(&metrics);
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                // A local runtime cannot move between threads, so it is built here.
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                match runtime {
                    Ok(runtime) => {
                        let _ = started.send(Ok(()));
                        runtime.block_on(run(factory, tls, thread_metrics, idle, receiver));
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })
            .map_err(WorkerStartError::Thread)?;
        match start.recv() {
            Ok(Ok(())) => Ok(Self {
                commands,
                metrics,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(WorkerStartError::Runtime(error)),
            Err(_) => Err(WorkerStartError::Runtime(io::Error::other(
                "the thread ended",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(45);

    #[test]
    fn workers_end_their_sockets_in_turns() {
        let (workers, receivers): (Vec<_>, Vec<_>) = (0..4)
            .map(|_| {
                let (commands, receiver) = mpsc::unbounded_channel();
                let worker = WorkerHandle {
                    commands,
                    metrics: Arc::default(),
                    thread: None,
                };
                (worker, receiver)
            })
            .unzip();
        WorkerPool { workers }.end_sockets(WINDOW);
        let schedule = |mut receiver: mpsc::UnboundedReceiver<Command>| match receiver.try_recv() {
            Ok(Command::EndSockets(schedule)) => schedule,
            other => panic!("{other:?}"),
        };
        let schedules: Vec<_> = receivers.into_iter().map(schedule).collect();
        let expected = [0.0, 0.25, 0.5, 0.75].map(|head_start| DrainSchedule {
            window: WINDOW,
            head_start,
        });
        assert_eq!(schedules, expected);
    }
}
