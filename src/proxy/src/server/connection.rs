//! One client connection: PROXY header, TLS handshake, then HTTP/1.1 or HTTP/2 by ALPN.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use model::headers::PeerAddr;
use observe::metrics::{Handshake, WorkerMetrics};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;

use super::{
    ACME_TLS_ALPN, Connection, Service,
    client_stream::ClientStream,
    handshakes::TlsHandshakes,
    listener::{DetachedSocket, attach},
    proxy_protocol,
    write_timer::Backpressure,
};
use crate::limits::ConnectionPermit;

/// A connection as the acceptor hands it to a worker, where its runtime takes it over.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) stream: DetachedSocket,
    pub(super) permit: ConnectionPermit,
    pub(super) peer: PeerAddr,
    /// Whether the listener terminates TLS.
    pub(super) tls: bool,
    /// Whether the peer sends a PROXY header first.
    pub(super) proxy_protocol: bool,
}

/// The client of a connection.
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) backpressure: Arc<Backpressure>,
}

/// Serves the connections of one worker, which share it.
pub(super) struct ConnectionServer<S> {
    pub(super) service: Rc<S>,
    pub(super) tls: Option<TlsHandshakes>,
    pub(super) metrics: Arc<WorkerMetrics>,
    /// The time that an idle connection stays open, and in which the head of a request arrives.
    pub(super) idle: Duration,
}

// === impl ConnectionServer ===

impl<S: Service> ConnectionServer<S> {
    /// Serves a connection until it ends or leaves HTTP by an upgrade.
    ///
    /// After `drain` completes, in-flight requests are answered, and so are those that the client
    /// sent before it saw the end.
    pub(super) async fn serve(
        &self,
        accepted: AcceptedConnection,
        drain: oneshot::Receiver<Duration>,
    ) -> io::Result<()> {
        let stream = ClientStream::new(
            attach(accepted.stream)?,
            accepted.permit,
            Arc::clone(&self.metrics),
        );
        let connection = Connection {
            peer: accepted.peer,
            tls: accepted.tls,
            anonymous: false,
        };
        if accepted.proxy_protocol {
            Box::pin(self.serve_proxied(stream, connection, drain)).await;
        } else {
            self.serve_client(stream, connection, drain).await;
        }
        Ok(())
    }

    async fn serve_proxied<IO>(
        &self,
        mut stream: ClientStream<IO>,
        mut connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let balancer = connection.peer;
        match timeout(PROXY_HEADER_TIMEOUT, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(client))) => {
                if let Err(limit) = stream.identify(client) {
                    self.metrics.count_limit(limit);
                    return;
                }
                connection.peer = client.into();
            }
            Ok(Ok(None)) => connection.anonymous = true,
            Ok(Err(error)) => {
                debug!(%error, balancer.addr = %balancer, "invalid PROXY header");
                return;
            }
            Err(_) => {
                debug!(balancer.addr = %balancer, "timeout waiting for a PROXY header");
                return;
            }
        }
        self.serve_client(stream, connection, drain).await;
    }

    /// Serves what follows the PROXY header. What takes much room is boxed, a stream over TLS and the future
    /// of each protocol: a connection would keep room for the largest of them as long as it is open.
    async fn serve_client<IO>(
        &self,
        stream: ClientStream<IO>,
        connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = Client {
            connection,
            backpressure: stream.backpressure(),
        };
        let Some(tls) = self.tls.as_ref().filter(|_| connection.tls) else {
            return Box::pin(self.serve_http1(stream, client, drain)).await;
        };
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let stream = match Box::pin(timeout_at(deadline, tls.accept(stream))).await {
            Ok(Ok(mut stream)) => {
                stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
                Box::new(stream)
            }
            Ok(Err(error)) => {
                self.metrics.count_handshake(Handshake::Failed);
                debug!(%error, client.addr = %connection.peer, "TLS handshake failed");
                return;
            }
            Err(_) => {
                self.metrics.count_handshake(Handshake::Timeout);
                debug!(client.addr = %connection.peer, "TLS handshake timed out");
                return;
            }
        };
        self.metrics.count_handshake(Handshake::Ok);
        let protocol = stream.get_ref().1.alpn_protocol();
        if protocol == Some(ACME_TLS_ALPN) {
            // The authority has seen the certificate, and sends no data.
            let mut stream = stream;
            let _ = timeout_at(deadline, stream.shutdown()).await;
        } else if protocol == Some(b"h2") {
            Box::pin(self.serve_http2(stream, client, drain, deadline)).await;
        } else {
            Box::pin(self.serve_http1(stream, client, drain)).await;
        }
    }
}

/// A load balancer sends the header first; a TCP health check that sends none is cut.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What waits for the socket as TLS records: four of the largest, so that a room's page is one write. A client that does
/// not read keeps it full.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// Slow phones on bad networks need two seconds.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
pub(super) mod tests;
