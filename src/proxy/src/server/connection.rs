//! One client's connection: whose it is, TLS, then HTTP/1.1 or HTTP/2 by what was agreed on.

use std::{convert::Infallible, io, pin::pin, rc::Rc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{proxy_protocol, worker::Arrival};
use crate::gateway::{Connection, Worker};
use observe::metrics::{Handshake, LimitKind};

/// Serves one connection until it ends, or becomes a tunnel.
///
/// When told to drain, what is under way is answered, and so is what the client sent before it knew.
pub(super) async fn serve(
    worker: Rc<Worker>,
    arrival: Arrival,
    tls: Option<TlsAcceptor>,
    drain: oneshot::Receiver<Duration>,
) -> io::Result<()> {
    let mut stream = TcpStream::from_std(arrival.stream)?;
    let mut connection = Connection {
        peer: arrival.peer,
        tls: arrival.tls,
        anonymous: false,
    };
    if arrival.proxied {
        match timeout(HEADER_TIMEOUT, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(client))) => connection.peer = client,
            Ok(Ok(None)) => connection.anonymous = true,
            Ok(Err(error)) => {
                debug!(%error, balancer.addr = %arrival.peer, "a balancer's connection is dropped");
                return Ok(());
            }
            Err(_) => {
                debug!(balancer.addr = %arrival.peer, "a PROXY header took too long");
                return Ok(());
            }
        }
    }
    serve_client(worker, stream, connection, tls, drain).await;
    Ok(())
}

async fn serve_client(
    worker: Rc<Worker>,
    stream: TcpStream,
    connection: Connection,
    tls: Option<TlsAcceptor>,
    drain: oneshot::Receiver<Duration>,
) {
    let Some(tls) = tls else {
        return http1_on(worker, stream, connection, drain).await;
    };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            worker.metrics().count_handshake(Handshake::Ok);
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2_on(worker, stream, connection, drain).await;
            } else {
                http1_on(worker, stream, connection, drain).await;
            }
        }
        Ok(Err(error)) => {
            worker.metrics().count_handshake(Handshake::Failed);
            debug!(%error, client.addr = %connection.peer, "a TLS handshake failed");
        }
        Err(_) => {
            worker.metrics().count_handshake(Handshake::Timeout);
            debug!(client.addr = %connection.peer, "a TLS handshake took too long");
        }
    }
}

async fn http1_on<S>(
    worker: Rc<Worker>,
    stream: S,
    connection: Connection,
    drain: oneshot::Receiver<Duration>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serves = Rc::clone(&worker);
    let service = service_fn(move |request| {
        let worker = Rc::clone(&serves);
        async move { Ok::<_, Infallible>(worker.handle(request, connection).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    // HTTP/1.1 has no way to say good-bye to a connection that nothing is asked on: a request may be
    // on its way while it is closed. So it is kept a little, and its next answer says so.
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
            worker.metrics().count_limit(LimitKind::Head);
        } else if error.is_timeout() {
            worker.metrics().count_limit(LimitKind::HeadTime);
        }
        debug!(%error, client.addr = %connection.peer, "an HTTP/1.1 connection broke off");
    }
}

async fn http2_on<S>(
    worker: Rc<Worker>,
    stream: S,
    connection: Connection,
    drain: oneshot::Receiver<Duration>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let worker = Rc::clone(&worker);
        async move { Ok::<_, Infallible>(worker.handle(request, connection).await) }
    });
    let serving = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buf_size(MAX_UNSENT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        _ = drain => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, client.addr = %connection.peer, "an HTTP/2 connection broke off");
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

/// A balancer sends its header before anything else; a health check that sends none is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Slow phones on bad networks are through in two seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a head may take; also how long an idle HTTP/1.1 connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Sixteen cookies of four kilobytes would be twice this; browsers send far less.
const MAX_HEAD: usize = 32 * 1024;

/// Browsers send about thirty.
const MAX_FIELDS: usize = 100;

/// As [`MAX_HEAD`].
const MAX_HEADER_LIST: u32 = 32 * 1024;

/// Jitsi's page loads some forty files at once.
const MAX_STREAMS: u32 = 100;

/// What is kept for a stream whose client reads slowly; the upstream waits for the rest.
const MAX_UNSENT: usize = 64 * 1024;

/// The protocol's default (RFC 9113 § 6.9.2): what a client may send before it is read. Signalling
/// bodies are smaller.
const STREAM_WINDOW: u32 = 65_535;

/// Sixteen streams' worth.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Finds peers that are gone while nothing is sent.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Two lost packets' worth.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
