//! Plain HTTP/1.1 servers of the control plane: the admin and the reservation listener.
//!
//! Their clients are probes, operators and Prosody, on a private network; so there is no TLS, no
//! PROXY header and no draining, and a stop cuts open connections.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{clock::Clock, headers::PeerAddr};
use observe::logs::LineLimit;
use tracing::{debug, warn};

use super::{BoundListener, ListenerStop, listener::ClientSocket};

/// Serves HTTP/1.1 on a listener until it is stopped; `name` is its name in logs, `handle` gets each
/// request with its peer.
pub(crate) async fn serve_control_http<H, F>(
    name: &'static str,
    listener: BoundListener,
    handle: H,
    stop: ListenerStop,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>, PeerAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut socket = listener.into_tokio()?;
    let (lines, clock) = (LineLimit::new(1, 1), Clock::system());
    while let Some(accepted) = socket.accept_until(&stop).await {
        match accepted {
            Ok((stream, peer)) => {
                let (handle, stop) = (handle.clone(), stop.closes.clone());
                let connection = serve_connection(stream, move |request| handle(request, peer));
                tokio::spawn(async move {
                    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
                        debug!(%error, listener = name, "HTTP connection failed");
                    }
                });
            }
            Err(error) => {
                // One line a minute: without descriptors each attempt fails.
                if let Some(suppressed) = lines.permit(None, clock.now()) {
                    warn!(%error, listener = name, suppressed, "cannot accept connections");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    Ok(())
}

async fn serve_connection<H, F>(stream: ClientSocket, handle: H) -> Result<(), hyper::Error>
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let response = handle(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

const BACK_OFF: Duration = Duration::from_millis(100);

/// Clients are on the same network; also the keep-alive time of an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const MAX_HEAD_BYTES: usize = 16 * 1024;
