//! The checked configuration: the settings of every crate.

use std::{path::PathBuf, time::Duration};

use cluster::{
    placement::{self, ShardSettings},
    store,
};
use http::uri::Authority;
use model::{
    clock::Timestamp,
    integration, jaas,
    policy::Policy,
    route::SiteLocation,
    seal::Keyring,
    session,
    shard::{ShardName, ShardState},
    token,
};
use observe::{logs, traces};
use proxy::{AppLinks, AssetCacheSettings, GuestSettings, reservation, server, upstream};

use super::{
    certificate_chain::{CertificateChain, EXPIRES_SOON},
    fingerprint::fingerprint,
    public_url::PublicUrl,
    section_digests::SectionDigests,
};

/// The warning about a [configuration that forgets](Config::forgets_revocations).
pub const FORGETS_REVOCATIONS: &str = "a restart forgets revoked sessions and links, used links and \
                                       used handoff tokens; write store.directory to keep them";

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public HTTPS origin of the deployment.
    pub public_url: PublicUrl,
    /// The keys that seal cookies.
    pub keyring: Keyring,
    /// Listeners, TLS and shutdown.
    pub server: server::ServerSettings,
    /// The certificates of `[tls]` that something else renews.
    pub certificate_chains: Vec<CertificateChain>,
    /// The authority that issues a certificate; `None` without `[tls.acme]`.
    pub acme: Option<acme::AcmeSettings>,
    /// Prosody's domains for recorders; empty with `[jaas]`.
    pub recorder_domains: Vec<String>,
    /// The deployment that hosts the meetings.
    pub backend: BackendConfig,
    /// The OpenID providers; none if there are no accounts.
    pub oidc: Vec<oidc::OidcSettings>,
    /// Session lifetimes.
    pub session: session::SessionSettings,
    /// The endpoint for Prosody's `mod_reservations`.
    pub reservation: Option<reservation::ReservationSettings>,
    /// The state that replicas share.
    pub store: store::StoreSettings,
    /// The directory of the journal of revocations; `None` if a restart forgets what the store does
    /// not have.
    pub journal: Option<PathBuf>,
    /// The room rules.
    pub policy: Policy,
    /// The origin of each rule, as `config/gateway.toml:72` or `environment GATEWAY__ROOM`.
    pub rule_locations: Vec<String>,
    /// Branding and languages of the gateway's own pages.
    pub pages: pages::PagesSettings,
    /// Other systems that send visitors or use the API.
    pub integrations: Vec<integration::IntegrationSettings>,
    /// Lifetimes of guests and links.
    pub guests: GuestSettings,
    /// The native apps that a sign-in returns to.
    pub apps: AppLinks,
    /// Origins of the sites that may embed rooms.
    pub embedding_sites: Vec<String>,
    /// Paths beside the meetings, and who may use them.
    pub locations: Vec<SiteLocation>,
    /// Log format, filter and files.
    pub log: logs::LogSettings,
    /// The trace exporter.
    pub traces: Option<traces::TracesSettings>,
    /// The interval at which the configuration is checked for changes; `None` disables it.
    pub reload_every: Option<Duration>,
    /// The digests of the sections as they were written.
    pub section_digests: SectionDigests,
    /// The interval of probe logins at Prosody; `None` disables them.
    pub probe: Option<Duration>,
    /// The cache of Jitsi's files; `None` disables it.
    pub cache: Option<AssetCacheSettings>,
    /// The keys of the insecure switches that are on, as `oidc.insecure_http_issuer`.
    pub insecure_switches: Vec<&'static str>,
    /// What is valid and probably not intended, in one line each.
    pub notices: Vec<String>,
}

/// The deployment that hosts the meetings.
#[derive(Clone, Debug)]
pub enum BackendConfig {
    /// A self-hosted Jitsi.
    Jitsi(Box<JitsiConfig>),
    /// Jitsi as a Service (8x8).
    Jaas(jaas::JaasSettings),
}

/// A self-hosted Jitsi.
#[derive(Clone, Debug)]
pub struct JitsiConfig {
    /// Web server and Prosody; with shards, those of the first shard.
    pub upstream: upstream::UpstreamSettings,
    /// The shards; without `[[shard]]`, the only one.
    pub shards: placement::PlacementSettings,
    /// How tokens for Prosody are signed.
    pub token: token::TokenSettings,
    /// Whether Prosody is said to compare tenants.
    pub verifies_domains: bool,
}

