//! Bound listening sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// A bound, listening socket, not yet registered with a runtime.
#[derive(Debug)]
pub struct BoundListener {
    socket: TcpListener,
    /// The actual address; differs from the configured one if that had port 0.
    pub address: SocketAddr,
}

/// An address is in use, not local, or not permitted.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

// === impl BoundListener ===

impl BoundListener {
    /// Binds an address and listens on it.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        open_socket(address)
            .and_then(Self::from_socket)
            .map_err(|source| ListenError { address, source })
    }

    /// Takes over a listening socket that stands for `configured`.
    pub(super) fn inherit(
        socket: TcpListener,
        configured: SocketAddr,
    ) -> Result<Self, ListenError> {
        Self::from_socket(socket).map_err(|source| ListenError {
            address: configured,
            source,
        })
    }

    /// Registers the socket with the current runtime.
    pub(super) fn into_tokio(self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket)
    }

    fn from_socket(socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
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
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn port_zero_binds_a_free_port() {
        let listener = BoundListener::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert_ne!(listener.address.port(), 0);
    }

    #[test]
    fn the_error_names_the_address() {
        // 192.0.2.0/24 is for documentation (RFC 5737) and not local.
        let error = BoundListener::bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
    }
}
