//! Bound listening sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixListener,
    },
};

use model::headers::PeerAddr;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::{either::Either, sync::CancellationToken};

use super::{
    ListenAddress, SocketMode, SocketPath,
    unix_socket::{SocketFile, UnixSocketError, bind_unix},
};

/// A bound, listening socket, not yet registered with a runtime.
#[derive(Debug)]
pub struct BoundListener {
    socket: ListeningSocket,
    /// The actual address; differs from the configured one if that had port 0.
    pub address: ListenAddress,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    /// Without a file if the service manager bound the socket, which then also removes its file.
    Unix(UnixListener, Option<SocketFile>),
}

/// A listening socket of the current runtime.
#[derive(Debug)]
pub(super) enum AcceptingSocket {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener, Option<SocketFile>),
}

/// How a listener is stopped.
#[derive(Clone, Debug, Default)]
pub struct ListenerStop {
    /// Cancelled when the process begins to stop: the next one may replace the file of a Unix socket.
    pub begins: CancellationToken,
    /// Cancelled when no more connections are accepted.
    pub closes: CancellationToken,
}

/// The socket of a client, registered with the current runtime.
pub(super) type ClientSocket = Either<TcpStream, UnixStream>;

/// The socket of a client on its way from one runtime to another.
pub(super) type DetachedSocket = Either<std::net::TcpStream, std::os::unix::net::UnixStream>;

/// A socket cannot be bound, or was passed for the wrong listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is in use, not local, or not permitted.
    #[error("cannot listen on {address}")]
    Tcp {
        /// The address of the configuration.
        address: SocketAddr,
        /// The error of the system call.
        #[source]
        source: io::Error,
    },
    /// The file of the socket is in use or cannot be made.
    #[error("cannot listen on {path}")]
    Unix {
        /// The path of the configuration.
        path: SocketPath,
        /// Why.
        #[source]
        source: UnixSocketError,
    },
    /// A proxy that passes TLS on would pass on forged forwarding headers of its clients, which count from a
    /// Unix socket; Prosody connects by TCP only.
    #[error("the socket named `{0}` is a Unix socket, which only http and admin can be")]
    UnixNotPossible(String),
}

// === impl BoundListener ===

impl BoundListener {
    /// Binds a TCP address and listens on it.
    pub fn bind_tcp(address: SocketAddr) -> Result<Self, ListenError> {
        open_socket(address)
            .and_then(Self::from_tcp)
            .map_err(|source| ListenError::Tcp { address, source })
    }

    /// Binds a TCP address or a Unix socket, whose file gets these permissions, and listens on it.
    pub fn bind(address: &ListenAddress, mode: SocketMode) -> Result<Self, ListenError> {
        match address {
            ListenAddress::Tcp(address) => Self::bind_tcp(*address),
            ListenAddress::Unix(path) => bind_unix(path, mode)
                .and_then(|(socket, file)| Ok(Self::from_unix(socket, Some(file), path.clone())?))
                .map_err(|source| ListenError::Unix {
                    path: path.clone(),
                    source,
                }),
        }
    }

    /// Takes over a listening socket.
    pub(super) fn from_tcp(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.into();
        let socket = ListeningSocket::Tcp(socket);
        Ok(Self { socket, address })
    }

    /// Takes over a listening socket whose file is the service manager's.
    pub(super) fn from_inherited_unix(socket: UnixListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let path = address.as_pathname().ok_or(io::ErrorKind::InvalidInput)?;
        Self::from_unix(socket, None, SocketPath::of_bound(path))
    }

    fn from_unix(
        socket: UnixListener,
        file: Option<SocketFile>,
        path: SocketPath,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: ListeningSocket::Unix(socket, file),
            address: ListenAddress::Unix(path),
        })
    }

    /// Registers the socket with the current runtime.
    pub(super) fn into_tokio(self) -> io::Result<AcceptingSocket> {
        Ok(match self.socket {
            ListeningSocket::Tcp(socket) => {
                AcceptingSocket::Tcp(tokio::net::TcpListener::from_std(socket)?)
            }
            ListeningSocket::Unix(socket, file) => {
                AcceptingSocket::Unix(tokio::net::UnixListener::from_std(socket)?, file)
            }
        })
    }
}

// === impl AcceptingSocket ===

impl AcceptingSocket {
    /// Accepts a connection.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as accepting is for both kinds of sockets.
    pub(super) async fn accept(&self) -> io::Result<(ClientSocket, PeerAddr)> {
        Ok(match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                (Either::Left(stream), peer.ip().into())
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                (Either::Right(stream), PeerAddr::UnixSocket)
            }
        })
    }

    /// Accepts a connection; `None` when the listener closes. The file of a Unix socket is removed by then, and
    /// connections that were made before can still be accepted.
    pub(super) async fn accept_until(
        &mut self,
        stop: &ListenerStop,
    ) -> Option<io::Result<(ClientSocket, PeerAddr)>> {
        loop {
            let owns_file = self.held_file().is_some();
            tokio::select! {
                biased;
                () = stop.closes.cancelled() => {
                    if let Self::Unix(_, file) = self {
                        *file = None;
                    }
                    return None;
                }
                () = stop.begins.cancelled(), if owns_file => {
                    if let Some(file) = self.held_file() {
                        file.release();
                    }
                }
                accepted = self.accept() => return Some(accepted),
            }
        }
    }

    /// The file of a Unix socket, until the next process may replace it.
    fn held_file(&mut self) -> Option<&mut SocketFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(_, file) => file.as_mut().filter(|file| !file.is_released()),
        }
    }
}

/// Takes a socket from the current runtime, to hand it to another.
pub(super) fn detach(socket: ClientSocket) -> io::Result<DetachedSocket> {
    Ok(match socket {
        Either::Left(stream) => Either::Left(stream.into_std()?),
        Either::Right(stream) => Either::Right(stream.into_std()?),
    })
}

/// Registers a socket with the current runtime.
pub(super) fn attach(socket: DetachedSocket) -> io::Result<ClientSocket> {
    Ok(match socket {
        Either::Left(stream) => Either::Left(TcpStream::from_std(stream)?),
        Either::Right(stream) => Either::Right(UnixStream::from_std(stream)?),
    })
}

/// The number of a socket's descriptor.
pub(super) fn descriptor_of(socket: &ClientSocket) -> RawFd {
    match socket {
        Either::Left(stream) => stream.as_raw_fd(),
        Either::Right(stream) => stream.as_raw_fd(),
    }
}

fn open_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` accepts IPv4 as well, whatever net.ipv6.bindv6only is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Connections that the kernel queues: a meeting of hundreds that begins on the hour.
pub(super) const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn port_zero_binds_a_free_port() {
        let listener = BoundListener::bind_tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert_ne!(listener.address.tcp().unwrap().port(), 0);
    }

    #[test]
    fn the_error_names_the_address() {
        // 192.0.2.0/24 is for documentation (RFC 5737) and not local.
        let error = BoundListener::bind_tcp("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
        let address = "unix:/nonexistent/http.sock".parse().unwrap();
        let error = BoundListener::bind(&address, SocketMode::GROUP).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot listen on unix:/nonexistent/http.sock"
        );
    }
}
