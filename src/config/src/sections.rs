//! The sections of the file: what was written, and what it means.
//!
//! Each module has one section's raw form, which is also its documentation, and turns it into the
//! settings of the part that it is for.

mod guests;
mod integration;
mod jaas;
mod listen;
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

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    guests::{RawEmbed, RawGuests},
    integration::RawIntegration,
    jaas::RawJaas,
    listen::RawListen,
    log::RawLog,
    oidc::RawOidc,
    pages::RawPages,
    probe::RawProbe,
    reservation::RawReservation,
    room::RawRoom,
    session::RawSession,
    shard::RawShard,
    store::RawStore,
    tls::RawTls,
    token::RawToken,
    traces::RawTraces,
    upstream::RawUpstream,
};
use super::{
    Backend, Config, Jitsi, Written,
    problem::Report,
    public_url::PublicUrl,
    secret::SecretReader,
    values::{DurationText, seconds},
};

/// The configuration of jitsi-auth-gateway.
///
/// Every key can also be set by an environment variable: `GATEWAY__OIDC__CLIENT_ID` sets
/// `oidc.client_id`. Paths of files count from the working directory.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(
    extend("required" = ["public_url", "session", "room"]),
    extend("oneOf" = [
        serde_json::json!({ "required": ["upstream", "token"] }),
        serde_json::json!({ "required": ["jaas"] }),
    ]),
)]
pub(super) struct Raw {
    /// Where people reach the deployment: `https://`, a host, and a port if it is not 443.
    #[schemars(example = "https://meet.example.org")]
    public_url: Option<String>,
    /// Accept files with secrets that every account of the machine can read.
    insecure_readable_secrets: bool,
    /// How often to look whether this file or one that it names has changed; `0s` is never. Unless
    /// set, 30s. What has changed is used if all of it is right; the old stays otherwise. SIGHUP looks at once. Rules,
    /// signing keys and integrations are taken over so; the log names what needs a restart.
    #[schemars(with = "DurationText", example = "30s")]
    reload_every: Option<DurationText>,
    listen: RawListen,
    tls: Option<RawTls>,
    upstream: Option<RawUpstream>,
    shard: Vec<RawShard>,
    jaas: Option<RawJaas>,
    oidc: Option<RawOidc>,
    session: RawSession,
    token: Option<RawToken>,
    store: RawStore,
    reservation: RawReservation,
    probe: RawProbe,
    /// The rules: the first whose `match` and `tenant` fit a room decides who may enter it.
    room: Vec<RawRoom>,
    guests: RawGuests,
    embed: RawEmbed,
    pages: RawPages,
    integration: Vec<RawIntegration>,
    log: RawLog,
    traces: RawTraces,
}

// === impl Raw ===

