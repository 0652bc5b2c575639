//! TLS handshakes of one worker, one at a time between the turns of its other tasks.
//!
//! The key exchange and the signature of a handshake take about as long as a hundred messages of a meeting. When a
//! thousand clients connect at once, as at nine o'clock or in an attack, their handshakes are ready at the same time,
//! and a message would wait for all of them. So each waits for its turn before it computes, and the next turn begins
//! when every task that was ready has run. Nothing is held while a client is awaited.

use std::{io, pin::pin, sync::Arc, task::Poll};

use futures_util::poll;
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::yield_now,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

/// Terminates TLS for the connections of one worker.
pub(super) struct TlsHandshakes {
    config: Arc<ServerConfig>,
    /// Has one permit; first come, first served.
    turn: Semaphore,
}

// === impl TlsHandshakes ===

impl TlsHandshakes {
    pub(super) fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            config,
            turn: Semaphore::new(1),
        }
    }

    /// Completes a handshake.
    ///
    /// # Errors
    ///
    /// Of the connection, or of a client that does not speak TLS as the configuration demands.
    pub(super) async fn accept<IO>(&self, stream: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        // Infallible: the semaphore is never closed.
        let turn = self.turn.acquire().await.expect("handshakes have turns");
        let mut handshake = pin!(hello.into_stream(Arc::clone(&self.config)));
        if let Poll::Ready(outcome) = poll!(handshake.as_mut()) {
            return outcome;
        }
        yield_now().await;
        drop(turn);
        handshake.await
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::Ipv4Addr, rc::Rc};

    use rustls::pki_types::ServerName;
    use tokio::{
        net::{TcpListener, TcpStream},
        runtime::{Builder, LocalOptions},
        task::spawn_local,
    };
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::server::connection::tests::tls;

    const CLIENTS: usize = 50;

    #[test]
    fn other_tasks_run_between_two_handshakes() {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let (handshakes, client) = tls();
            let (handshakes, client) = (Rc::new(handshakes), Arc::new(client));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            // The first flights of all clients are there before the first handshake.
            let mut begun = Vec::new();
            for _ in 0..CLIENTS {
                let near = TcpStream::connect(address).await.unwrap();
                let (far, _) = listener.accept().await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let connecting = TlsConnector::from(Arc::clone(&client)).connect(name, near);
                let mut connecting = Box::pin(connecting);
                assert!(poll!(connecting.as_mut()).is_pending());
                begun.push((connecting, far));
            }
            let answered = Rc::new(Cell::new(0));
            let mut tasks = Vec::new();
            for (connecting, far) in begun {
                let (handshakes, answered) = (Rc::clone(&handshakes), Rc::clone(&answered));
                tasks.push(spawn_local(async move {
                    let accepting = spawn_local(async move { handshakes.accept(far).await });
                    // The client goes on when the server has computed its flight.
                    let _open = connecting.await.unwrap();
                    answered.set(answered.get() + 1);
                    accepting.await.unwrap().unwrap();
                }));
            }
            let meeting = spawn_local(async move {
                let mut most = 0;
                while answered.get() < CLIENTS {
                    let before = answered.get();
                    yield_now().await;
                    most = most.max(answered.get() - before);
                }
                most
            });
            for task in tasks {
                task.await.unwrap();
            }
            let most = meeting.await.unwrap();
            assert!(most <= 2, "{most} handshakes in one turn");
        });
    }
}