// === impl Config ===

impl Config {
    /// The self-hosted Jitsi; `None` with `[jaas]`.
    pub fn jitsi(&self) -> Option<&JitsiConfig> {
        self.backend.jitsi()
    }

    /// What an operator should know of a valid configuration, in one line each.
    pub fn warnings(&self) -> Vec<String> {
        let switches = self.insecure_switches.iter();
        let mut warnings: Vec<_> = switches.map(|switch| format!("{switch} is on")).collect();
        if self.forgets_revocations() {
            warnings.push(FORGETS_REVOCATIONS.to_owned());
        }
        warnings.extend_from_slice(&self.notices);
        warnings
    }

    /// The certificates of clients that their providers refuse now or within two weeks, in one line each.
    pub fn client_certificate_warnings(&self, now: Timestamp) -> Vec<String> {
        let ends = self.oidc.iter().filter_map(|provider| {
            Some((&provider.issuer, provider.client_auth.certificate_end()?))
        });
        let near = ends.filter(|(_, end)| *end < now.after(EXPIRES_SOON));
        let line = |(issuer, end): (&String, Timestamp)| {
            if end < now {
                format!(
                    "oidc.client_certificate_file: the certificate for {issuer} expired at {end}; the provider refuses it"
                )
            } else {
                format!(
                    "oidc.client_certificate_file: the certificate for {issuer} expires at {end}; renew it, and give the provider the new one"
                )
            }
        };
        near.map(line).collect()
    }

    /// Whether a restart makes valid again what was revoked.
    pub fn forgets_revocations(&self) -> bool {
        self.journal.is_none() && matches!(self.store, store::StoreSettings::Memory)
    }

    /// The origin of a rule; positions count from 1.
    pub fn rule_location(&self, position: usize) -> &str {
        let index = position.saturating_sub(1);
        self.rule_locations.get(index).map_or("", String::as_str)
    }

    /// A hash of the settings that all replicas have to have in common. It reveals no secrets.
    pub fn fingerprint(&self) -> String {
        let common = (
            (self.public_url.origin(), &self.backend, &self.oidc),
            (&self.session, &self.reservation, &self.policy),
            (&self.pages, &self.integrations, &self.guests),
            (&self.embedding_sites, &self.apps, &self.insecure_switches),
            &self.locations,
        );
        fingerprint(&common)
    }
}

// === impl BackendConfig ===

impl BackendConfig {
    /// The self-hosted Jitsi, if it is one.
    pub fn jitsi(&self) -> Option<&JitsiConfig> {
        match self {
            Self::Jitsi(jitsi) => Some(jitsi),
            Self::Jaas(_) => None,
        }
    }
}

// === impl JitsiConfig ===

impl JitsiConfig {
    /// The addresses of the web servers of all shards.
    pub(crate) fn web_authorities(&self) -> Vec<Authority> {
        let shards = self.shards.shards.iter();
        shards.map(|shard| shard.endpoints.web.clone()).collect()
    }

    /// The addresses of every Prosody: of the shards and of their visitor nodes.
    pub(crate) fn prosody_authorities(&self) -> Vec<Authority> {
        let endpoints = self.shards.shards.iter().map(|shard| &shard.endpoints);
        let all = endpoints.flat_map(|endpoints| {
            let visitors = endpoints.visitors.iter().map(|node| &node.xmpp);
            visitors.chain([&endpoints.xmpp])
        });
        all.cloned().collect()
    }

    /// The upstreams of all shards that are not down, with the shard's name if there are shards.
    pub fn active_upstreams(&self) -> Vec<(Option<&ShardName>, upstream::UpstreamSettings)> {
        if !self.shards.sharded {
            return vec![(None, self.upstream.clone())];
        }
        let upstream = |shard: &ShardSettings| upstream::UpstreamSettings {
            web: shard.endpoints.web.clone(),
            xmpp: shard.endpoints.xmpp.clone(),
            jicofo: shard.endpoints.jicofo.clone(),
            ..self.upstream.clone()
        };
        self.shards
            .shards
            .iter()
            .filter(|shard| shard.state != ShardState::Down)
            .map(|shard| (Some(&shard.name), upstream(shard)))
            .collect()
    }
}
