//! Admission of a BOSH request or WebSocket handshake to Prosody, in one order for both:
//!
//! 1. credentials: cookies of a page of this site, else the token of the query;
//! 2. policy: may this principal enter, resume or stay?
//! 3. upstream: the shard that has the room, or the BOSH stream;
//! 4. registry: from here on a revocation, a moved room and a stop find the connection;
//! 5. recheck: revocations and rules may have changed while 1 to 3 waited;
//! 6. backend token, for connections that are new to Prosody.
//!
//! That the connection exists is recorded later, when Prosody has answered ([`record_entry`]).

use std::{rc::Rc, sync::Arc};

use http::HeaderMap;
use model::{
    clock::Timestamp,
    integration::Integrations,
    negotiation::{RoomScope, StreamPolicy},
    policy::{Admission, Policy},
    query::SignallingQuery,
    room::RoomKey,
    route::Transport,
    session::{Principal, Visitor},
    token::BackendToken,
};

use observe::metrics::EntryRole;

use crate::{
    GuestSettings, ReloadableState, RequestContext, RequestError, Worker, audit,
    authorize::{AccessError, AccessRequest, Admitted, Authorizer, Privilege},
    connections::{AdmissionScope, ConnectionKind, Registration},
    credentials::{Entry, ExchangedPass, Intent, PresentedToken, TokenExchange},
    limits::{StreamCounts, StreamPermit},
    request_context::ContextError,
    shard_upstreams::ShardUpstreams,
    signalling::SignallingError,
    stream_directory::{StreamDirectory, StreamListing, StreamPerson, StreamRecord},
};

/// The sender of a signalling request, before its token is looked at.
pub(super) struct Claimant<'r, 'p> {
    pub(super) query: &'r SignallingQuery,
    pub(super) headers: &'r HeaderMap,
    pub(super) context: &'r RequestContext,
    visitor: Visitor,
    /// It comes from a recorder's address.
    recorder: bool,
    /// The policy's answer for [`Intent::Poll`], if it was asked early.
    staying: Option<Admitted<'p>>,
    entry: Entry,
}

/// A request that may go to Prosody, with what its connection needs.
pub(super) struct AdmittedConnection<'p> {
    pub(super) admitted: Admitted<'p>,
    pub(super) upstreams: Rc<ShardUpstreams>,
    pub(super) registration: Registration,
    /// None for polls, recorders, and guests on Prosody's guest domain.
    pub(super) token: Option<BackendToken>,
    /// Whether the connection may begin a stream.
    pub(super) entry: Entry,
    /// None for polls, whose stream is counted already, and for recorders.
    pub(super) permit: Option<StreamPermit>,
}

// === impl Claimant ===

impl<'r, 'p> Claimant<'r, 'p> {
    /// Reads the cookies.
    pub(super) fn identify(
        worker: &Worker,
        rules: &ReloadableState,
        query: &'r SignallingQuery,
        headers: &'r HeaderMap,
        context: &'r RequestContext,
    ) -> Result<Self, RequestError> {
        let authenticator = &worker.state.authenticator;
        let visitor = authenticator
            .signalling_visitor(
                &worker.opened_sessions,
                headers,
                &query.room,
                &rules.integrations,
            )
            .map_err(|_| AccessError::ForeignSender)?;
        Ok(Self {
            query,
            headers,
            context,
            visitor,
            recorder: worker.state.is_recorder(context),
            staying: None,
            entry: Entry::Any,
        })
    }

    /// Refuses a sender who may not even stay in the room, before the body is read. What a body asks
    /// for, to enter or to stay, only the body says. A token is verified, and is not used yet.
    pub(super) async fn refuse_early(
        &mut self,
        worker: &Worker,
        rules: &'p ReloadableState,
    ) -> Result<(), RequestError> {
        if self.recorder {
            return Ok(());
        }
        let tokens = &worker.state.tokens;
        let exchanged = self
            .exchange(tokens, &rules.integrations, Intent::Poll)
            .await?;
        let by_token =
            exchanged.map(|exchanged| Visitor::from(Some(Principal::Pass(exchanged.pass))));
        let visitor = by_token.as_ref().unwrap_or(&self.visitor);
        self.staying = Some(self.authorize_as(worker, rules, visitor, Intent::Poll)?);
        Ok(())
    }

