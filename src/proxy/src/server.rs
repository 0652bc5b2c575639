//! Sockets and bytes: listening, accepting, TLS, and one single-threaded runtime per core.

mod acceptor;
mod certificate_expiry;
mod connection;
mod proxy_protocol;
mod socket_activation;
mod tls;
mod worker;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

pub use self::{
    acceptor::{ListenError, Listener, ListenerOptions, accept, listen},
    socket_activation::{InheritError, Inherited},
    tls::{Certificate, CertificateError},
    worker::{Notifications, WorkerError, Workers},
};

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Plain HTTP; requests that did not come through a trusted proxy by HTTPS are sent to the
    /// public address.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: SocketAddr,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections of trusted proxies to `http` and `https` begin with the client's address.
    pub proxy_protocol: bool,
    /// Where recorders are.
    pub recorders: Vec<IpNet>,
    /// The certificate; there if `https` is.
    pub tls: Option<TlsSettings>,
    /// How many threads serve requests.
    pub workers: usize,
    /// How long open requests and sockets may take to end once nothing more is accepted.
    pub grace: Duration,
    /// Over how long WebSockets are closed, one after another; at most `grace`.
    pub drain_window: Duration,
    /// How long to go on accepting after SIGTERM while `/readyz` already fails, so that balancers
    /// notice.
    pub drain_delay: Duration,
}

/// The certificate's files; they are read again when they change.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// How often to look whether the files changed.
    pub check_every: Duration,
}
