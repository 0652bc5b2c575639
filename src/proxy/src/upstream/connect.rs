//! New connections to an upstream.

use std::{io, time::Duration};

use http::uri::Authority;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};
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
    prepare(&stream).map_err(|error| UpstreamConnectError::Connect(to.clone(), error))?;
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

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small requests must not wait for acknowledgements (Nagle's algorithm, RFC 896).
    stream.set_nodelay(true)?;
    // A node that is gone closes nothing, and a pod's address may be dropped: without these a kept
    // connection to it takes requests for a quarter of an hour.
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Several probes fit into [`UNACKNOWLEDGED`].
const PROBE_INTERVAL: Duration = Duration::from_secs(3);

/// The time without an acknowledgement after which an upstream is gone. Within a cluster packets take less
/// than a millisecond, and a lost one is sent again six times in 15 s. It is the time, too, for which a server
/// whose buffers are full may read nothing.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Response heads of Jitsi have less than 4 KiB; the same buffer holds chunks of bodies, several of which wait
/// for a client that does not read.
const MAX_BUFFER_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_upstream_that_acknowledges_nothing_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect_to("127.0.0.1", listener.local_addr().unwrap().port())
            .await
            .unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_INTERVAL);
    }
}
