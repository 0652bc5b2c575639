//! What all workers share, and how it is put together.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::runtime::Handle;

use crate::{
    AppLinks, AssetCache, GuestSettings, MeetingBackend, ProxySettings, RecorderSettings,
    RequestContext,
    authenticate::Authenticator,
    authorize::Authorizer,
    credentials::TokenExchange,
    endpoints::{
        AcceptedLogoutTokens, RedeemedStates, SignInFlow,
        api::{IdempotentAnswers, IntegrationApi},
    },
    instrumentation::{AuditQuota, ProxyWarnings},
    invitations::Invitations,
    limits::{Limits, StreamCounts},
    meetings::Meetings,
    passes::PassIssuer,
    provider_sessions::ProviderSessions,
    request_context::SiteAuthority,
    revalidation::Revalidations,
    server::ChallengeAnswers,
    signalling::BoshStreams,
    store_client::StoreClient,
    stream_directory::StreamDirectory,
    upstream,
    web::embedding::EmbeddingSites,
};
use cluster::{placement::Placement, presence::Presence, revocation::Revocations, store::Store};
use model::{
    bosh::BoshSessionIds,
    clock::Clock,
    headers::{ClientAddr, TrustedProxies},
    integration::{self, Integrations},
    invitation::InvitationLinks,
    jaas::Jaas,
    jws::KeySetError,
    negotiation::ResumptionIds,
    owner::OwnerTags,
    policy::Policy,
    random::Random,
    route::SiteLocations,
    seal::Purpose,
    session::{PassCookies, Principal, SessionCodec, SignInCookies},
    token::{self, ClientTokens, Minter, PersonalClaims, PublishedKeys, SignerError},
};
use observe::traces::Traces;
use oidc::RelyingParties;
use pages::{Pages, StartPage, inject::Injector};

/// What all workers share: read-only but for the rules, which a reload swaps whole.
pub struct SharedState {
    pub(crate) authority: SiteAuthority,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) rules: ArcSwap<ReloadableState>,
    /// Phase "authenticate": cookies.
    pub(crate) authenticator: Arc<Authenticator>,
    /// Phase "authenticate": tokens in addresses.
    pub(crate) tokens: TokenExchange,
    /// Phase "authorize": the policy's situation.
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) passes: PassIssuer,
    /// None without a provider.
    pub(crate) sign_ins: Option<SignInFlow>,
    pub(crate) bosh_ids: BoshSessionIds,
    pub(crate) resumption_ids: Arc<ResumptionIds>,
    /// All workers' BOSH streams: a stream's requests may come on any connection.
    pub(crate) bosh_streams: BoshStreams,
    pub(crate) invitations: Arc<Invitations>,
    pub(crate) meetings: Meetings,
    pub(crate) api: IntegrationApi,
    pub(crate) client_tokens: Arc<ClientTokens>,
    pub(crate) guests: GuestSettings,
    pub(crate) apps: AppLinks,
    pub(crate) recorders: RecorderSettings,
    pub(crate) region: upstream::RegionSettings,
    pub(crate) embedding_sites: EmbeddingSites,
    pub(crate) start: StartPage,
    pub(crate) locations: SiteLocations,
    pub(crate) jaas: Option<Jaas>,
    pub(crate) injector: Injector,
    /// The one for pages whose clients ask Jicofo over XMPP, whatever `config.js` says.
    pub(crate) injector_without_jicofo: Injector,
    pub(crate) pages: Pages,
    pub(crate) jitsi: Option<Arc<JitsiBackend>>,
    /// None if it is disabled.
    pub(crate) asset_cache: Option<Arc<AssetCache>>,
    /// None if no authority verifies names here.
    pub(crate) challenges: Option<Arc<ChallengeAnswers>>,
    pub(crate) audit_quota: AuditQuota,
    pub(crate) proxy_warnings: ProxyWarnings,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Bounds on what clients may hold.
    pub(crate) limits: Limits,
    /// All workers' WebSockets and BOSH sessions.
    pub(crate) stream_counts: Arc<StreamCounts>,
    /// All workers' WebSockets and BOSH sessions, for operators.
    pub(crate) stream_directory: Arc<StreamDirectory>,
    pub(crate) access_log: bool,
    pub(crate) traces: Option<Traces>,
}

/// A Jitsi behind the gateway.
#[derive(Debug)]
pub(crate) struct JitsiBackend {
    pub(crate) upstream: upstream::UpstreamSettings,
    pub(crate) xmpp_domain: HeaderValue,
    pub(crate) placement: Arc<Placement>,
}

