//! `[listen]`: listeners, trusted proxies, workers and shutdown.

mod recorders;
mod region;
mod shutdown;

use std::thread;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::recorders::{OtherDomains, resolve_domains};
use self::shutdown::Shutdown;
use crate::{
    diagnostics::Section,
    problem::Fault,
    values::{
        DurationText, parse_listen_address, parse_network, parse_socket_address, parse_socket_mode,
    },
};
use acme::ChallengeKind;
use proxy::{
    limits::LimitSettings,
    server::{ListenAddress, ServerSettings, SocketMode, TlsSettings},
};

/// Listeners, trusted proxies, worker threads, and the shutdown.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawListen {
    /// Address and port for plain HTTP: behind a proxy that terminates TLS, or to redirect to HTTPS.
    /// At least one of `http` and `https` is required. For a proxy on the same machine it can be a Unix
    /// socket, `unix:` and its absolute path: a process that may open it counts as a trusted proxy.
    #[schemars(
        example = "0.0.0.0:8080",
        example = "unix:/run/jitsi-auth-gateway/http.sock"
    )]
    http: Option<String>,
    /// The permissions of `http`, if it is a Unix socket, in octal digits. Default: `0660`, by which the
    /// account and the group of the gateway may open it.
    #[schemars(example = "0666")]
    socket_mode: Option<String>,
    /// Address and port for HTTPS; requires `[tls]`.
    #[schemars(example = "0.0.0.0:8443")]
    https: Option<String>,
    /// Address and port of the admin listener: `/livez`, `/readyz`, `/metrics`, and what operators do by
    /// `sessions`, `rooms`, `revoke` and `shards`. Keep it private. It can be a Unix socket, which only the
    /// account of the gateway and root may open.
    #[schemars(
        example = "127.0.0.1:9090",
        example = "unix:/run/jitsi-auth-gateway/admin.sock"
    )]
    admin: String,
    /// Networks of the proxies in front, whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. A proxy
    /// that connects to a Unix socket is trusted without an entry.
    #[schemars(example = ["10.0.0.0/8"])]
    trusted_proxies: Vec<String>,
    /// Whether connections from `trusted_proxies`, and those by a Unix socket, to `http` and `https` begin with a PROXY header
    /// (version 1 or 2), by which TCP load balancers pass on the client's address. Connections from
    /// them without the header are dropped. Headers from other addresses are never interpreted.
    proxy_protocol: bool,
    /// Networks of recorders (Jibri) and of telephony gateways that use BOSH (Jigasi). They get
    /// Jitsi's page without sign-in, and connect to Prosody without a token, with their own
    /// credentials.
    #[schemars(example = ["10.1.2.3/32"])]
    recorders: Vec<String>,
    /// Prosody's domains of their accounts; recorders log in at no other. Default: `hidden.` before
    /// `upstream.xmpp_domain`, as docker-jitsi-meet has it.
    #[schemars(example = ["hidden.meet.jitsi"])]
    recorder_domains: Option<Vec<String>>,
    /// The region of the people whose requests come here, such as `eu-central-1`, by which Jicofo selects
    /// their bridge. Prosody gets it in `X-Proxy-Region`.
    #[schemars(example = "eu-central-1")]
    region: Option<String>,
    /// A header with the region, which `trusted_proxies` set; without it `region` counts. They have to remove the
    /// header of that name from what clients send.
    #[schemars(example = "X-Client-Region")]
    region_header: Option<String>,
    /// The number of threads that serve requests. Default: the number of processors that the machine
    /// or container may use.
    #[schemars(range(min = 1, max = MAX_WORKERS), example = 4)]
    workers: Option<i64>,
    /// How long in-flight requests and WebSockets may continue after SIGTERM, once no more
    /// connections are accepted.
    grace: DurationText,
    /// The period over which WebSockets are closed during the shutdown, in random order, so that
    /// clients do not reconnect all at once; at most `grace`. Default: 45s, or `grace` if that is
    /// shorter; with `[store] kind = "memory"` 0s, because no other replica could accept the clients.
    #[schemars(with = "Option<DurationText>", example = "45s")]
    drain_window: Option<DurationText>,
    /// How long connections are still accepted after SIGTERM while `/readyz` fails, so that load
    /// balancers notice.
    drain_delay: DurationText,
}

