//! Socket activation: listening sockets that systemd opened (`sd_listen_fds(3)`).
//!
//! The gateway then needs no privileges for ports below 1024, and connections that arrive during a
//! restart wait in the backlog instead of being refused.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

use listenfd::ListenFd;

use super::{BoundListener, ListenAddress, ListenError, SocketMode};

/// Inherited sockets by name: `http`, `https`, `admin` or `reservation`, which are also the keys of
/// the configured addresses that they replace.
///
/// A Unix socket (`ListenStream=/run/…`) can be `http` or `admin`. Its file is systemd's: its unit sets the
/// owner and the permissions, and the gateway never removes it.
#[derive(Debug, Default)]
pub struct InheritedSockets(BTreeMap<String, InheritedSocket>);

#[derive(Debug)]
enum InheritedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The inherited sockets do not fit the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SocketActivationError {
    /// `LISTEN_FDS` and `LISTEN_FDNAMES` contradict each other.
    #[error("LISTEN_FDS and LISTEN_FDNAMES of the service manager are invalid")]
    Variables(#[source] io::Error),
    /// The file descriptor is something else, such as a datagram socket (`ListenDatagram=`).
    #[error("the socket named `{name}` is not a listening TCP or Unix socket")]
    Kind {
        /// Its name.
        name: String,
        /// The error of the system call that inspected it.
        #[source]
        source: io::Error,
    },
    /// Two sockets have one name; a unit without `FileDescriptorName=` takes that of the unit.
    #[error("two sockets are named `{0}`: give each its own FileDescriptorName=")]
    Duplicate(String),
    /// The configuration has no address of this name; its clients would get no answer.
    #[error(
        "a socket named `{0}` was handed over, but the configuration has no such address: known \
         are http, https, admin and reservation; set FileDescriptorName= and the address"
    )]
    Unexpected(String),
}

// === impl InheritedSockets ===

impl InheritedSockets {
    /// Takes the sockets that the environment of the process announces, if any.
    pub fn from_environment() -> Result<Self, SocketActivationError> {
        let names = sd_notify::listen_fds_with_names().map_err(SocketActivationError::Variables)?;
        let mut descriptors = ListenFd::from_env();
        let mut sockets = BTreeMap::new();
        for (position, (_, name)) in names.enumerate() {
            let socket = take_socket(&mut descriptors, position).map_err(|source| {
                SocketActivationError::Kind {
                    name: name.clone(),
                    source,
                }
            })?;
            match sockets.entry(name) {
                Entry::Vacant(entry) => entry.insert(socket),
                Entry::Occupied(entry) => {
                    return Err(SocketActivationError::Duplicate(entry.key().clone()));
                }
            };
        }
        Ok(Self(sockets))
    }

    /// Takes the TCP socket of that name; without one, binds the address.
    pub fn listen_tcp(
        &mut self,
        name: &str,
        address: SocketAddr,
    ) -> Result<BoundListener, ListenError> {
        match self.0.remove(name) {
            Some(InheritedSocket::Tcp(socket)) => BoundListener::from_tcp(socket)
                .map_err(|source| ListenError::Tcp { address, source }),
            Some(InheritedSocket::Unix(_)) => Err(ListenError::UnixNotPossible(name.to_owned())),
            None => BoundListener::bind_tcp(address),
        }
    }

    /// Takes the socket of that name, of either kind; without one, binds the address, with these permissions
    /// if it is a Unix socket.
    pub fn listen(
        &mut self,
        name: &str,
        address: &ListenAddress,
        mode: SocketMode,
    ) -> Result<BoundListener, ListenError> {
        let configured = address;
        let inherited = match self.0.remove(name) {
            Some(InheritedSocket::Tcp(socket)) => BoundListener::from_tcp(socket),
            Some(InheritedSocket::Unix(socket)) => BoundListener::from_inherited_unix(socket),
            None => return BoundListener::bind(address, mode),
        };
        inherited.map_err(|source| match configured {
            ListenAddress::Tcp(address) => ListenError::Tcp {
                address: *address,
                source,
            },
            ListenAddress::Unix(path) => ListenError::Unix {
                path: path.clone(),
                source: source.into(),
            },
        })
    }

    /// Fails if a socket was not taken: its clients would connect and get no answer.
    pub fn ensure_all_used(self) -> Result<(), SocketActivationError> {
        match self.0.into_keys().next() {
            Some(name) => Err(SocketActivationError::Unexpected(name)),
            None => Ok(()),
        }
    }
}

/// Takes a socket of either kind.
fn take_socket(descriptors: &mut ListenFd, position: usize) -> io::Result<InheritedSocket> {
    // A socket of the other kind is an error that leaves it where it is.
    let socket = match descriptors.take_unix_listener(position) {
        Ok(socket) => socket.map(InheritedSocket::Unix),
        Err(_) => descriptors
            .take_tcp_listener(position)?
            .map(InheritedSocket::Tcp),
    };
    socket.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[&str]) -> InheritedSockets {
        let socket = |name: &&str| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            ((*name).to_owned(), InheritedSocket::Tcp(socket))
        };
        InheritedSockets(names.iter().map(socket).collect())
    }

    #[test]
    fn an_inherited_socket_replaces_the_address_once() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let inherited = ListenAddress::from(socket.local_addr().unwrap());
        let mut sockets =
            InheritedSockets([("http".to_owned(), InheritedSocket::Tcp(socket))].into());
        let loopback = "127.0.0.1:0".parse().unwrap();
        let mut listen = |name| {
            let listener = sockets.listen(name, &loopback, SocketMode::GROUP);
            listener.unwrap().address
        };
        assert_eq!(listen("http"), inherited);
        assert_ne!(listen("http"), inherited);
        assert_ne!(listen("admin"), inherited);
    }

    #[test]
    fn an_inherited_unix_socket_is_http_or_admin_and_keeps_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inherited.sock");
        let inherited = |name: &str| {
            let _ = std::fs::remove_file(&path);
            let socket = InheritedSocket::Unix(UnixListener::bind(&path).unwrap());
            InheritedSockets([(name.to_owned(), socket)].into())
        };
        let tcp = "127.0.0.1:0".parse().unwrap();
        let listener = inherited("http").listen("http", &tcp, SocketMode::GROUP);
        let listener = listener.unwrap();
        let expected = format!("unix:{}", path.display());
        assert_eq!(listener.address.to_string(), expected);
        drop(listener);
        assert!(path.exists());
        let refused = inherited("https").listen_tcp("https", "127.0.0.1:0".parse().unwrap());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the socket named `https` is a Unix socket, which only http and admin can be"
        );
    }

    #[test]
    fn an_unused_socket_is_an_error() {
        let error = inherited(&["https"]).ensure_all_used().unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("a socket named `https` was handed over"),
            "{error}"
        );
    }

    #[test]
    fn a_process_without_inherited_sockets_has_none() {
        let sockets = InheritedSockets::from_environment().unwrap();
        assert!(sockets.ensure_all_used().is_ok());
    }
}
