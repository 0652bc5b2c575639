//! Stand-ins for an OpenID provider ([`provider`]) and for Jitsi ([`meeting`]), for tests and for
//! the demonstration ([`demo`]).
//!
//! They implement the protocols with the checks of the real servers. They keep all state in memory
//! and have no passwords, so they listen on loopback addresses only.

use std::net::SocketAddr;

pub mod demo;
mod http;
pub mod meeting;
pub mod provider;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// Why a stand-in does not start.
#[derive(Debug, thiserror::Error)]
pub enum DevkitError {
    /// Other machines could reach a server without passwords.
    #[error("{0} is not a loopback address; the development services have no passwords")]
    NotLoopback(SocketAddr),
    /// The port is in use, or needs privileges.
    #[error("cannot listen on {address}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Key or certificate generation failed.
    #[error("cannot generate a key pair")]
    KeyPair(#[from] rcgen::Error),
    /// The JWT library refuses a generated key.
    #[error("cannot use the generated key pair")]
    Key(#[from] jsonwebtoken::errors::Error),
}
