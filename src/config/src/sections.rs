//! The sections of the file.
//!
//! Each module has the raw form of one section, whose doc comments are the reference
//! (docs/configuration.md), and resolves it into the settings of the crate that it configures.

mod acme;
mod apps;
mod backend;
mod cache;
mod guests;
mod integration;
mod jaas;
mod limits;
mod listen;
mod location;
mod log;
mod oidc;
mod pages;
mod probe;
mod reservation;
mod room;
mod session;
mod shard;
mod store;
mod tls;
mod token;
mod traces;
mod upstream;
mod visitor_node;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    apps::RawApps,
    backend::RawBackend,
    cache::RawCache,
    guests::{RawEmbed, RawGuests},
    integration::RawIntegration,
    jaas::RawJaas,
    limits::RawLimits,
    listen::{ListenContext, OtherDomains, RawListen, listen_warnings},
    location::{LocationContext, RawLocation},
    log::RawLog,
    oidc::{NamedProviders, RawOidcSection},
    pages::RawPages,
    probe::RawProbe,
    reservation::RawReservation,
    room::{RawRoom, ReservationScope, RoomContext},
    session::RawSession,
    shard::RawShard,
    store::RawStore,
    tls::RawTls,
    token::RawToken,
    traces::RawTraces,
    upstream::RawUpstream,
};
use super::{
    certificate_chain::CertificateChain,
    diagnostics::{Diagnostics, Section},
    public_url::PublicUrl,
    secret::SecretReader,
    section_digests::SectionDigests,
    settings::{Config, JitsiConfig},
    values::{DAY, DurationText, seconds},
};
use proxy::server;

/// The configuration of jitsi-auth-gateway.
///
/// Every key can also be set by an environment variable: `GATEWAY__OIDC__CLIENT_ID` sets
/// `oidc.client_id`. Paths of files are relative to the working directory.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(
    title = "Configuration of jitsi-auth-gateway",
    extend("required" = ["public_url", "session", "room"]),
    extend("oneOf" = [
        serde_json::json!({ "required": ["upstream", "token"] }),
        serde_json::json!({ "required": ["jaas"] }),
    ]),
)]
pub(super) struct RawConfig {
    /// The public origin of the deployment: `https://`, a host, and a port if it is not 443.
    #[schemars(example = "https://meet.example.org")]
    public_url: Option<String>,
    /// Accept secrets in files that every account of the machine can access.
    insecure_readable_secrets: bool,
    /// How often this file and the files that it names are checked for changes; `0s` disables it.
    /// Default: 30s. Rules, signing keys, integrations and shards are reloaded; the log names changed
    /// sections that require a restart. If anything is invalid, the whole previous configuration
    /// stays in use. SIGHUP reloads at once.
    #[schemars(with = "DurationText", example = "30s")]
    reload_every: Option<DurationText>,
    listen: RawListen,
    limits: RawLimits,
    tls: Option<RawTls>,
    upstream: Option<RawUpstream>,
    cache: RawCache,
    shard: Vec<RawShard>,
    jaas: Option<RawJaas>,
    oidc: Option<RawOidcSection>,
    session: RawSession,
    token: Option<RawToken>,
    store: RawStore,
    reservation: RawReservation,
    probe: RawProbe,
    /// The rules: the first whose `match` and `tenant` match a room applies to it.
    room: Vec<RawRoom>,
    guests: RawGuests,
    apps: RawApps,
    embed: RawEmbed,
    pages: RawPages,
    integration: Vec<RawIntegration>,
    location: Vec<RawLocation>,
    log: RawLog,
    traces: RawTraces,
}

/// An optional value is invalid, and the diagnostics have the problem.
///
/// `Result<Option<T>, Reported>` distinguishes a value that is not set from an invalid one.
#[derive(Clone, Copy, Debug)]
struct Reported;

// === impl RawConfig ===

