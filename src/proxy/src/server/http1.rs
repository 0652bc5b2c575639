//! HTTP/1.1 on one client connection.
//!
//! The HTTP library keeps two buffers of 8 KiB as long as it has a connection. A connection that waits
//! for its next request is taken from the library after [`BUFFER_TIMEOUT`], which frees them, and is
//! given back with the first byte of that request.

mod exchange;
mod replay_stream;

use std::{convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::Request;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use observe::metrics::LimitKind;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::oneshot,
    time::sleep,
};
use tracing::debug;

use self::{
    exchange::{Exchange, ExchangeBody},
    replay_stream::ReplayStream,
};
use super::{
    ClientBody, Service,
    connection::{Client, ConnectionServer},
};

// === impl ConnectionServer ===

impl<S: Service> ConnectionServer<S> {
    /// Serves HTTP/1.1 until the connection ends or leaves HTTP by an upgrade.
    pub(super) async fn serve_http1<IO>(
        &self,
        stream: IO,
        client: Client,
        drain: oneshot::Receiver<Duration>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Client {
            connection,
            backpressure,
        } = client;
        // HTTP/1.1 cannot announce the end of an idle connection: a request may cross with the close,
        // and a browser does not retry a POST. So an idle connection stays open for a while, in which
        // the next response carries `Connection: close`.
        let mut lingering = pin!(async {
            if let Ok(linger) = drain.await {
                sleep(linger).await;
            }
        });
        let exchange = Arc::new(Exchange::new(backpressure));
        let mut stream = ReplayStream::new(stream, Arc::clone(&exchange));
        let outcome = loop {
            let service = Rc::clone(&self.service);
            let opening = Arc::clone(&exchange);
            let handle = service_fn(move |request: Request<Incoming>| {
                let service = Rc::clone(&service);
                let open = Exchange::begin(&opening, request.body().is_end_stream());
                // Boxed: hyper keeps room for the future of a request as long as the connection.
                Box::pin(async move {
                    let response = service
                        .handle(request.map(ClientBody::from), connection)
                        .await;
                    Ok::<_, Infallible>(response.map(|body| ExchangeBody::new(body, open)))
                })
            });
            // Boxed: an idle connection does not keep its room.
            let mut serving = Box::new(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(self.idle)
                    .max_buf_size(MAX_HEAD_BYTES)
                    .max_headers(MAX_FIELDS)
                    .serve_connection(TokioIo::new(stream), handle)
                    .with_upgrades(),
            );
            tokio::select! {
                outcome = serving.as_mut() => break outcome,
                () = lingering.as_mut() => {
                    std::pin::Pin::new(serving.as_mut()).graceful_shutdown();
                    break serving.await;
                }
                () = exchange.waits_for_request(BUFFER_TIMEOUT) => {}
            }
            let Some(http1::Parts { io, read_buf, .. }) = serving.into_parts() else {
                return;
            };
            stream = io.into_inner();
            if read_buf.is_empty() {
                drop(read_buf);
                let mut first = [0];
                let received = tokio::select! {
                    received = stream.read(&mut first) => matches!(received, Ok(1)),
                    () = sleep(self.idle.saturating_sub(BUFFER_TIMEOUT)) => false,
                    () = lingering.as_mut() => false,
                };
                if !received {
                    // The client may be gone already.
                    let _ = stream.shutdown().await;
                    return;
                }
                stream.replay(first.to_vec().into());
            } else {
                stream.replay(read_buf);
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

/// A page and what it loads come within this time, and so does the next BOSH request of a client after
/// the answer to its last: only a connection that serves no meeting now pays for its next buffers.
const BUFFER_TIMEOUT: Duration = Duration::from_secs(5);

/// Browsers send far less, even with several cookies of 4 KiB.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Browsers send about thirty.
const MAX_FIELDS: usize = 100;

#[cfg(test)]
mod tests;
