//! `[listen]`: where and how to accept connections.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::{
        problem::Section,
        values::{DurationText, address, network, seconds},
    },
    server::{Settings, TlsSettings},
};

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
    /// How many threads serve requests; unless set, as many as the machine or container has
    /// processors.
    #[schemars(range(min = 1, max = MAX_WORKERS), example = 4)]
    workers: Option<i64>,
    /// How long open requests and sockets may take to end after SIGTERM.
    grace: DurationText,
    /// How long to go on accepting after SIGTERM while `/readyz` already fails, so that balancers
    /// notice.
    drain_delay: DurationText,
}

// === impl RawListen ===

impl RawListen {
    /// `tls` is the `[tls]` section: absent, unusable, or there.
    pub(super) fn resolve(
        self,
        tls: Option<Option<TlsSettings>>,
        section: &mut Section<'_>,
    ) -> Option<Settings> {
        let mut listener =
            |key: &str, text: Option<&String>| text.map(|text| section.keep(key, address(text)));
        let http = listener("http", self.http.as_ref());
        let https = listener("https", self.https.as_ref());
        let admin = listener("admin", Some(&self.admin)).flatten();
        if http.is_none() && https.is_none() && !section.is_settled("http") {
            let remedy = "add for example http = \"0.0.0.0:8080\"";
            section.reject("", "neither http nor https is there", remedy);
        }
        if https.is_some() && tls.is_none() {
            let remedy = "add [tls] with certificate and key";
            section.reject("https", "there is no certificate", remedy);
        }
        let (http, https) = (http.flatten(), https.flatten());
        refuse_same(
            &[("http", http), ("https", https), ("admin", admin)],
            section,
        );
        let trusted_proxies = (1..)
            .zip(&self.trusted_proxies)
            .map(|(position, text)| {
                section
                    .entry("trusted_proxies", position)
                    .keep("", network(text))
            })
            .collect::<Vec<_>>();
        let workers = self.workers(section);
        let grace = self
            .grace
            .within(seconds(0)..=seconds(3600), section, "grace");
        let drain_delay =
            self.drain_delay
                .within(seconds(0)..=seconds(600), section, "drain_delay");
        Some(Settings {
            http,
            https,
            admin: admin?,
            trusted_proxies: trusted_proxies.into_iter().collect::<Option<_>>()?,
            tls: tls.flatten(),
            workers: workers?,
            grace: grace?,
            drain_delay: drain_delay?,
        })
    }

    fn workers(&self, section: &mut Section<'_>) -> Option<usize> {
        let Some(workers) = self.workers else {
            // It knows of CPU masks and of cgroup quotas.
            return Some(std::thread::available_parallelism().map_or(1, Into::into));
        };
        let count = usize::try_from(workers)
            .ok()
            .filter(|count| (1..=MAX_WORKERS).contains(count));
        if count.is_none() {
            let remedy = format!("write a number from 1 to {MAX_WORKERS}");
            section.reject("workers", format!("{workers} is out of bounds"), remedy);
        }
        count
    }
}

impl Default for RawListen {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            admin: "127.0.0.1:9090".to_owned(),
            trusted_proxies: Vec::new(),
            workers: None,
            // A little more than a BOSH request may be held, so that none is cut.
            grace: "75s".into(),
            drain_delay: "0s".into(),
        }
    }
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

/// More threads than any machine has processors for this; a larger number is a mistake.
const MAX_WORKERS: usize = 512;
