//! Listening and accepting.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Workers, worker::Arrival};
use model::headers::TrustedProxies;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Where it really listens; differs from what was asked for if that was port 0.
    pub address: SocketAddr,
}

/// What is known of connections by where they come in.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// They are TLS.
    pub tls: bool,
    /// Whose connections begin with a PROXY header.
    pub balancers: Option<TrustedProxies>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Binds an address.
pub fn listen(address: SocketAddr) -> Result<Listener, ListenError> {
    bind(address).map_err(|source| ListenError { address, source })
}

fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections that the kernel still remembers.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means both families, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

// === impl Listener ===

impl Listener {
    /// A socket that listens already, in place of one that would be bound.
    pub(super) fn of(socket: TcpListener, instead_of: SocketAddr) -> Result<Self, ListenError> {
        let taken = socket
            .set_nonblocking(true)
            .and_then(|()| socket.local_addr());
        match taken {
            Ok(address) => Ok(Self { socket, address }),
            Err(source) => Err(ListenError {
                address: instead_of,
                source,
            }),
        }
    }

    /// The socket for the control plane's own servers.
    pub fn into_tokio(self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket)
    }
}

/// Accepts connections and hands them to the workers, until told to stop.
pub async fn accept(
    listener: Listener,
    door: ListenerOptions,
    workers: Arc<Workers>,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.address;
    let socket = listener.into_tokio()?;
    loop {
        let accepted = match stop.run_until_cancelled(socket.accept()).await {
            Some(accepted) => accepted,
            // Closing the socket would break off who has connected and was not accepted yet.
            None => match socket.accept().now_or_never() {
                Some(Ok(accepted)) => Ok(accepted),
                Some(Err(_)) | None => return Ok(()),
            },
        };
        let handed = accepted.and_then(|(stream, peer)| {
            prepare(&stream)?;
            let proxied = door
                .balancers
                .as_ref()
                .is_some_and(|balancers| balancers.contains(peer.ip()));
            workers.serve(Arrival {
                stream: stream.into_std()?,
                peer: peer.ip(),
                tls: door.tls,
                proxied,
            });
            Ok(())
        });
        if let Err(error) = handed {
            if is_about_one_connection(&error) {
                debug!(%error, "a connection ended before it was accepted");
                continue;
            }
            // Out of file descriptors or memory: trying at once again would only burn the core.
            workers.not_accepted();
            warn!(%error, %address, "cannot accept connections");
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

fn prepare(stream: &tokio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    )
}

/// A class that opens its meeting at the full hour.
const BACKLOG: i32 = 1024;

const BACK_OFF: Duration = Duration::from_millis(100);

/// Phones that vanished are found within a minute: 30 s, then three probes of 10 s.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
