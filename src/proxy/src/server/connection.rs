//! One client connection: PROXY header, TLS handshake, then HTTP/1.1 or HTTP/2 by ALPN.

use std::{convert::Infallible, io, net::IpAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use observe::metrics::{Handshake, LimitKind, WorkerMetrics};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{Connection, Service, proxy_protocol};

/// A connection as the acceptor hands it to a worker, where its runtime takes it over.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) stream: std::net::TcpStream,
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
        mut stream: IO,
        mut connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let balancer = connection.peer;
        match timeout(PROXY_HEADER_TIMEOUT, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(client))) => connection.peer = client,
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
        stream: IO,
        connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = self.tls.as_ref().filter(|_| connection.tls) else {
            return self.serve_http1(stream, connection, drain).await;
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.metrics.count_handshake(Handshake::Ok);
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    self.serve_http2(stream, connection, drain).await;
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
            async move { Ok::<_, Infallible>(service.handle(request, connection).await) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
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

    async fn serve_http2<IO>(
        &self,
        stream: IO,
        connection: Connection,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let service = Rc::clone(&self.service);
        let handle = service_fn(move |request| {
            let service = Rc::clone(&service);
            async move { Ok::<_, Infallible>(service.handle(request, connection).await) }
        });
        let serving = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), handle);
        let mut serving = pin!(serving);
        let outcome = tokio::select! {
            outcome = serving.as_mut() => outcome,
            // GOAWAY tells the client which streams are still answered; no lingering is needed.
            _ = drain => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = outcome {
            debug!(%error, client.addr = %connection.peer, "HTTP/2 connection failed");
        }
    }
}

/// Runs HTTP/2 streams on the worker's own thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A load balancer sends the header first; a TCP health check that sends none is cut.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Slow phones on bad networks need two seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a head to arrive; also the keep-alive time of an idle HTTP/1.1 connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Browsers send far less, even with several cookies of 4 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Browsers send about thirty.
const MAX_FIELDS: usize = 100;

/// As [`MAX_HEAD_BYTES`], for `SETTINGS_MAX_HEADER_LIST_SIZE`.
const MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;

/// Jitsi's page loads about forty files in parallel.
const MAX_STREAMS: u32 = 100;

/// Buffered per stream for a slow client; beyond it the upstream is not read.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The default of RFC 9113 § 6.9.2: bytes that a client may send before they are read. Signalling
/// bodies are smaller.
const STREAM_WINDOW_BYTES: u32 = 65_535;

/// Sixteen stream windows.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Detects dead peers on idle connections.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Allows for two lost packets.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests;
