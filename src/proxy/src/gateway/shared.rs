//! What all workers share, and how it is put together.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::runtime::Handle;

use super::facts::Authority;
use crate::upstream;
use cluster::{placement::Placement, presence::Presence, revocation::Revocations, store::Store};
use model::{
    bosh::SessionIds,
    clock::Clock,
    headers::TrustedProxies,
    integration::{self, Integrations},
    invitation::Links,
    jaas::{self, Jaas},
    jws::KeySetError,
    owner::OwnerTags,
    policy::Policy,
    random::Random,
    seal::{Keyring, Purpose, Sealer},
    session::{self, Passes, SessionCodec, SignInCookies},
    token::{self, ClientTokens, Minter, PublishedKeys, SignerError},
};
use observe::{logs::LineLimit, traces::Traces};
use oidc::RelyingParty;
use pages::{Pages, StartPage, inject::Completion};

/// What the request path needs to know.
#[derive(Debug)]
pub struct Settings {
    /// `https://host[:port]`, no slash at the end.
    pub origin: String,
    /// `host[:port]`.
    pub authority: String,
    /// Peers whose word on the client is believed.
    pub trusted_proxies: TrustedProxies,
    /// How long sessions live.
    pub session: session::Settings,
    /// Seals cookies.
    pub keyring: Keyring,
    /// What carries the meetings.
    pub backend: Backend,
    /// The gateway's own pages.
    pub pages: Pages,
    /// What is at `/`.
    pub start: StartPage,
    /// How guests come and stay.
    pub guests: Guests,
    /// Where recorders are, which come without signing in and have credentials of their own.
    pub recorders: TrustedProxies,
    /// Origins of sites that may show rooms in frames, besides those of integrations.
    pub embedding_sites: Vec<String>,
    /// Whether each request gets a line in the log.
    pub access_log: bool,
    /// Where each request gets a span, if anywhere.
    pub traces: Option<Traces>,
}

/// What carries the meetings.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A Jitsi behind the gateway.
    Jitsi {
        /// What its shards have in common.
        upstream: upstream::Settings,
        /// Which shard each room is on.
        placement: Arc<Placement>,
    },
    /// 8x8, beside it.
    Jaas(jaas::Settings),
}

/// How guests come and stay.
#[derive(Clone, Debug)]
pub struct Guests {
    /// How long a guest, or anybody else with a pass to one room, is known.
    pub lifetime: Duration,
    /// How long a guest link can be used.
    pub link_lifetime: Duration,
    /// How long a host link can be used.
    pub host_link_lifetime: Duration,
    /// Prosody's domain for guests, where they come without a token.
    pub xmpp_domain: Option<String>,
}

/// What all workers share: read-only but for the rules, which a reload swaps whole.
pub struct Gateway {
    pub(super) origin: String,
    pub(super) authority: Authority,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) sessions: SessionCodec,
    pub(super) sign_ins: SignInCookies,
    pub(super) hints: Sealer,
    pub(super) bosh_ids: SessionIds,
    pub(super) passes: Passes,
    pub(super) owners: OwnerTags,
    pub(super) links: Links,
    pub(super) client_tokens: ClientTokens,
    pub(super) guests: Guests,
    pub(super) recorders: TrustedProxies,
    pub(super) embedding_sites: Vec<String>,
    pub(super) start: StartPage,
    pub(super) jaas: Option<Jaas>,
    pub(super) completion: Completion,
    pub(super) pages: Pages,
    pub(super) relying_party: Option<Arc<RelyingParty>>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) presence: Arc<Presence>,
    pub(super) store: Arc<dyn Store>,
    pub(super) jitsi: Option<Behind>,
    pub(super) api_answers: Sealer,
    pub(super) control: Handle,
    /// Bounds the audit lines that strangers can cause.
    pub(super) line_limit: LineLimit,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) access_log: bool,
    pub(super) traces: Option<Traces>,
}

/// A Jitsi behind the gateway.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) upstream: upstream::Settings,
    pub(super) xmpp_domain: HeaderValue,
    pub(super) placement: Arc<Placement>,
}

/// What a reload of the configuration replaces while people are in meetings.
#[derive(Debug)]
pub struct Rules {
    pub(super) policy: Arc<Policy>,
    /// None where no Prosody is behind us.
    pub(super) minter: Option<Minter>,
    pub(super) integrations: Integrations,
    pub(super) published: PublishedKeys,
}

