//! HTTP/1.1 clients of Jitsi: its web server, Prosody and Jicofo.

mod addresses;
mod body;
mod body_silence;
mod connect;
mod failure_counter;
mod places;
mod pool;
mod prosody;
mod region;

use std::time::Duration;

use http::uri::Authority;

pub use self::{
    body::{RequestBody, UploadProgress, UpstreamBody, UpstreamBodyError},
    connect::UpstreamConnectError,
    failure_counter::FailureCounter,
    places::Place,
    pool::{UpstreamError, UpstreamPool},
    prosody::ProsodyHead,
    region::RegionSettings,
};

/// Addresses and timeouts of one Jitsi installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Jitsi's web server, `host:port`, plain HTTP.
    pub web: Authority,
    /// Prosody's HTTP port, `host:port`, plain HTTP.
    pub xmpp: Authority,
    /// Jicofo's HTTP port, `host:port`, plain HTTP; none if it gets conference requests by XMPP only.
    pub jicofo: Option<Authority>,
    /// The `Host` of requests to Prosody: the XMPP domain, which selects its virtual host.
    pub xmpp_domain: String,
    /// Longest time to connect, name resolution included.
    pub connect_timeout: Duration,
    /// Longest time until the web server sends the head of a response.
    pub web_timeout: Duration,
    /// Longest time for which Prosody holds a BOSH request; above any client's `wait` (XEP-0124 § 7).
    pub bosh_timeout: Duration,
    /// Time for which an idle connection is reused; below the keep-alive timeout of the upstream.
    pub idle: Duration,
}