/// The parts of other sections that listeners depend on.
pub(super) struct ListenContext {
    /// Whether there is a `[tls]` section, valid or not.
    pub(super) has_tls_section: bool,
    pub(super) tls: Option<TlsSettings>,
    /// How an authority verifies names.
    pub(super) challenge: Option<ChallengeKind>,
    /// The store is in memory, so that there are no other replicas.
    pub(super) single_replica: bool,
    pub(super) limits: Option<LimitSettings>,
}

// === impl RawListen ===

impl RawListen {
    /// Takes the key that depends on Prosody's other domains.
    pub(super) fn take_recorder_domains(&mut self) -> Option<Vec<String>> {
        self.recorder_domains.take()
    }

    pub(super) fn resolve(
        self,
        context: ListenContext,
        section: &mut Section<'_>,
    ) -> Option<ServerSettings> {
        let has_listener = self.http.is_some() || self.https.is_some();
        if !has_listener && !section.is_reported("http") && !section.is_reported("https") {
            let remedy = "add for example http = \"0.0.0.0:8080\"";
            section.reject("", "neither http nor https is set", remedy);
        }
        if self.https.is_some() && !context.has_tls_section {
            let remedy = "add [tls] with certificate and key, or [tls.acme]";
            section.reject("https", "requires a certificate", remedy);
        }
        reject_unverifiable(
            context.challenge,
            self.http.is_some(),
            self.https.is_some(),
            section,
        );
        let http = section.parse("http", self.http, parse_listen_address);
        let https = section.parse("https", self.https, parse_socket_address);
        let admin = section.parse("admin", Some(self.admin), parse_listen_address);
        let workers = section.keep("workers", worker_count(self.workers));
        let listeners = [
            ("http", http.clone()),
            ("https", https.map(ListenAddress::Tcp)),
            ("admin", admin.clone()),
        ];
        reject_same_address(&listeners, section);
        let is_unix_socket = http.as_ref().is_some_and(|http| http.unix().is_some());
        let socket_mode = resolve_socket_mode(self.socket_mode, is_unix_socket, section);
        let has_proxies =
            is_unix_socket || !self.trusted_proxies.is_empty() || section.is_reported("http");
        if self.proxy_protocol && !has_proxies {
            let remedy = "add trusted_proxies with the networks of the load balancers";
            section.reject("proxy_protocol", "requires trusted_proxies", remedy);
        }
        let region = region::resolve(
            self.region.as_deref(),
            self.region_header.as_deref(),
            has_proxies,
            section,
        );
        let trusted_proxies =
            section.parse_list("trusted_proxies", self.trusted_proxies, parse_network);
        let recorders = section.parse_list("recorders", self.recorders, parse_network);
        let shutdown = Shutdown {
            grace: self.grace,
            drain_window: self.drain_window,
            drain_delay: self.drain_delay,
        };
        let shutdown = shutdown.resolve(context.single_replica, section)?;
        Some(ServerSettings {
            http,
            socket_mode: socket_mode?,
            https,
            admin: admin?,
            trusted_proxies: trusted_proxies?,
            proxy_protocol: self.proxy_protocol,
            recorders: recorders?,
            region: region?,
            tls: context.tls,
            limits: context.limits?,
            workers: workers?,
            grace: shutdown.grace,
            drain_window: shutdown.drain_window,
            drain_delay: shutdown.drain_delay,
        })
    }
}

