//! Connections to Jitsi: its web server and Prosody.

mod body;
mod connect;
mod pool;
mod prosody;

use std::time::Duration;

use http::uri::Authority;

pub use self::{
    body::{RequestBody, UpstreamBody},
    connect::ConnectError,
    pool::{Pool, SendError},
    prosody::ProsodyHead,
};

/// Where Jitsi is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Jitsi's web server, `host:port`, plain HTTP.
    pub web: Authority,
    /// Prosody's HTTP port, `host:port`, plain HTTP.
    pub xmpp: Authority,
    /// The `Host` that Prosody is asked for: its XMPP domain.
    pub xmpp_domain: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the web server may take to begin an answer.
    pub web_timeout: Duration,
    /// How long Prosody may hold a BOSH request; longer than any client's `wait`.
    pub bosh_timeout: Duration,
    /// How long an unused connection is kept; shorter than the upstream keeps it.
    pub idle: Duration,
}
