//! Listeners, TLS and HTTP servers.
//!
//! The public server: [`accept_connections`] hands each connection to the least loaded thread of a
//! [`WorkerPool`]. A worker thread has a single-threaded runtime and its own instance of a
//! [`Service`], so a request takes no lock and never changes threads. The server knows the request
//! path by that trait only.
//!
//! The control server, `control_http`: plain HTTP/1.1 for the admin and the reservation listener, on
//! the runtime of the control plane.

mod acceptor;
mod certificate_fields;
mod client_body;
mod client_stream;
mod connection;
mod control_http;
mod drain_schedule;
mod handshakes;
mod http1;
mod http2;
mod listen_address;
mod listener;
mod open_connections;
mod patience;
pub mod proxy_protocol;
mod service;
mod socket_activation;
mod tls;
mod unix_socket;
mod worker_loop;
mod worker_pool;
mod write_timer;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::limits::LimitSettings;

pub use self::{
    acceptor::{ListenerOptions, accept_connections},
    certificate_fields::CertificateFields,
    client_body::ClientBody,
    drain_schedule::DrainSchedule,
    listen_address::{ListenAddress, ListenAddressError, SocketPath},
    listener::{BoundListener, ListenError, ListenerStop},
    patience::PatienceTimer,
    service::{Connection, Service, ServiceFactory},
    socket_activation::{InheritedSockets, SocketActivationError},
    tls::{
        ACME_TLS_ALPN, ChallengeAnswers, PendingChallenges, ServerCertificateError,
        ServerCertificates,
    },
    unix_socket::{SocketMode, UnixSocketError, connect_unix},
    worker_pool::{WorkerPool, WorkerStartError},
};
pub(crate) use self::{control_http::serve_control_http, http2::ExtendedConnect};
use crate::upstream::RegionSettings;

/// Addresses to listen on, and limits of the listeners.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Plain HTTP; a request that no trusted proxy received by HTTPS is redirected to the public URL.
    pub http: Option<ListenAddress>,
    /// The permissions of `http`, if it is a Unix socket.
    pub socket_mode: SocketMode,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Probes, metrics, and requests of operators. As a Unix socket it has
    /// [`SocketMode::OWNER`], because its clients may revoke sessions.
    pub admin: ListenAddress,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections of trusted proxies to `http` and `https` begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Networks of recorders (Jibri).
    pub recorders: Vec<IpNet>,
    /// Where the regions of people come from.
    pub region: RegionSettings,
    /// The certificates; required if `https` is set.
    pub tls: Option<TlsSettings>,
    /// Number of worker threads.
    pub workers: usize,
    /// Longest time for in-flight requests and open WebSockets to end after the listeners closed.
    pub grace: Duration,
    /// Bounds on what clients may hold at once.
    pub limits: LimitSettings,
    /// The time over which WebSockets are closed one after another; at most `grace`.
    pub drain_window: Duration,
    /// Time between SIGTERM and the closing of the listeners. `/readyz` already fails during it, so
    /// that load balancers remove the replica first.
    pub drain_delay: Duration,
}

// === impl ServerSettings ===

impl ServerSettings {
    /// The address and port of plain HTTP, if it has one.
    pub fn http_port(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(ListenAddress::tcp)
    }
}

/// The certificates of the HTTPS listener; a change of their files is picked up without a restart.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificates; the first is presented to clients that ask for a name of none.
    pub certificates: Vec<CertificateFiles>,
    /// Interval between checks of the files.
    pub check_every: Duration,
}

/// The files of one certificate, which may be the same file.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// The names of a self-signed certificate that is presented while the files cannot be used: an authority
    /// has yet to issue them. Empty if the files have to be there at the start.
    pub provisional_names: Vec<String>,
}