/// The parts of the control plane that requests reach.
#[derive(Clone)]
pub struct Control {
    /// The runtime that talks to the provider.
    pub runtime: Handle,
    /// Signs people in, where people have accounts.
    pub relying_party: Option<Arc<RelyingParty>>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// Who is in which room.
    pub presence: Arc<Presence>,
    /// What replicas share.
    pub store: Arc<dyn Store>,
}

/// Why the request path cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The XMPP domain cannot stand in a `Host` header.
    #[error("the XMPP domain {0:?} is not a host name")]
    XmppDomain(String),
    /// A signing key cannot be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The public keys of an integration cannot be used.
    #[error("the public keys of an integration cannot be used")]
    Integration(#[from] KeySetError),
}

// === impl Rules ===

impl Rules {
    /// Rules and keys of a configuration.
    pub fn new(
        policy: Arc<Policy>,
        token: Option<&token::Settings>,
        integrations: Vec<integration::Settings>,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            policy,
            minter: token.map(|token| Minter::new(token, clock)).transpose()?,
            integrations: Integrations::new(integrations)?,
            published: token
                .map(|token| PublishedKeys::new(&token.signing))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

// === impl Behind ===

impl Behind {
    fn new(upstream: upstream::Settings, placement: Arc<Placement>) -> Result<Self, SetupError> {
        let xmpp_domain = HeaderValue::from_str(&upstream.xmpp_domain)
            .map_err(|_| SetupError::XmppDomain(upstream.xmpp_domain.clone()))?;
        Ok(Self {
            upstream,
            xmpp_domain,
            placement,
        })
    }
}

// === impl Gateway ===

impl Gateway {
    /// Puts the request path together.
    pub fn new(
        settings: Settings,
        rules: Rules,
        control: Control,
        clock: Clock,
        random: Random,
    ) -> Result<Self, SetupError> {
        let Settings {
            origin,
            keyring,
            backend,
            ..
        } = settings;
        let (jitsi, jaas) = match backend {
            Backend::Jitsi {
                upstream,
                placement,
            } => (Some(Behind::new(upstream, placement)?), None),
            Backend::Jaas(settings) => (None, Some(Jaas::new(&settings, clock.clone())?)),
        };
        Ok(Self {
            authority: Authority::new(settings.authority),
            trusted_proxies: settings.trusted_proxies,
            rules: ArcSwap::from_pointee(rules),
            sessions: SessionCodec::new(&keyring, &origin, settings.session, clock.clone()),
            sign_ins: SignInCookies::new(&keyring, &origin, clock.clone()),
            hints: keyring.sealer(Purpose::LogoutHint, &origin),
            bosh_ids: SessionIds::new(keyring.tagger(Purpose::BoshSession)),
            passes: Passes::new(&keyring, &origin, clock.clone()),
            owners: OwnerTags::new(keyring.tagger(Purpose::Owner)),
            links: Links::new(&keyring, &origin),
            client_tokens: ClientTokens::new(&keyring, &origin, clock.clone(), random.clone()),
            recorders: settings.recorders,
            embedding_sites: settings.embedding_sites,
            start: settings.start,
            jaas,
            completion: Completion::new(
                &origin,
                &overrides(&settings.guests, control.relying_party.is_some()),
            ),
            guests: settings.guests,
            pages: settings.pages,
            relying_party: control.relying_party,
            revocations: control.revocations,
            presence: control.presence,
            store: control.store,
            jitsi,
            api_answers: keyring.sealer(Purpose::ApiAnswer, &origin),
            control: control.runtime,
            line_limit: LineLimit::default(),
            clock,
            random,
            access_log: settings.access_log,
            traces: settings.traces,
            origin,
        })
    }

    /// The rules as they are now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.load().policy)
    }

    /// Swaps rules and keys; requests under way finish with the old ones.
    pub fn replace_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// What the configuration asks of Jitsi's: its page has to know where those go who have no token,
/// and offers to sign in where somebody can.
fn overrides(guests: &Guests, signs_in: bool) -> serde_json::Map<String, serde_json::Value> {
    let mut overrides = serde_json::Map::new();
    if let Some(domain) = &guests.xmpp_domain {
        let hosts = serde_json::json!({ "anonymousdomain": domain });
        overrides.insert("hosts".to_owned(), hosts);
    }
    if !signs_in {
        overrides.insert("tokenAuthUrl".to_owned(), serde_json::Value::Null);
    }
    overrides
}