/// The parts of the state that a reload of the configuration replaces while people are in meetings:
/// policy, signing keys and integrations.
#[derive(Debug)]
pub struct ReloadableState {
    pub(crate) policy: Arc<Policy>,
    /// None where no Prosody is behind us.
    pub(crate) minter: Option<Minter>,
    pub(crate) integrations: Integrations,
    pub(crate) published: PublishedKeys,
    /// What Jitsi's page gets to know of a person.
    pub(crate) claims: PersonalClaims,
}

/// The parts of the control plane that requests reach.
#[derive(Clone)]
pub struct Control {
    /// The runtime that talks to the provider.
    pub runtime: Handle,
    /// Sign people in, where people have accounts.
    pub relying_parties: Option<RelyingParties>,
    /// Revoked sessions, passes and links.
    pub revocations: Arc<Revocations>,
    /// What the provider said of sessions since the sign-in.
    pub revalidations: Arc<Revalidations>,
    /// Who is in which room.
    pub presence: Arc<Presence>,
    /// The open streams, for operators.
    pub streams: Arc<StreamDirectory>,
    /// What replicas share.
    pub store: Arc<dyn Store>,
    /// Jitsi's files; none if the cache is disabled.
    pub asset_cache: Option<Arc<AssetCache>>,
    /// The challenges of an authority.
    pub challenges: Option<Arc<ChallengeAnswers>>,
}

/// Why the request path cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProxySetupError {
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

// === impl ReloadableState ===

impl ReloadableState {
    /// Creates the policy, keys and integrations of a configuration.
    pub fn new(
        policy: Arc<Policy>,
        token: Option<&token::TokenSettings>,
        integrations: Vec<integration::IntegrationSettings>,
        clock: Clock,
    ) -> Result<Self, ProxySetupError> {
        Ok(Self {
            policy,
            minter: token.map(|token| Minter::new(token, clock)).transpose()?,
            integrations: Integrations::new(integrations)?,
            published: token
                .map(|token| PublishedKeys::new(&token.signing))
                .transpose()?
                .unwrap_or_default(),
            claims: token.map_or(PersonalClaims::ALL, |token| token.claims),
        })
    }
}

// === impl JitsiBackend ===

impl JitsiBackend {
    fn new(
        upstream: upstream::UpstreamSettings,
        placement: Arc<Placement>,
    ) -> Result<Self, ProxySetupError> {
        let xmpp_domain = HeaderValue::from_str(&upstream.xmpp_domain)
            .map_err(|_| ProxySetupError::XmppDomain(upstream.xmpp_domain.clone()))?;
        Ok(Self {
            upstream,
            xmpp_domain,
            placement,
        })
    }
}

// === impl SharedState ===