impl RawConfig {
    /// Resolves every section, so that all problems are found; `None` if the diagnostics have one.
    pub(super) fn resolve(
        mut self,
        section_digests: SectionDigests,
        diagnostics: &mut Diagnostics,
    ) -> Option<Config> {
        let secrets = SecretReader {
            allow_world_accessible: self.insecure_readable_secrets,
        };
        let mut root = diagnostics.section("");
        root.note_insecure("insecure_readable_secrets", self.insecure_readable_secrets);
        let public_url = root.parse("public_url", self.public_url, PublicUrl::parse);
        let reload_every = resolve_reload_every(self.reload_every, &mut root);
        let recorder_domains = self.listen.take_recorder_domains();
        let server = resolve_server(
            self.listen,
            self.limits,
            self.tls,
            ServerContext {
                single_replica: self.store.is_memory(),
                public_url: public_url.as_ref(),
            },
            secrets,
            diagnostics,
        );
        let oidc = resolve_oidc(self.oidc, public_url.as_ref(), secrets, diagnostics);
        let session = self
            .session
            .resolve(secrets, &mut diagnostics.section("session"));
        let journal = self.store.take_directory(&mut diagnostics.section("store"));
        let store = self.store.resolve(
            public_url.as_ref(),
            secrets,
            &mut diagnostics.section("store"),
        );
        let reservation_enabled = self.reservation.is_enabled();
        let reservation = self
            .reservation
            .resolve(secrets, &mut diagnostics.section("reservation"));
        // 8x8 keeps the tenants of its customers apart.
        let prosody_verifies_tenants =
            self.jaas.is_some() || self.token.as_ref().is_some_and(RawToken::verifies_domains);
        let backend = RawBackend {
            jaas: self.jaas,
            upstream: self.upstream,
            shards: self.shard,
            token: self.token,
            has_reservation: reservation.is_some(),
        };
        let backend = backend.resolve(secrets, diagnostics);
        let jitsi = backend.as_ref().and_then(|backend| backend.jitsi());
        let mut integrations = integration::resolve(
            self.integration,
            jitsi.map(|jitsi| &jitsi.token),
            prosody_verifies_tenants,
            secrets,
            &mut diagnostics.section(""),
        );
        let has_integrations = !integrations.as_ref().is_some_and(Vec::is_empty);
        // A rule's requirement does not depend on the provider: the clock that differs most is tolerated.
        let leeway = oidc
            .as_ref()
            .map(|oidc| oidc.iter().map(|oidc| oidc.leeway).max());
        let providers = match &oidc {
            Ok(known) => NamedProviders::Known(known),
            Err(Reported) => NamedProviders::Unknown,
        };
        let context = RoomContext {
            // An invalid section is reported already.
            provider_leeway: leeway.unwrap_or(Some(Duration::ZERO)),
            has_accounts: has_integrations || !oidc.as_ref().is_ok_and(Vec::is_empty),
            providers,
            prosody_verifies_tenants,
            reservations: match (reservation_enabled, self.guests.has_domain()) {
                (false, _) => ReservationScope::Nothing,
                (true, true) => ReservationScope::MainDomain,
                (true, false) => ReservationScope::AllDomains,
            },
        };
        let rule_locations = room::locations(&self.room, &mut diagnostics.section(""));
        let policy = room::resolve(self.room, context, &mut diagnostics.section(""));
        if let (Some(integrations), Some(policy)) = (&mut integrations, &policy) {
            integration::exclude_named_rooms(integrations, policy);
        }
        let main_domain = jitsi.map(|jitsi| jitsi.upstream.xmpp_domain.as_str());
        let guests = self
            .guests
            .resolve(main_domain, &mut diagnostics.section("guests"));
        let others = OtherDomains {
            main: main_domain,
            guests: guests.as_ref().and_then(|it| it.xmpp_domain.as_deref()),
        };
        let recorder_domains =
            listen::resolve_domains(recorder_domains, others, &mut diagnostics.section("listen"));
        let apps = self.apps.resolve(&mut diagnostics.section("apps"));
        let embedding_sites = self.embed.resolve(&mut diagnostics.section("embed"));
        let host = public_url.as_ref().map(|url| url.authority().as_str());
        let pages = self.pages.resolve(host, &mut diagnostics.section("pages"));
        let context = LocationContext {
            has_jaas: backend.is_some() && jitsi.is_none(),
            prosody: jitsi
                .map(JitsiConfig::prosody_authorities)
                .unwrap_or_default(),
            web: jitsi.map(JitsiConfig::web_authorities).unwrap_or_default(),
        };
        let locations = location::resolve(self.location, &context, &mut diagnostics.section(""));
        let log = self.log.resolve(&mut diagnostics.section("log"));
        let traces = self.traces.resolve(&mut diagnostics.section("traces"));
        let probe = self.probe.resolve(&mut diagnostics.section("probe"));
        let cache = self.cache.resolve(&mut diagnostics.section("cache"));

        let (oidc, session, policy) = (oidc.ok()?, session?, policy?);
        let server = server?;
        Some(Config {
            public_url: public_url?,
            keyring: session.keyring,
            server: server.settings,
            certificate_chains: server.chains,
            acme: server.acme,
            recorder_domains: recorder_domains?,
            backend: backend?,
            policy: if oidc.is_empty() {
                policy.without_sign_in()
            } else {
                policy
            },
            rule_locations,
            oidc,
            session: session.settings,
            reservation,
            store: store?,
            journal: journal.ok()?,
            pages: pages?,
            integrations: integrations?,
            guests: guests?,
            apps: apps?,
            embedding_sites: embedding_sites?,
            locations: locations?,
            log: log?,
            traces,
            reload_every: reload_every.ok()?,
            section_digests,
            probe: probe.ok()?,
            cache: cache.ok()?,
            insecure_switches: diagnostics.insecure_switches.clone(),
            notices: diagnostics.warnings.clone(),
        })
    }
}

