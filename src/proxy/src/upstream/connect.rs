//! New connections to an upstream.

use std::{io, time::Duration};

use http::uri::Authority;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;

use super::{RequestBody, addresses::connect_to};

/// No connection to an upstream; no byte of the request was sent.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamConnectError {
    /// The name does not resolve, or the connection was refused or unreachable.
    #[error("cannot connect to {0}")]
    Connect(Authority, #[source] io::Error),
    /// No TCP connection within the connect timeout; often a firewall that drops packets.
    #[error("timeout connecting to {0}")]
    Timeout(Authority),
    /// The HTTP client did not start on the connection.
    #[error("cannot start HTTP on the connection to {0}")]
    Handshake(Authority, #[source] hyper::Error),
}

/// Opens a connection to `to` and drives it on the current local runtime.
pub(super) async fn connect(
    to: &Authority,
    within: Duration,
) -> Result<SendRequest<RequestBody>, UpstreamConnectError> {
    let host = to.host().trim_matches(['[', ']']);
    let stream = timeout(within, connect_to(host, to.port_u16().unwrap_or(80)))
        .await
        .map_err(|_| UpstreamConnectError::Timeout(to.clone()))?
        .map_err(|error| UpstreamConnectError::Connect(to.clone(), error))?;
    // Small requests must not wait for acknowledgements (Nagle's algorithm, RFC 896).
    stream
        .set_nodelay(true)
        .map_err(|error| UpstreamConnectError::Connect(to.clone(), error))?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamConnectError::Handshake(to.clone(), error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "upstream connection failed");
        }
    });
    Ok(sender)
}

/// Response heads of Jitsi have less than 4 KiB; the same buffer holds chunks of bodies.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
