//! Plain HTTP/1.1 servers of the control plane: the admin and the reservation listener.
//!
//! Their clients are probes, operators and Prosody, on a private network; so there is no TLS, no
//! PROXY header and no draining, and a stop cuts open connections.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::clock::Clock;
use observe::logs::LineLimit;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::BoundListener;

/// Serves HTTP/1.1 on a listener until cancelled; `name` is its name in logs, `handle` gets each
/// request with the address of its peer.
pub(crate) async fn serve_control_http<H, F>(
    name: &'static str,
    listener: BoundListener,
    handle: H,
    stop: CancellationToken,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let socket = listener.into_tokio()?;
    let (lines, clock) = (LineLimit::new(1, 1), Clock::system());
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let (handle, stop) = (handle.clone(), stop.clone());
                let connection =
                    serve_connection(stream, move |request| handle(request, peer.ip()));
                tokio::spawn(async move {
                    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
                        debug!(%error, listener = name, "HTTP connection failed");
                    }
                });
            }
            Err(error) => {
                // One line a minute: without descriptors each attempt fails.
                let any = Ipv4Addr::UNSPECIFIED.into();
                if let Some(suppressed) = lines.permit(any, clock.now()) {
                    warn!(%error, listener = name, suppressed, "cannot accept connections");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    Ok(())
}

async fn serve_connection<H, F>(stream: TcpStream, handle: H) -> Result<(), hyper::Error>
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
