//! Socket activation: listening sockets that systemd opened (`sd_listen_fds(3)`).
//!
//! The gateway then needs no privileges for ports below 1024, and connections that arrive during a
//! restart wait in the backlog instead of being refused.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;

use super::{BoundListener, ListenError};

/// Inherited sockets by name: `http`, `https`, `admin` or `reservation`, which are also the keys of
/// the configured addresses that they replace.
#[derive(Debug, Default)]
pub struct InheritedSockets(BTreeMap<String, TcpListener>);

/// The inherited sockets do not fit the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SocketActivationError {
    /// `LISTEN_FDS` and `LISTEN_FDNAMES` contradict each other.
    #[error("LISTEN_FDS and LISTEN_FDNAMES of the service manager are invalid")]
    Variables(#[source] io::Error),
    /// The file descriptor is something else, such as a datagram socket (`ListenDatagram=`).
    #[error("the socket named `{name}` is not a listening TCP socket")]
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
            let socket = descriptors
                .take_tcp_listener(position)
                .and_then(|socket| socket.ok_or_else(|| io::ErrorKind::NotFound.into()))
                .map_err(|source| SocketActivationError::Kind {
                    name: name.clone(),
                    source,
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

    /// Takes the socket of that name; without one, binds the address.
    pub fn listen(
        &mut self,
        name: &str,
        address: SocketAddr,
    ) -> Result<BoundListener, ListenError> {
        match self.0.remove(name) {
            Some(socket) => BoundListener::inherit(socket, address),
            None => BoundListener::bind(address),
        }
    }

    /// Fails if a socket was not taken: its clients would connect and get no answer.
    pub fn ensure_all_used(self) -> Result<(), SocketActivationError> {
        match self.0.into_keys().next() {
            Some(name) => Err(SocketActivationError::Unexpected(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[&str]) -> InheritedSockets {
        let socket = |name: &&str| {
            (
                (*name).to_owned(),
                TcpListener::bind("127.0.0.1:0").unwrap(),
            )
        };
        InheritedSockets(names.iter().map(socket).collect())
    }

    #[test]
    fn an_inherited_socket_replaces_the_address_once() {
        let mut sockets = inherited(&["http", "https"]);
        let inherited = sockets.0["http"].local_addr().unwrap();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let mut listen = |name| sockets.listen(name, loopback).unwrap().address;
        assert_eq!(listen("http"), inherited);
        assert_ne!(listen("http"), inherited);
        assert_ne!(listen("admin"), inherited);
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