impl SharedState {
    /// Puts the request path together.
    pub fn new(
        settings: ProxySettings,
        rules: ReloadableState,
        control: Control,
        clock: Clock,
        random: Random,
    ) -> Result<Self, ProxySetupError> {
        let ProxySettings {
            origin,
            keyring,
            backend,
            ..
        } = settings;
        let (jitsi, jaas) = match backend {
            MeetingBackend::Jitsi {
                upstream,
                placement,
            } => (
                Some(Arc::new(JitsiBackend::new(upstream, placement)?)),
                None,
            ),
            MeetingBackend::Jaas(settings) => (None, Some(Jaas::new(&settings, clock.clone())?)),
        };
        let parties = control.relying_parties;
        let members = parties.as_ref().map(RelyingParties::scopes);
        let members = members.unwrap_or_default();
        let authenticator = Arc::new(Authenticator {
            sessions: SessionCodec::new(&keyring, &origin, settings.session, clock.clone())
                .for_members(members),
            passes: PassCookies::new(&keyring, &origin, clock.clone()),
            revocations: control.revocations,
            revalidations: control.revalidations,
            origin: origin.clone(),
        });
        let authorizer = Arc::new(Authorizer {
            owners: OwnerTags::new(keyring.tagger(Purpose::Owner)),
            presence: control.presence,
            clock: clock.clone(),
        });
        let passes = PassIssuer {
            lifetime: settings.guests.lifetime,
            clock: clock.clone(),
            random: random.clone(),
        };
        let client_tokens = ClientTokens::new(&keyring, &origin, clock.clone(), random.clone());
        let client_tokens = Arc::new(client_tokens);
        let store = StoreClient::new(control.store, control.runtime.clone());
        let invitations = Arc::new(Invitations {
            links: InvitationLinks::new(&keyring, &origin),
            revocations: Arc::clone(&authenticator.revocations),
            store: store.clone(),
            origin: origin.clone(),
            clock: clock.clone(),
        });
        let sign_ins = parties.map(|parties| SignInFlow {
            parties,
            cookies: SignInCookies::new(&keyring, &origin, clock.clone()),
            hints: keyring.sealer(Purpose::LogoutHint, &origin),
            redeemed: RedeemedStates::default(),
            logout_tokens: AcceptedLogoutTokens::new(store.clone()),
            provider_sessions: ProviderSessions::new(store.clone(), settings.session.absolute),
            runtime: control.runtime,
            clock: clock.clone(),
            random: random.clone(),
        });
        let signs_in = sign_ins.is_some();
        let overrides = overrides(&settings.guests, signs_in);
        let locations = SiteLocations::new(settings.locations);
        Ok(Self {
            authority: SiteAuthority::new(settings.authority),
            trusted_proxies: settings.trusted_proxies,
            rules: ArcSwap::from_pointee(rules),
            tokens: TokenExchange {
                client_tokens: Arc::clone(&client_tokens),
                authenticator: Arc::clone(&authenticator),
                passes: passes.clone(),
                store: store.clone(),
                clock: clock.clone(),
            },
            authenticator,
            passes,
            sign_ins,
            limits: settings.limits,
            stream_counts: StreamCounts::new(settings.limits),
            stream_directory: control.streams,
            bosh_streams: BoshStreams::default(),
            bosh_ids: BoshSessionIds::new(keyring.tagger(Purpose::BoshSession)),
            resumption_ids: Arc::new(ResumptionIds::new(keyring.tagger(Purpose::Resumption))),
            api: IntegrationApi {
                authorizer: Arc::clone(&authorizer),
                invitations: Arc::clone(&invitations),
                answers: IdempotentAnswers {
                    sealer: keyring.sealer(Purpose::ApiAnswer, &origin),
                    store,
                },
                origin: origin.clone(),
                random: random.clone(),
                locations: locations.clone(),
            },
            meetings: Meetings {
                authorizer: Arc::clone(&authorizer),
                invitations: Arc::clone(&invitations),
                link_lifetime: settings.guests.link_lifetime,
                host_link_lifetime: settings.guests.host_link_lifetime,
                clock: clock.clone(),
                random: random.clone(),
            },
            authorizer,
            invitations,
            client_tokens,
            recorders: settings.recorders,
            region: settings.region,
            embedding_sites: EmbeddingSites::new(settings.embedding_sites),
            start: settings.start,
            locations,
            jaas,
            injector: Injector::new(&origin, &overrides),
            injector_without_jicofo: Injector::new(&origin, &without_jicofo(overrides.clone())),
            guests: settings.guests,
            apps: settings.apps,
            pages: settings.pages,
            jitsi,
            asset_cache: control.asset_cache,
            challenges: control.challenges,
            audit_quota: AuditQuota::new(clock.clone()),
            proxy_warnings: ProxyWarnings::new(clock.clone()),
            clock,
            random,
            access_log: settings.access_log,
            traces: settings.traces,
        })
    }

    /// The rules as they are now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.load().policy)
    }

    /// The address whose limits a request counts against; none behind a proxy that does not name its clients,
    /// which all have its address.
    pub(crate) fn limited_client(&self, client: &ClientAddr) -> Option<IpAddr> {
        let address = client.known()?;
        (!self.trusted_proxies.contains(address)).then_some(address)
    }

    /// Whether a request comes from a recorder's address. A proxy is no recorder for a client that it
    /// does not name, although both may be of one network.
    pub(crate) fn is_recorder(&self, context: &RequestContext) -> bool {
        let address = context.client.known();
        address.is_some_and(|address| self.recorders.networks.contains(address))
    }

    /// The region of the sender of a request.
    pub(crate) fn region_of(
        &self,
        context: &RequestContext,
        headers: &HeaderMap,
        sender: &Principal,
    ) -> Option<HeaderValue> {
        let claimed = sender.identity().region.as_deref();
        self.region.of(headers, context.proxy.is_some(), claimed)
    }

    /// Swaps rules and keys; requests under way finish with the old ones.
    pub fn replace_rules(&self, rules: ReloadableState) {
        self.rules.store(Arc::new(rules));
    }
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedState")
            .field("origin", &self.authenticator.origin)
            .finish_non_exhaustive()
    }
}

/// What the configuration asks of Jitsi's: its page has to know where those go who have no token,
/// and offers to sign in where sign-in is possible.
fn overrides(guests: &GuestSettings, signs_in: bool) -> serde_json::Map<String, serde_json::Value> {
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

/// The client would give up if its conference request over HTTP failed; without an address it asks
/// over XMPP.
fn without_jicofo(
    mut overrides: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    let url = "conferenceRequestUrl".to_owned();
    overrides.insert(url, serde_json::Value::Null);
    overrides
}
