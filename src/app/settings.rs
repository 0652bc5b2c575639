//! Translates the configuration into the settings of the gateway's crates.

use std::sync::Arc;

use cluster::{
    placement::Placement,
    replica::{self, Announcement},
};
use config::{BackendConfig, Config, fingerprint};
use doctor::login_probe::LoginProbeSettings;
use model::{
    clock::{Clock, Timestamp},
    headers::TrustedProxies,
    policy::Policy,
    room::RoomKey,
    shard::ShardName,
};
use observe::traces::Traces;
use pages::Pages;
use proxy::{
    MeetingBackend, ProxySettings, ProxySetupError, RecorderSettings, ReloadableState,
    limits::Limits, reservation::RoomTerms, upstream,
};

/// The settings of the request path.
pub(super) fn gateway(
    config: &Config,
    placement: Option<&Arc<Placement>>,
    limits: Limits,
    traces: Option<Traces>,
) -> ProxySettings {
    ProxySettings {
        origin: config.public_url.origin().to_owned(),
        authority: config.public_url.authority().to_string(),
        trusted_proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
        session: config.session,
        keyring: config.keyring.clone(),
        backend: backend(config, placement),
        pages: pages(config),
        start: config.pages.start,
        guests: config.guests.clone(),
        apps: config.apps.clone(),
        recorders: RecorderSettings {
            networks: TrustedProxies::new(config.server.recorders.clone()),
            domains: config.recorder_domains.clone().into(),
        },
        region: config.server.region.clone(),
        embedding_sites: config.embedding_sites.clone(),
        locations: config.locations.clone(),
        limits,
        access_log: config.log.access,
        traces,
    }
}

/// The parts of the configuration that a reload replaces.
pub(super) fn rules(config: &Config, clock: Clock) -> Result<ReloadableState, ProxySetupError> {
    let policy = Arc::new(config.policy.clone());
    let token = config.jitsi().map(|jitsi| &jitsi.token);
    ReloadableState::new(policy, token, config.integrations.clone(), clock)
}

/// The settings of the prober; `None` with `[jaas]`.
pub(super) fn probe(config: &Config) -> Option<LoginProbeSettings> {
    let jitsi = config.jitsi()?;
    let backend = |(shard, upstream): (Option<&ShardName>, upstream::UpstreamSettings)| {
        doctor::login_probe::ProbedBackend {
            name: shard.map_or(UNSHARDED_NAME, ShardName::as_str).to_owned(),
            xmpp: upstream.xmpp,
            domain: upstream.xmpp_domain,
        }
    };
    Some(LoginProbeSettings {
        backends: jitsi.active_upstreams().into_iter().map(backend).collect(),
        token: jitsi.token.clone(),
    })
}

/// The first announcement of this replica to the others.
pub(super) fn announcement(config: &Config, replica: String) -> Announcement {
    let jitsi = config.jitsi();
    Announcement {
        format_version: replica::FORMAT_VERSION,
        replica,
        revision: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: config.fingerprint(),
        cookie_keys: config.keyring.ids(),
        signing_keys: jitsi.map_or_else(Vec::new, |jitsi| jitsi.token.signing.kids()),
        ring: fingerprint(&jitsi.map(|jitsi| (&jitsi.upstream, &jitsi.shards))),
    }
}

/// The terms on which Prosody may create a room: those of the room's rule, for any occupant.
pub(super) fn room_terms(policy: &Policy, room: &RoomKey, now: Timestamp) -> RoomTerms {
    let Ok(rule) = policy.rule_for_creation(room, now) else {
        return RoomTerms::default();
    };
    RoomTerms {
        allowed: true,
        duration: rule.window.remaining(now),
        max_people: rule.max_people,
        lobby: rule.lobby,
    }
}

fn backend(config: &Config, placement: Option<&Arc<Placement>>) -> MeetingBackend {
    match (&config.backend, placement) {
        (BackendConfig::Jaas(settings), _) => MeetingBackend::Jaas(settings.clone()),
        (BackendConfig::Jitsi(jitsi), Some(placement)) => MeetingBackend::Jitsi {
            upstream: jitsi.upstream.clone(),
            placement: Arc::clone(placement),
        },
        (BackendConfig::Jitsi(_), None) => {
            unreachable!("the control plane has a placement for a self-hosted Jitsi")
        }
    }
}

/// The pages; without a provider they offer no sign-in.
fn pages(config: &Config) -> Pages {
    let settings = config.pages.clone();
    let pages = Pages::new(settings.brand, settings.languages);
    if config.oidc.is_empty() {
        pages.without_sign_in()
    } else {
        pages
    }
}

/// The label of the only upstream in the probe's metrics.
const UNSHARDED_NAME: &str = "jitsi";
