//! `[listen]`: where and how to accept connections.

use std::{net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    problem::{Fault, Section},
    values::{DurationText, address, network, seconds},
};
use proxy::server::{ServerSettings, TlsSettings};

/// Where the gateway listens, and how it stops.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawListen {
    /// Address and port for plain HTTP, behind a proxy that ends TLS, or to redirect to HTTPS. At
    /// least one of `http` and `https` has to be there.
    #[schemars(example = "0.0.0.0:8080")]
    http: Option<String>,
    /// Address and port for HTTPS; needs `[tls]`.
    #[schemars(example = "0.0.0.0:8443")]
    https: Option<String>,
    /// Address and port of `/livez`, `/readyz` and `/metrics`. Keep it private.
    #[schemars(example = "127.0.0.1:9090")]
    admin: String,
    /// Networks of the proxies in front, whose `X-Forwarded-For` and `X-Forwarded-Proto` are
    /// believed.
    #[schemars(example = ["10.0.0.0/8"])]
    trusted_proxies: Vec<String>,
    /// Whether connections of `trusted_proxies` to `http` and `https` begin with a PROXY header
    /// (version 1 or 2), as TCP balancers send it to tell the client's address. One that does not is
    /// dropped. Others' connections are taken as they are, so that nobody can claim to be somebody.
    proxy_protocol: bool,
    /// Networks of recorders (Jibri) and of telephony by BOSH (Jigasi). They get Jitsi's bare page, and
    /// come to Prosody without a token and with credentials of their own.
    #[schemars(example = ["10.1.2.3/32"])]
    recorders: Vec<String>,
    /// How many threads serve requests; unless set, as many as the machine or container has
    /// processors.
    #[schemars(range(min = 1, max = MAX_WORKERS), example = 4)]
    workers: Option<i64>,
    /// How long open requests and sockets may take to end after SIGTERM, once nothing more is
    /// accepted.
    grace: DurationText,
    /// Over how long WebSockets are closed meanwhile, one after another in random order, so that not
    /// all clients come back at the same moment; at most `grace`. Unless set, 45s, or `grace` if that
    /// is shorter; where `[store]` is memory, 0s: no other replica could take the clients, so that
    /// they are better off waiting for this one to start again.
    #[schemars(with = "Option<DurationText>", example = "45s")]
    drain_window: Option<DurationText>,
    /// How long to go on accepting after SIGTERM while `/readyz` already fails, so that balancers
    /// notice.
    drain_delay: DurationText,
}

// === impl RawListen ===

impl RawListen {
    /// `has_tls` tells whether there is a `[tls]` section at all, usable or not, and `is_alone` that
    /// there are no other replicas.
    pub(super) fn resolve(
        self,
        (has_tls, is_alone): (bool, bool),
        tls: Option<TlsSettings>,
        section: &mut Section<'_>,
    ) -> Option<ServerSettings> {
        let is_open = self.http.is_some() || self.https.is_some();
        if !is_open && !section.is_settled("http") && !section.is_settled("https") {
            let remedy = "add for example http = \"0.0.0.0:8080\"";
            section.reject("", "neither http nor https is there", remedy);
        }
        if self.https.is_some() && !has_tls {
            let remedy = "add [tls] with certificate and key";
            section.reject("https", "there is no certificate", remedy);
        }
        let mut listener = |key: &str, text: &str| section.keep(key, address(text));
        let http = self.http.and_then(|text| listener("http", &text));
        let https = self.https.and_then(|text| listener("https", &text));
        let admin = listener("admin", &self.admin);
        let workers = workers(self.workers, section);
        refuse_same(
            &[("http", http), ("https", https), ("admin", admin)],
            section,
        );
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let remedy = "add trusted_proxies with the networks of the balancers";
            section.reject(
                "proxy_protocol",
                "nobody is trusted to tell addresses",
                remedy,
            );
        }
        let mut networks = |key: &str, texts: &[String]| {
            let read = |(position, text): (usize, &String)| {
                section.entry(key, position).keep("", network(text))
            };
            (1..).zip(texts).filter_map(read).collect()
        };
        let trusted_proxies = networks("trusted_proxies", &self.trusted_proxies);
        let recorders = networks("recorders", &self.recorders);
        let grace = self
            .grace
            .within(seconds(0)..=seconds(3600), section, "grace");
        let drain_window = match self.drain_window {
            Some(text) => text.within(seconds(0)..=seconds(3600), section, "drain_window"),
            None if is_alone => Some(Duration::ZERO),
            None => Some(grace.map_or(DRAIN_WINDOW, |grace| grace.min(DRAIN_WINDOW))),
        };
        if let (Some(window), Some(grace)) = (drain_window, grace)
            && window > grace
        {
            let what = format!("{window:?} is longer than grace, which is {grace:?}");
            section.reject("drain_window", what, "write at most the value of grace");
        }
        let drain_delay =
            self.drain_delay
                .within(seconds(0)..=seconds(600), section, "drain_delay");
        Some(ServerSettings {
            http,
            https,
            admin: admin?,
            trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            recorders,
            tls,
            workers: workers?,
            grace: grace?,
            drain_window: drain_window?,
            drain_delay: drain_delay?,
        })
    }
}