/// The parts of other sections that listeners and certificates depend on.
#[derive(Clone, Copy)]
struct ServerContext<'c> {
    /// The store is in memory, so that there are no other replicas.
    single_replica: bool,
    public_url: Option<&'c PublicUrl>,
}

/// The settings of `[tls]`, `[limits]` and `[listen]`.
struct CheckedServer {
    settings: server::ServerSettings,
    acme: Option<::acme::AcmeSettings>,
    chains: Vec<CertificateChain>,
}

/// Resolves `[tls]`, `[limits]` and `[listen]`.
fn resolve_server(
    listen: RawListen,
    limits: RawLimits,
    tls: Option<RawTls>,
    server: ServerContext<'_>,
    secrets: SecretReader,
    diagnostics: &mut Diagnostics,
) -> Option<CheckedServer> {
    let has_tls_section = tls.is_some() || diagnostics.is_reported("tls");
    let tls = tls
        .and_then(|tls| tls.resolve(server.public_url, secrets, &mut diagnostics.section("tls")));
    if let (Some(tls), Some(url)) = (&tls, server.public_url) {
        diagnostics.warnings.extend(tls.warnings(url));
    }
    let (tls, acme, chains) = match tls {
        Some(tls) => (Some(tls.settings), tls.acme, tls.chains),
        None => (None, None, Vec::new()),
    };
    let context = ListenContext {
        has_tls_section,
        tls,
        challenge: acme.as_ref().map(|acme| acme.challenge),
        single_replica: server.single_replica,
        limits: limits.resolve(&mut diagnostics.section("limits")),
    };
    let settings = listen.resolve(context, &mut diagnostics.section("listen"))?;
    diagnostics.warnings.extend(listen_warnings(&settings));
    Some(CheckedServer {
        settings,
        acme,
        chains,
    })
}

/// Resolves `[oidc]` or `[[oidc]]`. An invalid section is `Err`, also if the schema check has removed it.
fn resolve_oidc(
    oidc: Option<RawOidcSection>,
    public_url: Option<&PublicUrl>,
    secrets: SecretReader,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<::oidc::OidcSettings>, Reported> {
    match oidc {
        Some(oidc) => oidc.resolve(public_url, secrets, diagnostics),
        None if diagnostics.is_reported("oidc") => Err(Reported),
        None => Ok(Vec::new()),
    }
}

/// The interval of `reload_every`; `None` if it is zero.
fn resolve_reload_every(
    text: Option<DurationText>,
    root: &mut Section<'_>,
) -> Result<Option<Duration>, Reported> {
    let every = match text {
        Some(text) => text
            .within(seconds(0)..=DAY, root, "reload_every")
            .ok_or(Reported)?,
        None => RELOAD_EVERY,
    };
    Ok(Some(every).filter(|every| !every.is_zero()))
}

/// Kubernetes takes up to a minute to update a mounted object; shorter intervals gain little.
const RELOAD_EVERY: Duration = Duration::from_secs(30);
