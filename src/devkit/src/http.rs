//! A small HTTP/1.1 server on loopback, for both stand-ins.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::DevkitError;

/// A response whose body is in memory.
pub(super) type HttpResponse = Response<Full<Bytes>>;

/// Listens on a loopback address; port 0 picks a free one.
pub(super) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), DevkitError> {
    if !address.ip().is_loopback() {
        return Err(DevkitError::NotLoopback(address));
    }
    let failed = |source| DevkitError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Serves until `stop`, then drops open connections.
pub(super) async fn serve<H, F>(listener: TcpListener, stop: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HttpResponse> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let handler = handler.clone();
                    connections.spawn(async move {
                        let service = service_fn(|request| {
                            let response = handler(request);
                            async move { Ok::<_, Infallible>(response.await) }
                        });
                        let served = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(HEAD_TIMEOUT)
                            .serve_connection(TokioIo::new(stream), service)
                            .with_upgrades()
                            .await;
                        if let Err(error) = served {
                            debug!(%error, "a connection to a development service ended");
                        }
                    });
                }
                Err(error) => {
                    debug!(%error, "a connection to a development service failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Reads a whole body; `None` if it is larger than `limit` bytes or incomplete.
pub(super) async fn read(body: Incoming, limit: usize) -> Option<Bytes> {
    let body = Limited::new(body, limit).collect().await.ok()?;
    Some(body.to_bytes())
}

/// A response with `Cache-Control: no-store`.
pub(super) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A response in plain text.
pub(super) fn text(status: StatusCode, text: &'static str) -> HttpResponse {
    response(status, "text/plain; charset=utf-8", text)
}

/// A redirect with 303; 400 if the target is not a header value.
pub(super) fn redirect(to: &str) -> HttpResponse {
    let Ok(location) = HeaderValue::from_str(to) else {
        return text(StatusCode::BAD_REQUEST, "invalid redirect target");
    };
    let mut response = text(StatusCode::SEE_OTHER, "");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Bounds memory and file descriptors; the demonstration needs a dozen.
const MAX_CONNECTIONS: usize = 1024;

/// A request head on the same machine arrives within milliseconds.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after `accept` failed, usually because the process has no file descriptor left: long
/// enough to yield, short enough to go unnoticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
