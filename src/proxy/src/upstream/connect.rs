//! New connections to an upstream.

use std::{io, time::Duration};

use http::uri::Authority;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use super::RequestBody;

/// Why an upstream could not be reached; nothing was sent to it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address does not resolve, or nobody listens there.
    #[error("cannot connect to {0}")]
    Connect(Authority, #[source] io::Error),
    /// Nothing answered in time.
    #[error("connecting to {0} took too long")]
    Timeout(Authority),
    /// The HTTP client could not start on the connection.
    #[error("cannot speak HTTP to {0}")]
    Handshake(Authority, #[source] hyper::Error),
}

/// Opens a connection and drives it on the current local runtime.
pub(super) async fn connect(
    to: &Authority,
    within: Duration,
) -> Result<SendRequest<RequestBody>, ConnectError> {
    let address = (
        to.host().trim_matches(['[', ']']),
        to.port_u16().unwrap_or(80),
    );
    let stream = timeout(within, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::Timeout(to.clone()))?
        .map_err(|error| ConnectError::Connect(to.clone(), error))?;
    // Small requests must not wait for acknowledgements (RFC 896).
    stream
        .set_nodelay(true)
        .map_err(|error| ConnectError::Connect(to.clone(), error))?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_ANSWER_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Handshake(to.clone(), error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "an upstream connection ended");
        }
    });
    Ok(sender)
}

/// Heads of Jitsi's answers are below 4 KiB; the same buffer holds body chunks.
const MAX_ANSWER_HEAD: usize = 64 * 1024;