impl Default for RawListen {
    fn default() -> Self {
        Self {
            http: None,
            socket_mode: None,
            https: None,
            admin: "127.0.0.1:9090".to_owned(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            recorders: Vec::new(),
            recorder_domains: None,
            region: None,
            region_header: None,
            workers: None,
            // Longer than the usual `wait` of BOSH (60 s), so that no request is cut off.
            grace: "75s".into(),
            drain_window: None,
            drain_delay: "0s".into(),
        }
    }
}

/// Rejects listeners at which an authority cannot verify the names, or that need no certificate.
fn reject_unverifiable(
    challenge: Option<ChallengeKind>,
    http: bool,
    https: bool,
    section: &mut Section<'_>,
) {
    if challenge.is_some() && !https {
        let remedy = "add for example https = \"0.0.0.0:443\", or remove [tls.acme]";
        section.reject(
            "https",
            "missing, and tls.acme orders its certificate",
            remedy,
        );
    }
    if challenge == Some(ChallengeKind::Http01) && !http {
        let remedy = "add for example http = \"0.0.0.0:80\", or write challenge = \"tls-alpn-01\"";
        section.reject("http", "missing, and tls.acme.challenge is http-01", remedy);
    }
}

fn worker_count(count: Option<i64>) -> Result<usize, Fault> {
    let Some(count) = count else {
        // Takes CPU masks and cgroup quotas into account.
        return Ok(thread::available_parallelism().map_or(1, Into::into));
    };
    usize::try_from(count)
        .ok()
        .filter(|count| (1..=MAX_WORKERS).contains(count))
        .ok_or_else(|| {
            let remedy = format!("write a number from 1 to {MAX_WORKERS}");
            Fault::new(format!("{count} is out of range"), remedy)
        })
}

/// Rejects two listeners with one address, unless the system assigns the port (0).
fn reject_same_address(listeners: &[(&str, Option<ListenAddress>)], section: &mut Section<'_>) {
    let mut earlier: Vec<(&str, &ListenAddress)> = Vec::new();
    for (key, address) in listeners {
        let Some(address) = address else { continue };
        if address.tcp().is_some_and(|address| address.port() == 0) {
            continue;
        }
        if let Some((other, _)) = earlier.iter().find(|(_, used)| *used == address) {
            let what = format!("{address} is the address of {other}, too");
            let remedy = match address {
                ListenAddress::Tcp(_) => "write another port",
                ListenAddress::Unix(_) => "write another path",
            };
            section.reject(key, what, remedy);
        }
        earlier.push((key, address));
    }
}

/// The permissions of a Unix socket; the key has no meaning for a port.
fn resolve_socket_mode(
    mode: Option<String>,
    is_unix_socket: bool,
    section: &mut Section<'_>,
) -> Option<SocketMode> {
    let Some(mode) = mode else {
        return Some(SocketMode::GROUP);
    };
    if !is_unix_socket && !section.is_reported("http") {
        let remedy =
            "write for example http = \"unix:/run/jitsi-auth-gateway/http.sock\", or remove it";
        section.reject("socket_mode", "requires that http is a Unix socket", remedy);
    }
    section.parse("socket_mode", Some(mode), parse_socket_mode)
}

/// The directories of Unix sockets that are not there. Systemd makes them at the start only
/// (`RuntimeDirectory=`), so that it is no error.
pub(super) fn listen_warnings(settings: &ServerSettings) -> Vec<String> {
    let listeners = [
        ("http", settings.http.as_ref()),
        ("admin", Some(&settings.admin)),
    ];
    let sockets = listeners
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?.unix()?)));
    let missing = sockets.filter(|(_, path)| !path.directory().is_dir());
    missing
        .map(|(key, path)| {
            let directory = path.directory().display();
            format!("the directory of listen.{key}, {directory}, is missing and has to be there at the start")
        })
        .collect()
}

/// Beyond the processors of any machine that runs a gateway; larger numbers are mistakes.
const MAX_WORKERS: usize = 512;
