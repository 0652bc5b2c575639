//! `[limits]`: bounds on what clients may hold at once.

use proxy::limits::LimitSettings;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    values::{DurationText, MINUTE, seconds},
};

/// Bounds on what clients may hold at once. The defaults follow from the limit of open files, which the
/// gateway raises to the hard limit. The gateway refuses connections and requests above a bound, and
/// `/metrics` counts them.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Client connections of the process, WebSockets included. Default: half of the open files that
    /// the process may have, less a reserve; at most 16384, for which it needs about a gigabyte.
    #[schemars(range(min = 1, max = MOST), example = 4000)]
    connections: Option<i64>,
    /// Client connections of one address (IPv6: of one /64). Connections of `listen.trusted_proxies`
    /// do not count, unless a PROXY header names their client. Default: a quarter of `connections`,
    /// from 64 to 2000; people in a meeting have two or three each, and a whole school may have one
    /// address.
    #[schemars(range(min = 1, max = MOST), example = 500)]
    connections_per_address: Option<i64>,
    /// Connections in use to one upstream: the web server, Prosody, and a visitor node each, of each
    /// shard. A WebSocket uses one as long as it is open, and a BOSH session one for most of the time.
    /// Requests beyond wait for up to three seconds and are refused with 503 then. Default: a quarter
    /// of the open files that the process may have, less a reserve; at most 8192.
    #[schemars(range(min = 1, max = MOST), example = 2000)]
    upstream_connections: Option<i64>,
    /// WebSockets and BOSH sessions of one session or pass; further ones are refused with 429. Each is
    /// a connection to Prosody. Default: 32, as a person may have several tabs, and a stream whose
    /// client lost its network counts for a minute. All sessions of one client address together have
    /// as many as `connections_per_address`, also behind `listen.trusted_proxies`. Recorders have any
    /// number.
    #[schemars(range(min = 1, max = MOST), example = 8)]
    streams_per_session: Option<i64>,
    /// Requests for pages and files of one client address (IPv6: of one /64) in a minute, at each of
    /// `listen.workers`; further ones are refused with 429. XMPP and `[[location]]` do not count.
    /// Default: 60000, as 600 people of one school open Jitsi's page within the same minute.
    #[schemars(range(min = 1, max = MOST), example = 6000)]
    requests_per_minute: Option<i64>,
    /// Sign-ins of one client address in a minute, at each of `listen.workers`: those that begin and
    /// those that end, guests who enter their name, and requests with a wrong API key. Default: 2400,
    /// for the same school.
    #[schemars(range(min = 1, max = MOST), example = 300)]
    sign_ins_per_minute: Option<i64>,
    /// How long a client connection without a request stays open, and in which time the head of a
    /// request has to arrive. It has to exceed the time for which a proxy or load balancer in front
    /// keeps its idle connections, 60 seconds for most: otherwise its next request meets a connection
    /// that is being closed, and becomes a 502 now and then. Default: 75s.
    #[schemars(with = "Option<DurationText>", example = "130s")]
    connection_idle: Option<DurationText>,
}

// === impl RawLimits ===

impl RawLimits {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<LimitSettings> {
        let connections = section.keep("connections", number(self.connections));
        let of_address = number(self.connections_per_address);
        let of_address = section.keep("connections_per_address", of_address);
        let upstream = number(self.upstream_connections);
        let upstream = section.keep("upstream_connections", upstream);
        let streams = number(self.streams_per_session);
        let streams = section.keep("streams_per_session", streams);
        let requests = number(self.requests_per_minute).map(rate);
        let requests = section.keep("requests_per_minute", requests);
        let sign_ins = number(self.sign_ins_per_minute).map(rate);
        let sign_ins = section.keep("sign_ins_per_minute", sign_ins);
        let idle = match self.connection_idle {
            None => Some(None),
            Some(text) => {
                let bounds = seconds(5)..=60 * MINUTE;
                text.within(bounds, section, "connection_idle").map(Some)
            }
        };
        Some(LimitSettings {
            connections: connections?,
            connections_per_address: of_address?,
            upstream_connections: upstream?,
            streams_per_session: streams?,
            requests_per_minute: requests?,
            sign_ins_per_minute: sign_ins?,
            connection_idle: idle?,
        })
    }
}

fn number(value: Option<i64>) -> Result<Option<usize>, Fault> {
    let Some(value) = value else {
        return Ok(None);
    };
    usize::try_from(value)
        .ok()
        .filter(|number| (1..=MOST).contains(number))
        .map(Some)
        .ok_or_else(|| {
            let remedy = format!("write a number from 1 to {MOST}");
            Fault::new(format!("{value} is out of range"), remedy)
        })
}

/// A number of requests, which is at most [`MOST`].
fn rate(number: Option<usize>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

/// What the kernel permits as open files of one process by default (`fs.nr_open`).
const MOST: usize = 1_048_576;
