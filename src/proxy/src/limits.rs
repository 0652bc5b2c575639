//! Bounds on what clients may hold at once: `[limits]`.
//!
//! | number | default | reason |
//! |---|---|---|
//! | connections | half of the descriptors that are not reserved | each needs a second one, towards an upstream |
//! | connections of one address | a quarter of all connections, `MAX_OF_ADDRESS` at most | no address can take all; a school behind one address fits |
//! | WebSockets and BOSH sessions of one session | `STREAMS_PER_SESSION` | each is a token and a connection to Prosody |
//! | time that an idle connection stays open | `CONNECTION_IDLE` | proxies in front close theirs first |
//! | requests of one address in a minute | `REQUESTS_PER_MINUTE` | a school opens Jitsi's page at nine o'clock |
//! | sign-ins of one address in a minute | `SIGN_INS_PER_MINUTE` | the same school signs in; guesses are few |
//! | connections in use to a web server for one address | half of those of a worker | a client that reads slowly leaves the rest to others |
//! | connections in use to one upstream | a quarter of the descriptors that are not reserved | the web server and Prosody share the other half |

mod byte_budget;
mod client_shares;
mod connection_counts;
mod descriptors;
mod request_rates;
mod stream_counts;

use std::time::Duration;

#[cfg(test)]
pub(crate) use self::byte_budget::MAX_BUDGET;
pub(crate) use self::{
    byte_budget::{ByteBudget, TakenBytes},
    client_shares::{ClientPlace, ClientShares},
    request_rates::{AddressRate, RequestRates},
    stream_counts::{StreamCounts, StreamPermit},
};
pub use self::{
    connection_counts::{ConnectionCounts, ConnectionPermit},
    descriptors::DescriptorLimit,
};

/// The numbers of `[limits]`; a number that is not set is derived from the limit of descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    /// Client connections of the process.
    pub connections: Option<usize>,
    /// Client connections of one address.
    pub connections_per_address: Option<usize>,
    /// Connections in use to one upstream.
    pub upstream_connections: Option<usize>,
    /// WebSockets and BOSH sessions of one session or pass.
    pub streams_per_session: Option<usize>,
    /// Requests of one address in a minute, at each worker.
    pub requests_per_minute: Option<u32>,
    /// Sign-ins of one address in a minute, at each worker.
    pub sign_ins_per_minute: Option<u32>,
    /// The time that an idle client connection stays open.
    pub connection_idle: Option<Duration>,
}

/// The numbers in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections of the process.
    pub connections: usize,
    /// Client connections of one address.
    pub connections_per_address: usize,
    /// Connections in use to one upstream, of one worker.
    pub upstream_connections: usize,
    /// WebSockets and BOSH sessions of one session or pass.
    pub streams_per_session: usize,
    /// Requests of one address in a minute, at each worker.
    pub requests_per_minute: u32,
    /// Sign-ins of one address in a minute, at each worker.
    pub sign_ins_per_minute: u32,
    /// The time that an idle client connection stays open.
    pub connection_idle: Duration,
}

// === impl LimitSettings ===

impl LimitSettings {
    /// The numbers for a process with so many descriptors and workers.
    pub fn resolve(self, descriptors: DescriptorLimit, workers: usize) -> Limits {
        let usable = descriptors.usable(workers);
        let connections = self
            .connections
            .unwrap_or_else(|| (usable / 2).min(MAX_CONNECTIONS));
        let of_address = (connections / 4).clamp(MIN_OF_ADDRESS, MAX_OF_ADDRESS);
        Limits {
            connections,
            connections_per_address: self
                .connections_per_address
                .unwrap_or(of_address)
                .min(connections),
            upstream_connections: self
                .upstream_connections
                .unwrap_or_else(|| (usable / 4).min(MAX_CONNECTIONS / 2))
                .div_ceil(workers),
            streams_per_session: self.streams_per_session.unwrap_or(STREAMS_PER_SESSION),
            requests_per_minute: self.requests_per_minute.unwrap_or(REQUESTS_PER_MINUTE),
            sign_ins_per_minute: self.sign_ins_per_minute.unwrap_or(SIGN_INS_PER_MINUTE),
            connection_idle: self.connection_idle.unwrap_or(CONNECTION_IDLE),
        }
    }
}

// === impl Limits ===

impl Limits {
    /// The rates of a worker.
    pub(crate) fn request_rates(&self) -> RequestRates {
        RequestRates {
            requests: AddressRate::per_minute(self.requests_per_minute),
            sign_ins: AddressRate::per_minute(self.sign_ins_per_minute),
        }
    }
}

/// About a gigabyte of memory, as a TLS connection with its buffers takes some 60 KiB.
const MAX_CONNECTIONS: usize = 16_384;

/// A browser in a meeting has two or three connections, and a school or company of 600 people may
/// share one address.
const MAX_OF_ADDRESS: usize = 2000;

/// Some meetings in one office, however few descriptors there are.
const MIN_OF_ADDRESS: usize = 64;

/// More tabs than anybody has open in meetings. A stream whose client went away counts for a minute
/// beside the one by which it came back.
const STREAMS_PER_SESSION: usize = 32;

/// 600 people of one school open Jitsi's page within a minute, which loads a hundred files.
const REQUESTS_PER_MINUTE: u32 = 60_000;

/// They sign in within the same minute: the sign-in begins, its form may be sent twice, and it ends.
const SIGN_INS_PER_MINUTE: u32 = 2400;

/// Longer than the keep-alive of proxies in front: 60 s for nginx (`keepalive_timeout` of an upstream) and
/// for AWS' load balancers. Otherwise their next request meets a connection that is being closed, and a
/// POST is not sent again.
const CONNECTION_IDLE: Duration = Duration::from_secs(75);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_set_follow_from_the_descriptors() {
        let resolve = |descriptors, settings: LimitSettings| {
            let limits = settings.resolve(DescriptorLimit::of(descriptors), 2);
            (
                limits.connections,
                limits.connections_per_address,
                limits.upstream_connections,
            )
        };
        let derived = LimitSettings::default();
        assert_eq!(resolve(1024, derived), (476, 119, 119));
        assert_eq!(resolve(256, derived), (92, 64, 23));
        assert_eq!(resolve(1_048_576, derived), (16_384, 2000, 4096));
        // Fewer descriptors than the process itself needs: one client can still be served.
        assert_eq!(resolve(64, derived), (16, 16, 4));
        let settings = LimitSettings {
            connections: Some(1000),
            connections_per_address: Some(5),
            upstream_connections: Some(7),
            ..LimitSettings::default()
        };
        assert_eq!(resolve(256, settings), (1000, 5, 4));
    }
}
