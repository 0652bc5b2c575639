//! HTTP/2 on one client connection.
//!
//! | phase | ends after |
//! |---|---|
//! | until the preface has come | [`HANDSHAKE_TIMEOUT`](super::connection), which TLS began |
//! | no stream is open | `ConnectionServer::idle`, with GOAWAY |
//! | after GOAWAY, and no stream is open | [`GOAWAY_TIMEOUT`] |
//! | the client answers no PING | [`PING_INTERVAL`] and [`PING_TIMEOUT`] |

mod extended_connect;
mod frame_budget;
mod library_limits;
mod open_streams;
mod preface;
mod reset_budget;
mod stream_body;

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use observe::metrics::LimitKind;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;

pub(crate) use self::extended_connect::ExtendedConnect;
use self::{
    open_streams::{OpenStream, OpenStreams},
    preface::{PrefacedStream, read_preface},
    stream_body::StreamBody,
};
use super::{
    ClientBody, Service,
    connection::{Client, ConnectionServer},
};

/// The signal that the worker drains, and whether it came.
struct Drain {
    signal: oneshot::Receiver<Duration>,
    came: bool,
}

// === impl ConnectionServer ===

impl<S: Service> ConnectionServer<S> {
    /// Serves HTTP/2, whose preface has to come by `deadline`.
    pub(super) async fn serve_http2<IO>(
        &self,
        stream: IO,
        client: Client,
        drain: oneshot::Receiver<Duration>,
        deadline: Instant,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let mut drain = Drain {
            signal: drain,
            came: false,
        };
        if let Some(stream) = self.await_preface(stream, &mut drain, deadline).await {
            self.serve_streams(stream, client, drain).await;
        } else {
            debug!(client.addr = %client.connection.peer, "no HTTP/2 preface came");
        }
    }

    /// While the worker drains, a client that has completed TLS gets time for a round trip.
    async fn await_preface<IO>(
        &self,
        stream: IO,
        drain: &mut Drain,
        deadline: Instant,
    ) -> Option<PrefacedStream<IO>>
    where
        IO: AsyncRead + Unpin,
    {
        let mut reading = pin!(read_preface(stream, Arc::clone(&self.metrics)));
        let mut deadline = pin!(sleep_until(deadline));
        loop {
            tokio::select! {
                stream = reading.as_mut() => return stream.ok(),
                linger = drain.begins() => {
                    let earlier = Instant::now() + linger;
                    if earlier < deadline.deadline() {
                        deadline.as_mut().reset(earlier);
                    }
                }
                () = deadline.as_mut() => {
                    self.metrics.count_limit(LimitKind::HeadTime);
                    return None;
                }
            }
        }
    }