impl Raw {
    /// What it all means; `None` if there is a problem that the report then has.
    pub(super) fn resolve(self, report: &mut Report) -> Option<Config> {
        let secrets = SecretReader {
            allow_readable: self.insecure_readable_secrets,
        };
        report
            .section("")
            .weaken("insecure_readable_secrets", self.insecure_readable_secrets);
        let public_url = self.public_url.and_then(|text| {
            let url = PublicUrl::parse(&text);
            report.section("").keep("public_url", url)
        });
        let has_tls = self.tls.is_some() || report.section("tls").is_settled("");
        let tls = self
            .tls
            .and_then(|tls| tls.resolve(secrets, &mut report.section("tls")));
        let server = self.listen.resolve(
            (has_tls, self.store.is_memory()),
            tls,
            &mut report.section("listen"),
        );
        // A section that is there and wrong is not left out.
        let has_oidc = self.oidc.is_some() || report.section("oidc").is_settled("");
        let oidc = self.oidc.and_then(|oidc| {
            oidc.resolve(public_url.as_ref(), secrets, &mut report.section("oidc"))
        });
        let session = self
            .session
            .resolve(secrets, &mut report.section("session"));
        let prosody_asks = self.reservation.is_on();
        let reservation = self
            .reservation
            .resolve(secrets, &mut report.section("reservation"));
        let backend = match self.jaas {
            Some(jaas) => {
                for (key, is_there) in [
                    ("upstream", self.upstream.is_some()),
                    ("shard", !self.shard.is_empty()),
                    ("token", self.token.is_some()),
                    ("reservation", reservation.is_some()),
                ] {
                    if is_there {
                        let remedy = format!("remove [jaas] or [{key}]");
                        report
                            .section("")
                            .reject(key, "stands beside [jaas]", remedy);
                    }
                }
                jaas.resolve(secrets, &mut report.section("jaas"))
                    .map(Backend::Jaas)
            }
            // What was meant to be 8x8's account needs no other remedy.
            None if report.section("jaas").is_settled("") => None,
            None => {
                jitsi((self.upstream, self.shard), self.token, secrets, report).map(Backend::Jitsi)
            }
        };
        let store = self
            .store
            .resolve(public_url.as_ref(), secrets, &mut report.section("store"));
        let policy = room::resolve(self.room, &mut report.section(""));
        if let Some(policy) = policy.as_ref().filter(|_| !prosody_asks) {
            let lobbies = (1..).zip(policy.rules()).filter(|(_, rule)| rule.lobby);
            for (position, _) in lobbies {
                let remedy = "add [reservation] with listen, or remove the key";
                let mut root = report.section("");
                root.entry("room", position)
                    .reject("lobby", "Prosody does not ask for it", remedy);
            }
        }
        let host = public_url.as_ref().map(|url| url.authority().as_str());
        let pages = self.pages.resolve(host, &mut report.section("pages"));
        let token = match &backend {
            Some(Backend::Jitsi(jitsi)) => Some(&jitsi.token),
            _ => None,
        };
        let integrations =
            integration::resolve(self.integration, token, secrets, &mut report.section(""));
        let nobody_vouches = !has_oidc && integrations.as_ref().is_some_and(Vec::is_empty);
        if let Some(policy) = policy.as_ref().filter(|_| nobody_vouches) {
            room::needs_nobody(policy, &mut report.section(""));
        }
        let guests = self.guests.resolve(&mut report.section("guests"));
        let embedding_sites = self.embed.resolve(&mut report.section("embed"));
        let log = self.log.resolve(&mut report.section("log"));
        let traces = self.traces.resolve(&mut report.section("traces"));
        let reload_every = self.reload_every.map_or(Some(RELOAD_EVERY), |text| {
            text.within(
                seconds(0)..=seconds(86_400),
                &mut report.section(""),
                "reload_every",
            )
        });
        let probe = self.probe.resolve(&mut report.section("probe"));
        let (keyring, session) = session?;
        Some(Config {
            public_url: public_url?,
            keyring,
            server: server?,
            backend: backend?,
            oidc: if has_oidc { Some(oidc?) } else { None },
            session,
            store: store?,
            reservation,
            policy: if has_oidc {
                policy?
            } else {
                policy?.without_sign_in()
            },
            guests: guests?,
            embedding_sites,
            pages: pages?,
            integrations: integrations?,
            log: log?,
            traces,
            reload_every: reload_every.filter(|every| !every.is_zero()),
            written: Written::default(),
            probe: probe?,
            weakened: report.weakened.clone(),
        })
    }
}

fn jitsi(
    (upstream, shards): (Option<RawUpstream>, Vec<RawShard>),
    token: Option<RawToken>,
    secrets: SecretReader,
    report: &mut Report,
) -> Option<Jitsi> {
    let upstream = upstream.unwrap_or_default();
    let resolved = shard::resolve(upstream, shards, &mut report.section(""));
    let xmpp_domain = resolved
        .as_ref()
        .map(|(upstream, _)| &*upstream.xmpp_domain);
    let token =
        token
            .unwrap_or_default()
            .resolve(xmpp_domain, secrets, &mut report.section("token"));
    let (upstream, shards) = resolved?;
    Some(Jitsi {
        upstream,
        shards,
        token: token?,
    })
}

/// Kubernetes itself takes up to a minute to bring a changed object into a pod.
const RELOAD_EVERY: Duration = Duration::from_secs(30);
