//! The main task of a worker thread.

use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};

use observe::metrics::WorkerMetrics;
use rustls::ServerConfig;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::{
    DrainSchedule, Service, ServiceFactory,
    connection::{AcceptedConnection, ConnectionServer},
    handshakes::TlsHandshakes,
    open_connections::OpenConnections,
};

/// A command of the pool to one worker.
#[derive(Debug)]
pub(super) enum Command {
    /// Serves a connection.
    Serve(AcceptedConnection),
    /// Closes idle connections; in-flight requests complete.
    Drain,
    /// Closes the WebSockets.
    EndSockets(DrainSchedule),
    /// Applies reloaded settings.
    Reload,
    /// Completes when the worker gets to it.
    Ping(oneshot::Sender<()>),
}

/// Serves until the pool drops its sender, or the background task of the service completes.
pub(super) async fn run<F: ServiceFactory>(
    factory: F,
    tls: Option<Arc<ServerConfig>>,
    metrics: Arc<WorkerMetrics>,
    idle: Duration,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let (service, background) = factory.build(Arc::clone(&metrics));
    let mut background = pin!(background);
    let open = Rc::new(OpenConnections::new(Arc::clone(&metrics)));
    let server = Rc::new(ConnectionServer {
        service: Rc::clone(&service),
        tls: tls.map(TlsHandshakes::new),
        metrics,
        idle,
    });
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            () = background.as_mut() => return,
        };
        match command {
            None => return,
            Some(Command::Drain) => {
                service.start_draining();
                open.drain();
            }
            Some(Command::Reload) => service.on_reload(),
            Some(Command::Ping(pong)) => {
                // The caller may have stopped waiting.
                let _ = pong.send(());
            }
            Some(Command::EndSockets(schedule)) => {
                tokio::task::spawn_local(Rc::clone(&service).end_sockets(schedule));
            }
            Some(Command::Serve(accepted)) => {
                let server = Rc::clone(&server);
                let (guard, drain) = open.register();
                tokio::task::spawn_local(async move {
                    let _guard = guard;
                    if let Err(error) = server.serve(accepted, drain).await {
                        warn!(%error, "cannot register a connection with the worker's runtime");
                    }
                });
            }
        }
    }
}
