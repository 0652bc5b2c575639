//! One thread's share of the gateway.

use std::{cell::Cell, sync::Arc};

use cluster::placement::Move;
use model::{
    headers::ClientAddr,
    policy::{Admission, Role},
    room::RoomKey,
    session::Principal,
};
use observe::metrics::WorkerMetrics;
use pages::inject::Injector;

use crate::{
    DrainSchedule, ReloadableState, SharedState,
    authenticate::OpenedSessions,
    authorize,
    connections::{AdmissionScope, CloseReason, ConnectionRegistry},
    credentials::Intent,
    endpoints::events::Listeners,
    instrumentation::LimitWarnings,
    limits::{ByteBudget, ClientPlace, ClientShares, RequestRates},
    locations::LocationPools,
    request_context::{ContextError, RequestId},
    respond::SessionRenewal,
    shard_upstreams::ShardPools,
    state::JitsiBackend,
};

/// The state of one thread.
#[derive(Debug)]
pub struct Worker {
    pub(crate) state: Arc<SharedState>,
    /// Connections to the servers behind the gateway.
    pub(crate) upstreams: ShardPools,
    /// Connections to the servers of locations.
    pub(crate) location_pools: LocationPools,
    pub(crate) connections: ConnectionRegistry,
    pub(crate) listeners: Listeners,
    pub(crate) opened_sessions: OpenedSessions,
    pub(crate) bosh_bodies: ByteBudget,
    /// Of WebSockets to Prosody.
    pub(crate) incomplete_messages: ByteBudget,
    pub(crate) rates: RequestRates,
    pub(crate) limit_warnings: LimitWarnings,
    pub(crate) web_shares: ClientShares,
    pub(crate) renewal: SessionRenewal,
    pub(crate) metrics: Arc<WorkerMetrics>,
    name: u32,
    requests: Cell<u64>,
    /// The gateway stops.
    pub(crate) draining: Cell<bool>,
}

// === impl Worker ===

