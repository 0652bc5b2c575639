//! Sockets that a service manager has opened and hands over (`sd_listen_fds(3)`): ports below 1024
//! need no privileges then, and who connects during a restart waits instead of being refused.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;

use super::{ListenError, Listener, listen};

/// Handed sockets by name: `http`, `https`, `admin` and `reservation`, as the keys of the addresses
/// in whose place they come.
#[derive(Debug, Default)]
pub struct Inherited(BTreeMap<String, TcpListener>);

/// Why the sockets that were handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The service manager's variables contradict each other.
    #[error("what the service manager says of its sockets cannot be read")]
    Variables(#[source] io::Error),
    /// It is no TCP socket that listens.
    #[error("the socket named `{name}` is not one that listens for TCP")]
    Kind {
        /// Its name.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Two sockets have one name.
    #[error("two sockets are named `{0}`: give each its own FileDescriptorName=")]
    Twice(String),
    /// Nothing is to be listened for under this name.
    #[error(
        "a socket named `{0}` was handed over, and the configuration has no address for it: known \
         are http, https, admin and reservation; set FileDescriptorName= and the address"
    )]
    Unexpected(String),
}

// === impl Inherited ===

impl Inherited {
    /// The sockets that were handed to this process, if any.
    pub fn from_manager() -> Result<Self, InheritError> {
        let names = sd_notify::listen_fds_with_names().map_err(InheritError::Variables)?;
        let mut sockets = ListenFd::from_env();
        let mut socket_activation = BTreeMap::new();
        for (position, (_, name)) in names.enumerate() {
            let kind = |source| InheritError::Kind {
                name: name.clone(),
                source,
            };
            let socket = sockets
                .take_tcp_listener(position)
                .and_then(|socket| socket.ok_or_else(|| io::ErrorKind::NotFound.into()))
                .map_err(kind)?;
            match socket_activation.entry(name) {
                Entry::Vacant(entry) => entry.insert(socket),
                Entry::Occupied(entry) => return Err(InheritError::Twice(entry.key().clone())),
            };
        }
        Ok(Self(socket_activation))
    }

    /// The socket of that name if it was handed over, else one that is bound to the address.
    pub fn listen(&mut self, name: &str, address: SocketAddr) -> Result<Listener, ListenError> {
        match self.0.remove(name) {
            Some(socket) => Listener::of(socket, address),
            None => listen(address),
        }
    }

    /// Refuses sockets that nobody has asked for: somebody waits behind them.
    pub fn none_left(self) -> Result<(), InheritError> {
        match self.0.into_keys().next() {
            Some(name) => Err(InheritError::Unexpected(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_activation(names: &[&str]) -> Inherited {
        let socket = |name: &&str| {
            (
                (*name).to_owned(),
                TcpListener::bind("127.0.0.1:0").unwrap(),
            )
        };
        Inherited(names.iter().map(socket).collect())
    }

    #[test]
    fn a_handed_socket_comes_in_place_of_the_address() {
        let mut socket_activation = socket_activation(&["http", "https"]);
        let given = socket_activation.0["http"].local_addr().unwrap();
        let loopback = "127.0.0.1:0".parse().unwrap();
        assert_eq!(
            socket_activation.listen("http", loopback).unwrap().address,
            given
        );
        // Once.
        assert_ne!(
            socket_activation.listen("http", loopback).unwrap().address,
            given
        );
        assert_ne!(
            socket_activation.listen("admin", loopback).unwrap().address,
            given
        );
        let error = socket_activation.none_left().unwrap_err().to_string();
        assert!(
            error.starts_with("a socket named `https` was handed over"),
            "{error}"
        );
    }

    #[test]
    fn a_process_to_which_nothing_was_handed_has_nothing() {
        assert!(Inherited::from_manager().unwrap().none_left().is_ok());
    }
}