    async fn serve_streams<IO>(&self, stream: PrefacedStream<IO>, client: Client, mut drain: Drain)
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Client {
            connection,
            backpressure,
        } = client;
        let streams = OpenStreams::new();
        let service = Rc::clone(&self.service);
        let opening = Rc::clone(&streams);
        let named_limit = stream.named_limit();
        let upgraded = UpgradedStream::default();
        let upgrading = upgraded.clone();
        let handle = service_fn(move |mut request: Request<Incoming>| {
            let service = Rc::clone(&service);
            let upgraded = upgrading.clone();
            // The task of an upgraded stream is spawned in the poll of its answer, unless its client is
            // gone: no later one is taken for it.
            drop(upgraded.take());
            let stream = opening.open();
            let connect = ExtendedConnect::accept(&mut request);
            let (head, incoming) = request.into_parts();
            let (body, unread) = ClientBody::of_stream(incoming);
            let request = Request::from_parts(head, body);
            async move {
                let mut answer = service.handle(request, connection).await;
                if let Some(unread) = unread {
                    unread.discard();
                }
                let stream = match connect {
                    Some(connect) if ExtendedConnect::finish(&mut answer) => {
                        upgraded.set(stream, connect);
                        None
                    }
                    Some(_) | None => Some(stream),
                };
                Ok::<_, Infallible>(answer.map(|body| StreamBody::new(body, stream)))
            }
        });
        let serving = http2::Builder::new(StreamExecutor {
            streams: Rc::clone(&streams),
            upgraded,
        })
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), handle);
        let mut serving = pin!(serving);
        // One timer for the whole connection; requests do not touch it.
        let mut check = pin!(sleep(CHECK_INTERVAL));
        let mut last_check = Instant::now();
        let mut goaway_sent = drain.came;
        if goaway_sent {
            serving.as_mut().graceful_shutdown();
            check.as_mut().reset(Instant::now() + GOAWAY_TIMEOUT);
        }
        loop {
            tokio::select! {
                outcome = serving.as_mut() => {
                    if let Err(error) = outcome {
                        if let Some(limit) = named_limit.of(&error) {
                            self.metrics.count_limit(limit);
                        }
                        debug!(%error, client.addr = %connection.peer, "HTTP/2 connection failed");
                    }
                    return;
                }
                // GOAWAY tells the client which streams are still answered; no lingering is needed.
                _ = drain.begins() => {
                    goaway_sent = true;
                    serving.as_mut().graceful_shutdown();
                    check.as_mut().reset(Instant::now() + GOAWAY_TIMEOUT);
                }
                () = streams.flooded() => {
                    self.metrics.count_limit(LimitKind::StreamResets);
                    debug!(client.addr = %connection.peer, "too many HTTP/2 streams were reset");
                    return;
                }
                () = check.as_mut() => {
                    let permitted = if goaway_sent { GOAWAY_TIMEOUT } else { self.idle };
                    let now = Instant::now();
                    let Some(idle) = streams.idle_for() else {
                        let stalled = streams.reset_stalled(now - last_check, backpressure.take());
                        for _ in 0..stalled {
                            self.metrics.count_limit(LimitKind::SlowReader);
                        }
                        last_check = now;
                        check.as_mut().reset(now + CHECK_INTERVAL);
                        continue;
                    };
                    last_check = now;
                    let left = permitted.saturating_sub(idle);
                    if !left.is_zero() {
                        check.as_mut().reset(now + left.min(CHECK_INTERVAL));
                        continue;
                    }
                    if goaway_sent {
                        debug!(client.addr = %connection.peer, "the client does not answer GOAWAY");
                        return;
                    }
                    self.metrics.count_limit(LimitKind::HeadTime);
                    goaway_sent = true;
                    serving.as_mut().graceful_shutdown();
                    check.as_mut().reset(now + GOAWAY_TIMEOUT);
                }
            }
        }
    }
}

// === impl Drain ===

impl Drain {
    /// Completes once, when the worker begins to drain; the time for which idle connections linger.
    async fn begins(&mut self) -> Duration {
        if self.came {
            return std::future::pending().await;
        }
        let linger = (&mut self.signal).await.unwrap_or_default();
        self.came = true;
        linger
    }
}

/// Runs HTTP/2 streams, and what they became, on the worker's own thread.
#[derive(Clone)]
struct StreamExecutor {
    streams: Rc<OpenStreams>,
    upgraded: UpgradedStream,
}

/// The stream that becomes a WebSocket, from its answer until its task is spawned, with which it ends.
#[derive(Clone, Default)]
struct UpgradedStream(Rc<Cell<Option<(OpenStream, ExtendedConnect)>>>);

// === impl StreamExecutor ===

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        if let Some((stream, connect)) = self.upgraded.take() {
            tokio::task::spawn_local(async move {
                // The library's task waits for the client's window, even if the WebSocket is over.
                tokio::select! {
                    _ = future => {}
                    () = connect.over() => {}
                }
                drop(stream);
            });
            return;
        }
        let task = tokio::task::spawn_local(future);
        self.streams.spawned(task.abort_handle());
    }
}

// === impl UpgradedStream ===

impl UpgradedStream {
    fn set(&self, mut stream: OpenStream, connect: ExtendedConnect) {
        stream.answered();
        self.0.set(Some((stream, connect)));
    }

    fn take(&self) -> Option<(OpenStream, ExtendedConnect)> {
        self.0.take()
    }
}

/// How often streams that stall are looked for.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Streams that the library itself resets because of what a client sends; honest clients cause none.
const MAX_ERROR_RESETS: usize = 100;

/// A client that is there answers the PING behind GOAWAY within some round trips.
pub(super) const GOAWAY_TIMEOUT: Duration = Duration::from_secs(5);

/// As for a head of HTTP/1.1; for `SETTINGS_MAX_HEADER_LIST_SIZE`.
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
pub(super) mod tests;