    /// What the token of the query stands for; none if the cookies say who it is.
    async fn exchange(
        &self,
        tokens: &TokenExchange,
        integrations: &Integrations,
        intent: Intent,
    ) -> Result<Option<ExchangedPass>, RequestError> {
        let (Visitor::Anonymous, Some(token)) = (&self.visitor, &self.query.token) else {
            return Ok(None);
        };
        let presented = PresentedToken {
            token,
            room: &self.query.room,
            intent,
            headers: self.headers,
            context: self.context,
        };
        tokens.pass(&presented, integrations).await
    }

    async fn authorize(
        &mut self,
        worker: &Worker,
        rules: &'p ReloadableState,
        intent: Intent,
    ) -> Result<Admitted<'p>, RequestError> {
        if self.recorder {
            let guest = worker
                .state
                .passes
                .guest(&self.query.room, Some("recorder".to_owned()));
            return Ok(Admitted {
                principal: Rc::new(Principal::Pass(guest)),
                privilege: Privilege::Recorder,
            });
        }
        if intent == Intent::Poll
            && let Some(staying) = self.staying.take()
        {
            return Ok(staying);
        }
        let tokens = &worker.state.tokens;
        let exchanged = self.exchange(tokens, &rules.integrations, intent).await?;
        if let Some(exchanged) = exchanged {
            self.entry = exchanged.entry;
            self.visitor = Some(Principal::Pass(exchanged.pass)).into();
        }
        if intent == Intent::Resume && self.may_only_stay(&worker.state.authorizer, &rules.policy) {
            self.entry = Entry::ResumptionOnly;
            return self.authorize_as(worker, rules, &self.visitor, Intent::Poll);
        }
        self.authorize_as(worker, rules, &self.visitor, intent)
    }

    /// Authorizes a request beside a stream, of a person who may enter the room or is in it.
    pub(super) async fn authorize_beside_stream(
        &mut self,
        worker: &Worker,
        rules: &'p ReloadableState,
    ) -> Result<Admitted<'p>, RequestError> {
        let refused = match self.authorize(worker, rules, Intent::Connect).await {
            Ok(admitted) => return Ok(admitted),
            Err(refused) => refused,
        };
        let presence = &worker.state.authorizer.presence;
        let principal = self.visitor.principal();
        if principal.is_some_and(|principal| presence.is_present(&self.query.room, principal.id()))
        {
            return self.authorize_as(worker, rules, &self.visitor, Intent::Poll);
        }
        Err(refused)
    }

    /// Whether the policy lets the person stay who could not enter now: the host has not come back
    /// after a restart, the room is full by now, its time to enter is over.
    fn may_only_stay(&self, authorizer: &Authorizer, policy: &Policy) -> bool {
        let principal = self.visitor.principal().map(|principal| &**principal);
        let admits = |intent| {
            let admission = authorizer.evaluate(policy, &self.query.room, principal, intent);
            matches!(admission, Admission::Admit(_) | Admission::Guest { .. })
        };
        !admits(Intent::Resume) && admits(Intent::Poll)
    }

    /// Authorizes the request as one of this visitor.
    fn authorize_as(
        &self,
        worker: &Worker,
        rules: &'p ReloadableState,
        visitor: &Visitor,
        intent: Intent,
    ) -> Result<Admitted<'p>, RequestError> {
        let request = AccessRequest {
            room: &self.query.room,
            visitor,
            intent,
            context: self.context,
        };
        let (state, metrics) = (&worker.state, &worker.metrics);
        let authorizer = &state.authorizer;
        Ok(authorizer.authorize_connection(&rules.policy, request, &state.passes, metrics)?)
    }
}

/// Admits a request; `locate` finds its upstream, and may refine the principal (the id of a BOSH
/// stream is known only to its owner).
pub(super) async fn admit<'p>(
    worker: &Worker,
    rules: &'p Arc<ReloadableState>,
    mut claimant: Claimant<'_, 'p>,
    (intent, kind): (Intent, ConnectionKind),
    locate: impl AsyncFnOnce(&mut Admitted<'p>) -> Result<Rc<ShardUpstreams>, RequestError>,
) -> Result<AdmittedConnection<'p>, RequestError> {
    let room = &claimant.query.room;
    let mut admitted = claimant.authorize(worker, rules, intent).await?;
    let upstreams = locate(&mut admitted).await?;
    let permit = match (intent, admitted.grant()) {
        (Intent::Connect | Intent::Resume, Some(_)) => Some(count_stream(
            &worker.state.stream_counts,
            &admitted,
            claimant.context,
        )?),
        _ => None,
    };
    let principal = &admitted.principal;
    let registration =
        worker
            .connections
            .register(Rc::clone(principal), kind, upstreams.room_shard(room));
    if worker.state.authenticator.revocations.contains(principal) {
        return Err(AccessError::SignInFirst.into());
    }
    if admitted.grant().is_some() {
        registration.admitted_to(AdmissionScope::Room(room.clone()));
        let replaced = !Arc::ptr_eq(rules, &worker.rules());
        if replaced && !worker.may_stay(principal, room) {
            return Err(AccessError::SignInFirst.into());
        }
    }
    let token = match intent {
        Intent::Poll => None,
        Intent::Page | Intent::Connect | Intent::Resume => {
            mint(&worker.state.guests, rules, room, &admitted)?
        }
    };
    Ok(AdmittedConnection {
        admitted,
        upstreams,
        registration,
        token,
        entry: claimant.entry,
        permit,
    })
}