impl Worker {
    /// A worker on the current thread.
    pub fn new(state: Arc<SharedState>, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            upstreams: ShardPools::new(
                state.jitsi.clone(),
                state.limits.upstream_connections,
                Arc::clone(&metrics),
            ),
            location_pools: LocationPools::default(),
            connections: ConnectionRegistry::new(Arc::clone(&state.authenticator.revalidations)),
            listeners: Listeners::default(),
            opened_sessions: OpenedSessions::default(),
            bosh_bodies: ByteBudget::default(),
            incomplete_messages: ByteBudget::default(),
            rates: state.limits.request_rates(),
            limit_warnings: LimitWarnings::new(state.clock.clone()),
            web_shares: ClientShares::of(state.limits.upstream_connections),
            renewal: SessionRenewal {
                authenticator: Arc::clone(&state.authenticator),
                metrics: Arc::clone(&metrics),
            },
            name: u32::from_be_bytes(state.random.bytes()),
            requests: Cell::new(0),
            draining: Cell::new(false),
            metrics,
            state,
        }
    }

    /// Takes a connection of the client's share of those to web servers; none for a proxy that does not name its
    /// clients.
    pub(crate) async fn take_web_share(
        &self,
        client: &ClientAddr,
    ) -> Result<Option<ClientPlace>, ContextError> {
        let Some(client) = self.state.limited_client(client) else {
            return Ok(None);
        };
        let place = self.web_shares.take(client).await;
        place.map(Some).ok_or(ContextError::ShareTaken)
    }

    /// Ends the connections of revoked principals.
    pub fn end_revoked(&self) {
        self.connections
            .end_revoked(&self.state.authenticator.revocations);
    }

    /// Ends the connections that reloaded rules no longer admit.
    pub fn reevaluate_admissions(&self) {
        self.connections.end_admitted(|principal, scope| {
            let changed = self.state.authenticator.revalidations.changed(principal);
            let keeps = self.may_keep(changed.as_ref().unwrap_or(principal), scope);
            (!keeps).then_some(CloseReason::Refused)
        });
    }

    /// Ends the connections of members whose current claims do not admit them, or do not make them
    /// moderators any more. A role that was added applies when the client joins anew.
    pub fn reevaluate_members(&self) {
        self.connections.end_admitted(|principal, scope| {
            let changed = self.state.authenticator.revalidations.changed(principal)?;
            if !self.may_keep(&changed, scope) {
                return Some(CloseReason::Refused);
            }
            let AdmissionScope::Room(room) = scope else {
                return None;
            };
            let is_moderator = |principal| self.role_in(room, principal) == Some(Role::Moderator);
            (is_moderator(principal) && !is_moderator(&changed)).then_some(CloseReason::Demoted)
        });
    }

    /// Ends the connections that a move affects.
    pub fn end_moved(&self, moved: &Move) {
        self.connections
            .end_moved(|room_shard| room_shard.is_left(moved));
    }

    /// The same after lost notifications: checks every connection.
    pub fn end_all_moved(&self) {
        if let Some(jitsi) = &self.state.jitsi {
            self.connections
                .end_moved(|room_shard| room_shard.is_stale(&jitsi.placement));
        }
    }

    /// Asks HTTP/1.1 clients to reconnect, to another replica.
    pub fn start_draining(&self) {
        self.draining.set(true);
    }

    /// Ends the WebSockets because the gateway stops.
    pub async fn end_sockets(&self, spread: DrainSchedule) {
        self.connections
            .end_sockets(spread, &self.state.random)
            .await;
    }

    /// The Jitsi behind the gateway; with JaaS its paths do not exist.
    pub(crate) fn jitsi(&self) -> Result<&JitsiBackend, ContextError> {
        self.state.jitsi.as_deref().ok_or(ContextError::NotFound)
    }

    /// What goes into Jitsi's page and `config.js`. A reload may add Jicofo, or take it away.
    pub(crate) fn injector(&self) -> &Injector {
        if self.upstreams.has_jicofo() {
            &self.state.injector
        } else {
            &self.state.injector_without_jicofo
        }
    }

    pub(crate) fn next_id(&self) -> RequestId {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        RequestId {
            worker: self.name,
            number,
        }
    }

    /// The rules in force; one request sees one state of them.
    pub(crate) fn rules(&self) -> Arc<ReloadableState> {
        self.state.rules.load_full()
    }

    /// Whether the policy in force keeps a connection.
    pub(crate) fn may_keep(&self, principal: &Principal, scope: &AdmissionScope) -> bool {
        let is_valid = |rules: &ReloadableState| {
            let authenticator = &self.state.authenticator;
            authenticator.is_valid(principal, &rules.integrations)
        };
        match scope {
            AdmissionScope::Room(room) => self.may_stay(principal, room),
            AdmissionScope::SomeRoom => {
                let rules = self.rules();
                is_valid(&rules) && authorize::admits_somewhere(&rules.policy, principal)
            }
            AdmissionScope::Account => is_valid(&self.rules()),
        }
    }

    /// Whether the policy in force keeps a connected principal in a room.
    pub(crate) fn may_stay(&self, principal: &Principal, room: &RoomKey) -> bool {
        let (state, rules) = (&self.state, self.rules());
        state.authenticator.is_valid(principal, &rules.integrations)
            && self.role_in(room, principal).is_some()
    }

    /// The role of a connected principal by the policy in force; `None` if it refuses.
    fn role_in(&self, room: &RoomKey, principal: &Principal) -> Option<Role> {
        let (authorizer, rules) = (&self.state.authorizer, self.rules());
        let intent = Intent::Poll;
        match authorizer.evaluate(&rules.policy, room, Some(principal), intent) {
            Admission::Admit(grant) => Some(grant.role()),
            _ => None,
        }
    }
}
