//! The services of the control plane: state and tasks that all workers share.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{StartError, handle::GatewayHandle, opening};
use acme::{AcmeStorage, AcmeTask};
use cluster::{
    journal::Journal,
    placement::{Placement, PlacementContext, PlacementSync},
    presence::{Presence, PresenceSync},
    replica,
    revocation::{RevocationSync, Revocations},
    store::{self, Store},
    validation::GrantVault,
};
use config::Config;
use doctor::login_probe::LoginProber;
use model::{clock::Clock, random::Random, seal::Purpose, session::RevalidationSchedule};
use observe::metrics::{
    AcmeMetrics, CertificateMetrics, ControlMetrics, JournalMetrics, Metrics, ProviderFamilies,
};
use oidc::RelyingParties;
use proxy::{
    AssetCache, AssetCompressor, Control, Notifications,
    admin::AdminServer,
    revalidation::{RevalidationContext, RevalidationTask, Revalidations},
    server::{ChallengeAnswers, ServerCertificates},
    stream_directory::StreamDirectory,
};

/// The services of the control plane.
pub(super) struct ControlPlane {
    pub(super) metrics: ControlMetrics,
    pub(super) certificates: Option<Certificates>,
    /// `None` with `[jaas]`.
    pub(super) placement: Option<Arc<Placement>>,
    /// `None` if it is disabled.
    pub(super) asset_cache: Option<Arc<AssetCache>>,
    asset_compressor: Option<AssetCompressor>,
    /// `None` without accounts.
    relying_parties: Option<RelyingParties>,
    revocations: Arc<Revocations>,
    revalidations: Arc<Revalidations>,
    /// One for each provider whose sessions are revalidated.
    revalidation_tasks: Vec<RevalidationTask>,
    presence: Arc<Presence>,
    streams: Arc<StreamDirectory>,
    store: Arc<dyn Store>,
    journal: Option<Journal>,
    replication: Replication,
}

/// The certificates, and the challenges of the authority that issues one.
pub(super) struct Certificates {
    pub(super) served: Arc<ServerCertificates>,
    pub(super) challenges: Option<Arc<ChallengeAnswers>>,
}

/// The tasks that share state with the other replicas.
struct Replication {
    revocations: RevocationSync,
    presence: PresenceSync,
    placement: Option<PlacementSync>,
}

// === impl ControlPlane ===

