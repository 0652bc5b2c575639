//! The accept loop of the public listeners.

use std::{io, sync::Arc, time::Duration};

use futures_util::FutureExt;
use model::headers::{PeerAddr, TrustedProxies};
use observe::metrics::LimitKind;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tracing::debug;

use super::{
    BoundListener, ListenAddress, ListenerStop, WorkerPool,
    connection::AcceptedConnection,
    listener::{ClientSocket, descriptor_of, detach},
};
use crate::limits::{ConnectionCounts, ConnectionPermit};

/// Protocols below HTTP on the connections of a listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// Whether connections are TLS.
    pub tls: bool,
    /// Peers whose connections begin with a PROXY header.
    pub proxy_protocol: Option<TrustedProxies>,
    /// Counts the connections of all listeners.
    pub counts: Arc<ConnectionCounts>,
}

/// Accepts connections and hands them to the workers until the listener is stopped.
pub async fn accept_connections(
    listener: BoundListener,
    options: ListenerOptions,
    workers: Arc<WorkerPool>,
    stop: ListenerStop,
) -> io::Result<()> {
    let address = listener.address.clone();
    let mut socket = listener.into_tokio()?;
    loop {
        let accepted = match socket.accept_until(&stop).await {
            Some(accepted) => accepted,
            // The kernel completed handshakes of connections that wait in the backlog; closing the
            // socket would reset them. Each is accepted first.
            None => match socket.accept().now_or_never() {
                Some(Ok(accepted)) => Ok(accepted),
                Some(Err(_)) | None => return Ok(()),
            },
        };
        let dispatched = accepted.and_then(|(stream, peer)| {
            let Some(permit) = admit(&stream, peer, &options.counts, &workers) else {
                return Ok(());
            };
            if let Either::Left(stream) = &stream {
                set_tcp_options(stream)?;
            }
            workers.dispatch(AcceptedConnection {
                stream: detach(stream)?,
                permit,
                peer,
                tls: options.tls,
                proxy_protocol: options
                    .proxy_protocol
                    .as_ref()
                    .is_some_and(|proxies| proxies.trust(peer)),
            });
            Ok(())
        });
        if let Err(error) = dispatched {
            if concerns_one_connection(&error) {
                debug!(%error, "connection ended before it was accepted");
                continue;
            }
            // Out of file descriptors or memory: an immediate retry would only spin.
            workers.count_limit(LimitKind::Accept);
            debug!(%error, %address, "cannot accept connections");
            let own = match address {
                ListenAddress::Tcp(address) => address.ip().into(),
                ListenAddress::Unix(_) => PeerAddr::UnixSocket,
            };
            options.counts.log_refusal(LimitKind::Accept, own);
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

/// Counts a connection; one above a limit is closed before anything is read of it.
fn admit(
    stream: &ClientSocket,
    peer: PeerAddr,
    counts: &Arc<ConnectionCounts>,
    workers: &WorkerPool,
) -> Option<ConnectionPermit> {
    let admitted = if counts.descriptors().is_reserve(descriptor_of(stream)) {
        Err(LimitKind::Accept)
    } else {
        counts.admit(peer)
    };
    admitted
        .inspect_err(|limit| {
            workers.count_limit(*limit);
            counts.log_refusal(*limit, peer);
        })
        .ok()
}

fn set_tcp_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(MOST_UNSENT_BYTES)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Whether the error is that of one connection; otherwise the listener or the process has a problem.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            // Setting an option of a connection that was reset meanwhile.
            | io::ErrorKind::InvalidInput
    )
}

const BACK_OFF: Duration = Duration::from_millis(100);

/// The bytes that the kernel keeps of a client that does not read, beside those in flight (`TCP_NOTSENT_LOWAT`, tcp(7)).
/// By default they grow to four megabytes, of kernel memory that counts against the limit of a container. Eight TLS
/// records keep the window of any client full while the worker does other things.
const MOST_UNSENT_BYTES: u32 = 128 * 1024;

/// A phone without network is detected within a minute: 30 s, then three probes of 10 s.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Time for which sent bytes may stay unacknowledged before the kernel closes the connection
/// (`TCP_USER_TIMEOUT`). Keepalive probes are not sent while data is in flight.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_exhaustion_backs_off_and_a_reset_connection_does_not() {
        let kind = |kind: io::ErrorKind| concerns_one_connection(&kind.into());
        assert!(kind(io::ErrorKind::ConnectionAborted));
        assert!(kind(io::ErrorKind::InvalidInput));
        // EMFILE, ENFILE, ENOMEM.
        for code in [24, 23, 12] {
            let error = io::Error::from_raw_os_error(code);
            assert!(!concerns_one_connection(&error), "{error}");
        }
    }
}
