//! One client connection: PROXY header, TLS handshake, then HTTP/1.1 or HTTP/2 by ALPN.

use std::{convert::Infallible, io, net::IpAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use observe::metrics::{Handshake, LimitKind, WorkerMetrics};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{
    ACME_TLS_ALPN, Connection, Service, client_stream::ClientStream, http2::Http2Client,
    proxy_protocol,
};
use crate::limits::ConnectionPermit;

/// A connection as the acceptor hands it to a worker, where its runtime takes it over.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) stream: std::net::TcpStream,
    pub(super) permit: ConnectionPermit,
    pub(super) peer: IpAddr,
    /// Whether the listener terminates TLS.
    pub(super) tls: bool,
    /// Whether the peer sends a PROXY header first.
    pub(super) proxy_protocol: bool,
}

/// Serves the connections of one worker, which share it.
pub(super) struct ConnectionServer<S> {
    pub(super) service: Rc<S>,
    pub(super) tls: Option<TlsAcceptor>,
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
        let stream = TcpStream::from_std(accepted.stream)?;
        let stream = ClientStream::new(stream, accepted.permit, Arc::clone(&self.metrics));
        let connection = Connection {
            peer: accepted.peer,
            tls: accepted.tls,
            anonymous: false,
        };
        if accepted.proxy_protocol {
            self.serve_proxied(stream, connection, drain).await;
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
                connection.peer = client;
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

    async fn serve_client<IO>(
        &self,
        stream: ClientStream<IO>,
        connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = self.tls.as_ref().filter(|_| connection.tls) else {
            return self.serve_http1(stream, connection, drain).await;
        };
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let backpressure = stream.backpressure();
        match timeout_at(deadline, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.metrics.count_handshake(Handshake::Ok);
                let protocol = stream.get_ref().1.alpn_protocol();
                if protocol == Some(ACME_TLS_ALPN) {
                    // The authority has seen the certificate, and sends no data.
                    let mut stream = stream;
                    let _ = timeout_at(deadline, stream.shutdown()).await;
                } else if protocol == Some(b"h2") {
                    let client = Http2Client {
                        connection,
                        backpressure,
                    };
                    self.serve_http2(stream, client, drain, deadline).await;
                } else {
                    self.serve_http1(stream, connection, drain).await;
                }
            }
            Ok(Err(error)) => {
                self.metrics.count_handshake(Handshake::Failed);
                debug!(%error, client.addr = %connection.peer, "TLS handshake failed");
            }
            Err(_) => {
                self.metrics.count_handshake(Handshake::Timeout);
                debug!(client.addr = %connection.peer, "TLS handshake timed out");
            }
        }
    }

    async fn serve_http1<IO>(
        &self,
        stream: IO,
        connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = Rc::clone(&self.service);
        let handle = service_fn(move |request| {
            let service = Rc::clone(&service);
            // Boxed: hyper keeps room for the future of a request as long as the connection.
            Box::pin(async move { Ok::<_, Infallible>(service.handle(request, connection).await) })
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_FIELDS)
            .serve_connection(TokioIo::new(stream), handle)
            .with_upgrades();
        let mut serving = pin!(serving);
        // HTTP/1.1 cannot announce the end of an idle connection: a request may cross with the close,
        // and a browser does not retry a POST. So an idle connection stays open for a while, in which
        // the next response carries `Connection: close`.
        let lingering = async {
            if let Ok(linger) = drain.await {
                sleep(linger).await;
            }
        };
        let outcome = tokio::select! {
            outcome = serving.as_mut() => outcome,
            () = lingering => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = outcome {
            if error.is_parse_too_large() {
                self.metrics.count_limit(LimitKind::Head);
            } else if error.is_timeout() {
                self.metrics.count_limit(LimitKind::HeadTime);
            }
            debug!(%error, client.addr = %connection.peer, "HTTP/1.1 connection failed");
        }
    }
}

/// A load balancer sends the header first; a TCP health check that sends none is cut.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Slow phones on bad networks need two seconds.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Browsers send far less, even with several cookies of 4 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Browsers send about thirty.
const MAX_FIELDS: usize = 100;

#[cfg(test)]
pub(super) mod tests;