impl ControlPlane {
    pub(super) fn new(
        config: &Config,
        certificates: Option<Certificates>,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, StartError> {
        let mut metrics = initial_metrics(config, clock);
        metrics.certificate = certificates.as_ref().map(|_| CertificateMetrics::default());
        metrics.acme = config.acme.as_ref().map(|_| AcmeMetrics::default());
        let relying_parties = if config.oidc.is_empty() {
            None
        } else {
            let families = metrics.providers.insert(ProviderFamilies::default());
            let parties = RelyingParties::new(config.oidc.clone(), families, clock, random)?;
            Some(parties)
        };
        // A revocation has to outlive every session that it may revoke.
        let longest_session = config.session.absolute.max(config.guests.lifetime);
        let opened = match &config.journal {
            Some(directory) => {
                let of_journal = metrics.journal.insert(JournalMetrics::default());
                Some(Journal::open(directory, of_journal.clone(), clock.clone())?)
            }
            None => None,
        };
        let journal = || {
            opened
                .as_ref()
                .map(|(journal, content)| (journal.clone(), content))
        };
        let (revocations, revocation_sync) =
            Revocations::with_journal(longest_session, clock.clone(), journal());
        let (presence, presence_sync) = Presence::new(random);
        let store = store::open(
            &config.store,
            journal(),
            metrics.store.clone(),
            clock.clone(),
            random.clone(),
        )?;
        let contexts = relying_parties.iter().flat_map(RelyingParties::iter);
        let contexts = contexts.filter_map(|party| {
            let origin = config.public_url.origin();
            let sealer = config.keyring.sealer(Purpose::RefreshGrant, origin);
            Some(RevalidationContext {
                relying_party: Arc::clone(party),
                schedule: RevalidationSchedule {
                    every: party.revalidate()?,
                },
                longest_session: config.session.absolute,
                revocations: Arc::clone(&revocations),
                vault: GrantVault::new(Arc::clone(&store), sealer),
                clock: clock.clone(),
                random: random.clone(),
            })
        });
        let (revalidations, revalidation_tasks) =
            Revalidations::new(contexts.collect(), clock.clone());
        let placement = config.jitsi().map(|jitsi| {
            let context = PlacementContext {
                clock: clock.clone(),
                random: random.clone(),
                store: Arc::clone(&store),
                metrics: metrics.shards.clone(),
            };
            Placement::new(jitsi.shards.clone(), &jitsi.upstream.xmpp_domain, context)
        });
        let (placement, placement_sync) = placement.unzip();
        let asset_cache = config.cache.map(|settings| {
            let contents = metrics.cache.clone();
            AssetCache::new(settings, contents, clock.clone())
        });
        let (asset_cache, asset_compressor) = asset_cache.unzip();
        Ok(Self {
            metrics,
            certificates,
            placement,
            asset_cache,
            asset_compressor,
            relying_parties,
            revocations,
            revalidations,
            revalidation_tasks,
            presence,
            streams: Arc::default(),
            store,
            journal: opened.map(|(journal, _)| journal),
            replication: Replication {
                revocations: revocation_sync,
                presence: presence_sync,
                placement: placement_sync,
            },
        })
    }

    /// The services that requests use.
    pub(super) fn for_requests(&self) -> Control {
        Control {
            runtime: Handle::current(),
            relying_parties: self.relying_parties.clone(),
            revocations: Arc::clone(&self.revocations),
            revalidations: Arc::clone(&self.revalidations),
            presence: Arc::clone(&self.presence),
            streams: Arc::clone(&self.streams),
            store: Arc::clone(&self.store),
            asset_cache: self.asset_cache.clone(),
            challenges: self
                .certificates
                .as_ref()
                .and_then(|certificates| certificates.challenges.clone()),
        }
    }

    /// The notifications to which workers react.
    pub(super) fn notifications(&self) -> Notifications {
        Notifications {
            revoked: self.revocations.watch(),
            identities: self.revalidations.watch(),
            presence: self.presence.changes(),
            moves: self.placement.as_ref().map(|placement| placement.moves()),
        }
    }

    /// The service of the admin listener.
    pub(super) fn admin(
        &self,
        metrics: Metrics,
        config: &Config,
        handle: &GatewayHandle,
    ) -> AdminServer {
        AdminServer {
            metrics,
            control: self.metrics.clone(),
            presence: Arc::clone(&self.presence),
            streams: Arc::clone(&self.streams),
            relying_parties: self.relying_parties.clone(),
            revocations: Arc::clone(&self.revocations),
            store: Arc::clone(&self.store),
            journal: self.journal.clone(),
            probe: self.metrics.probe.clone(),
            clock: handle.clock.clone(),
            insecure_switches: config.insecure_switches.clone(),
            placement: self.placement.clone(),
            asset_cache: self.asset_cache.clone(),
            opened: handle.opened.clone(),
            draining: handle.draining.clone(),
        }
    }

    /// Spawns the tasks of all services; each ends when the gateway has stopped.
    pub(super) fn spawn(
        self,
        config: &Config,
        random: Random,
        storage: Option<AcmeStorage>,
        handle: &GatewayHandle,
    ) {
        let GatewayHandle { tasks, stopped, .. } = handle;
        let parties = self.relying_parties.iter().flat_map(RelyingParties::iter);
        let parties: Vec<_> = parties.cloned().collect();
        for party in &parties {
            tasks.spawn(Arc::clone(party).run(stopped.clone()));
        }
        if let Some(compressor) = self.asset_compressor {
            tasks.spawn(compressor.run(stopped.clone()));
        }
        for task in self.revalidation_tasks {
            let gateway = Arc::clone(&handle.gateway);
            tasks.spawn(task.run(move || gateway.policy(), stopped.clone()));
        }
        if let Some(placement) = self.replication.placement {
            tasks.spawn(placement.run(stopped.clone()));
        }
        if let (Some(every), Some(settings)) = (config.probe, &handle.probe_settings) {
            let prober = LoginProber {
                every,
                settings: settings.subscribe(),
                metrics: self.metrics.probe.clone(),
                clock: handle.clock.clone(),
                random: random.clone(),
            };
            tasks.spawn(prober.run(stopped.clone()));
        }
        if let (Some(certificates), Some(metrics)) = (self.certificates, self.metrics.certificate) {
            let (served, clock) = (certificates.served, handle.clock.clone());
            if let (Some(settings), Some(storage), Some(answers), Some(metrics)) = (
                config.acme.clone(),
                storage,
                certificates.challenges,
                self.metrics.acme,
            ) {
                let task = AcmeTask {
                    settings,
                    storage,
                    answers,
                    certificates: Arc::clone(&served),
                    metrics,
                    clock: clock.clone(),
                    random,
                };
                tasks.spawn(task.run(stopped.clone()));
            }
            tasks.spawn(served.watch_files(metrics, clock, stopped.clone()));
        }
        if let Some(journal) = self.journal {
            tasks.spawn(journal.run(stopped.clone()));
        }
        let store = self.store;
        tasks.spawn(Arc::clone(&store).run(stopped.clone()));
        let announcement = handle.announcement.subscribe();
        tasks.spawn(replica::announce(
            Arc::clone(&store),
            announcement,
            stopped.clone(),
        ));
        let Replication {
            revocations,
            presence,
            ..
        } = self.replication;
        let patience = config.store.first_operation_timeout();
        let opening = opening::open(
            opening::read_revocations(self.revocations, patience),
            opening::discover_providers(parties),
            handle.opened.clone(),
        );
        tasks.spawn(stopped.clone().run_until_cancelled_owned(opening));
        tasks.spawn(revocations.run(Arc::clone(&store), stopped.clone()));
        tasks.spawn(presence.run(store, stopped.clone()));
    }
}

fn initial_metrics(config: &Config, clock: &Clock) -> ControlMetrics {
    let metrics = ControlMetrics::default();
    metrics.config.started(clock.now().as_unix());
    metrics.config_hash.set(&config.fingerprint());
    let insecure = i64::try_from(config.insecure_switches.len()).unwrap_or(i64::MAX);
    metrics.insecure_switches.set(insecure);
    metrics
}
