//! A small HTTP/1.1 server on loopback, shared by the stand-ins.

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

/// An answer that is complete when it begins.
pub(super) type Answer = Response<Full<Bytes>>;

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

/// Answers requests until `stop`; connections that are open then are dropped.
pub(super) async fn serve<H, F>(listener: TcpListener, stop: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
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
                            let answer = handler(request);
                            async move { Ok::<_, Infallible>(answer.await) }
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

/// The request's whole body; `None` if it is larger than `limit` or broken off.
pub(super) async fn read(body: Incoming, limit: usize) -> Option<Bytes> {
    let body = Limited::new(body, limit).collect().await.ok()?;
    Some(body.to_bytes())
}

/// An answer that no cache keeps.
pub(super) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// A short answer in words.
pub(super) fn text(status: StatusCode, words: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", words)
}

/// An answer that sends the browser on.
pub(super) fn redirect(to: &str) -> Answer {
    let Ok(location) = HeaderValue::from_str(to) else {
        return text(StatusCode::BAD_REQUEST, "no address to go on to");
    };
    let mut answer = text(StatusCode::SEE_OTHER, "");
    answer.headers_mut().insert(header::LOCATION, location);
    answer
}

/// Bounds what one process can be made to hold; a demonstration needs a dozen.
const MAX_CONNECTIONS: usize = 1024;

/// A head from this machine arrives at once or not at all.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepting fails when the process has no file descriptor left; some may be free a little later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