/// Counts a stream that begins.
fn count_stream(
    counts: &Arc<StreamCounts>,
    admitted: &Admitted<'_>,
    context: &RequestContext,
) -> Result<StreamPermit, SignallingError> {
    let permit = counts.admit(admitted.principal.id(), context.client.ip());
    permit.ok_or(SignallingError::TooManyStreams)
}

/// The XMPP domain of an admission, and how its client authenticates there. The query's
/// parameters are those that Prosody gets: they name a visitors' node only if the client is sent to one.
pub(super) fn stream_policy(
    worker: &Worker,
    admitted: &Admitted<'_>,
    SignallingQuery {
        room,
        forwarded: parameters,
        ..
    }: &SignallingQuery,
) -> Result<StreamPolicy, RequestError> {
    let Some(grant) = admitted.grant() else {
        let domains = Arc::clone(&worker.state.recorders.domains);
        return Ok(StreamPolicy::Recorder { domains });
    };
    if let Some(node) = parameters.visitor_node() {
        let node = node.to_owned();
        return Ok(StreamPolicy::VisitorNode { node });
    }
    let main = &worker.jitsi()?.upstream.xmpp_domain;
    let guests = &worker.state.guests;
    let tokenless = guests.is_tokenless(&admitted.principal, grant.role());
    Ok(match guests.xmpp_domain.as_deref().filter(|_| tokenless) {
        Some(domain) => StreamPolicy::tokenless(domain, RoomScope::new(room, main)),
        None => StreamPolicy::anonymous(main),
    })
}

/// The token for a new connection; none for recorders and guests on Prosody's guest domain.
pub(super) fn mint(
    guests: &GuestSettings,
    rules: &ReloadableState,
    room: &RoomKey,
    admitted: &Admitted<'_>,
) -> Result<Option<BackendToken>, RequestError> {
    let principal = &admitted.principal;
    match admitted.grant() {
        Some(grant) if !guests.is_tokenless(principal, grant.role()) => {
            let minter = rules.minter.as_ref().ok_or(ContextError::NotFound)?;
            let token = minter.mint(room, grant, principal.identity());
            Ok(Some(token.map_err(SignallingError::from)?))
        }
        _ => Ok(None),
    }
}

/// Counts and audits a connection that Prosody accepted, and lists it as long as the listing lives.
pub(super) fn record_entry(
    worker: &Worker,
    admitted: &Admitted<'_>,
    room: &RoomKey,
    transport: Transport,
    context: &RequestContext,
) -> StreamListing {
    let role = entry_role(admitted);
    worker.metrics.count_entry(transport, role);
    audit::admitted(admitted, role.as_str(), room, transport, context);
    let now = worker.state.clock.now();
    let directory = &worker.state.stream_directory;
    list(directory, admitted, room, (transport, now), context)
}

/// Lists a stream that has been open since a time, here or at another replica.
pub(super) fn list(
    directory: &Arc<StreamDirectory>,
    admitted: &Admitted<'_>,
    room: &RoomKey,
    (transport, since): (Transport, Timestamp),
    context: &RequestContext,
) -> StreamListing {
    let record = StreamRecord {
        room: room.clone(),
        role: entry_role(admitted),
        transport,
        client: context.client.ip(),
        since,
        person: StreamPerson::of(&admitted.principal),
    };
    directory.list(record, context)
}

fn entry_role(admitted: &Admitted<'_>) -> EntryRole {
    let grant = admitted.grant();
    grant.map_or(EntryRole::Recorder, |grant| grant.role().into())
}
