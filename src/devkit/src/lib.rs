//! Stand-ins for the neighbours, so that the gateway can be tried and tested with nothing else: an
//! OpenID provider ([`provider`]), a meeting backend ([`meeting`]), and the two put together
//! ([`demo`]).
//!
//! They speak the real protocols and check what the real ones check, but keep everything in memory,
//! have no passwords, and serve this machine only: an address that is not a loopback one is refused.

pub mod demo;
mod http;
pub mod meeting;
pub mod provider;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::net::SocketAddr;

/// Why a stand-in cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum DevkitError {
    /// Other machines could reach the address.
    #[error("{0} is not a loopback address; the development services have no passwords")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// No signing key or certificate could be made.
    #[error("cannot make a key pair")]
    KeyPair(#[from] rcgen::Error),
    /// A key that was just made cannot be used.
    #[error("cannot use the key pair that was just made")]
    Key(#[from] jsonwebtoken::errors::Error),
}
