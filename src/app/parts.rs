//! What parts of a gateway are made of a configuration.

use std::sync::Arc;

use cluster::{
    placement::Placement,
    replica::{self, Announcement},
    store::Store,
};
use config::{Backend, Config, Jitsi, fingerprint};
use doctor::login_probe::{LoginProbeSettings, ProbedBackend};
use model::{
    clock::{Clock, Timestamp},
    policy::{Enter, Policy},
    random::Random,
    room::RoomKey,
    shard::ShardName,
};
use observe::metrics::ControlMetrics;
use pages::{self, Pages};
use proxy::{
    gateway::{self, Rules},
    reservation::RoomTerms,
    upstream,
};

/// The pages, which show no way to sign in where there is none.
pub(super) fn pages(config: &Config) -> Pages {
    let pages::Settings {
        brand, languages, ..
    } = config.pages.clone();
    let pages = Pages::new(brand, languages);
    if config.oidc.is_some() {
        pages
    } else {
        pages.without_sign_in()
    }
}

/// What carries the meetings; with the places of rooms, if it is a Jitsi of one's own.
pub(super) fn backend(
    config: &Config,
    shared: (Clock, Random, Arc<dyn Store>),
    metrics: &ControlMetrics,
) -> gateway::Backend {
    match &config.backend {
        Backend::Jitsi(Jitsi {
            upstream, shards, ..
        }) => {
            let metrics = metrics.shards.clone();
            let placement = Placement::new(shards.clone(), &upstream.xmpp_domain, shared, metrics);
            gateway::Backend::Jitsi {
                upstream: upstream.clone(),
                placement: Arc::new(placement),
            }
        }
        Backend::Jaas(settings) => gateway::Backend::Jaas(settings.clone()),
    }
}

/// What a reload replaces.
pub(super) fn rules(config: &Config, clock: Clock) -> Result<Rules, gateway::SetupError> {
    let policy = Arc::new(config.policy.clone());
    let token = config.jitsi().map(|jitsi| &jitsi.token);
    Rules::new(policy, token, config.integrations.clone(), clock)
}

/// What the probe works with.
pub(super) fn probed(config: &Config) -> Option<LoginProbeSettings> {
    let jitsi = config.jitsi()?;
    let backend = |(shard, upstream): (Option<&ShardName>, upstream::Settings)| ProbedBackend {
        name: shard.map_or(THE_ONE, ShardName::as_str).to_owned(),
        xmpp: upstream.xmpp,
        domain: upstream.xmpp_domain,
    };
    Some(LoginProbeSettings {
        backends: jitsi.sets().into_iter().map(backend).collect(),
        token: jitsi.token.clone(),
    })
}

/// What a replica of this name says of itself.
pub(super) fn announcement(config: &Config, replica: String) -> Announcement {
    let jitsi = config.jitsi();
    Announcement {
        form: replica::FORM,
        replica,
        turn: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: config.fingerprint(),
        cookie_keys: config.keyring.ids(),
        signing_keys: jitsi.map_or_else(Vec::new, |jitsi| jitsi.token.signing.kids()),
        ring: fingerprint(&jitsi.map(|jitsi| (&jitsi.upstream, &jitsi.shards))),
    }
}

/// What the rules say of a room, whoever is in it.
pub(super) fn terms(policy: &Policy, room: &RoomKey, now: Timestamp) -> RoomTerms {
    let Some((_, rule)) = policy.rule_of(room) else {
        return RoomTerms::default();
    };
    let early = rule.window.opens.is_some_and(|opens| now < opens);
    let late = rule.window.closes.is_some_and(|closes| now >= closes);
    RoomTerms {
        allowed: rule.enter != Enter::Closed && !early && !late,
        duration: rule.window.closes.map(|closes| closes.since(now)),
        max_people: rule.max_people,
        lobby: rule.lobby,
    }
}

/// The name of a Jitsi that has none, because there is no other.
const THE_ONE: &str = "jitsi";