impl Default for RawListen {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            admin: "127.0.0.1:9090".to_owned(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            recorders: Vec::new(),
            workers: None,
            // A little more than a BOSH request may be held, so that none is cut.
            grace: "75s".into(),
            drain_window: None,
            drain_delay: "0s".into(),
        }
    }
}

fn workers(count: Option<i64>, section: &mut Section<'_>) -> Option<usize> {
    let Some(count) = count else {
        // It knows of CPU masks and of cgroup quotas.
        return Some(std::thread::available_parallelism().map_or(1, Into::into));
    };
    let workers = usize::try_from(count)
        .ok()
        .filter(|count| (1..=MAX_WORKERS).contains(count))
        .ok_or_else(|| {
            let remedy = format!("write a number from 1 to {MAX_WORKERS}");
            Fault::new(format!("{count} is out of bounds"), remedy)
        });
    section.keep("workers", workers)
}

/// Two listeners cannot share an address, unless the system chooses the port.
fn refuse_same(listeners: &[(&str, Option<SocketAddr>)], section: &mut Section<'_>) {
    let mut earlier: Vec<(&str, SocketAddr)> = Vec::new();
    for &(key, address) in listeners {
        let Some(address) = address.filter(|address| address.port() != 0) else {
            continue;
        };
        if let Some((other, _)) = earlier.iter().find(|(_, taken)| *taken == address) {
            let what = format!("{address} is the address of {other} already");
            section.reject(key, what, "write another port");
        }
        earlier.push((key, address));
    }
}

/// Slow enough for a few hundred people behind one address to pass Prosody's limit on logins, and done
/// before those BOSH requests end that are under way.
const DRAIN_WINDOW: Duration = Duration::from_secs(45);

/// More threads than any machine has processors for this; a larger number is a mistake.
const MAX_WORKERS: usize = 512;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::Environment;

    /// Over how long a gateway with such keys closes WebSockets.
    fn drain_window(listen: &str, store: &str) -> Duration {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gateway.toml");
        let text = format!(
            r#"
public_url = "https://meet.example.org"
[listen]
http = "127.0.0.1:0"
{listen}
[store]
{store}
[upstream]
web = "http://127.0.0.1:8000"
xmpp = "http://127.0.0.1:5280"
xmpp_domain = "meet.jitsi"
[session]
key = "bm9ib2R5IHdpbGwgZ3Vlc3MgdGhpcyBrZXksIGV2ZXI="
[token]
app_id = "gateway"
secret = "long enough for HS256, and more than enough"
[[room]]
match = "*"
enter = "guest"
start = "anyone"
"#
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let config = crate::load(&file, &Environment::default());
        config.expect("the file is good").server.drain_window
    }

    const REDIS: &str = "kind = \"redis\"\nurl = \"redis://127.0.0.1:1\"";

    #[test]
    fn sockets_are_closed_slowly_only_where_another_replica_can_take_them() {
        let window = |listen, store| drain_window(listen, store).as_secs();
        assert_eq!(window("", ""), 0);
        assert_eq!(window("", "kind = \"memory\""), 0);
        assert_eq!(window("", REDIS), 45);
        assert_eq!(window("grace = \"20s\"", REDIS), 20);
        // Who says it is believed.
        assert_eq!(window("drain_window = \"10s\"", ""), 10);
        assert_eq!(window("drain_window = \"0s\"", REDIS), 0);
    }
}
