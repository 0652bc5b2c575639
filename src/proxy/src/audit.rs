//! Access and audit lines: admission, refusal, sign-in, revocation, API calls; `docs/logs.md`.
//!
//! `provider` is the id of one of several providers; lines of a deployment with one have no such field.
//!
//! No line has a query, cookie, header or token. Names of rooms and people are fields, which the
//! subscriber escapes.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tracing::{debug, info, warn};

use crate::{
    RequestContext, RequestError,
    authorize::Admitted,
    request_context::RequestId,
    stream_directory::{Departure, StreamRecord},
};
use cluster::revocation::Selector;
use model::{
    identity::Identity,
    integration::{Caller, Evidence},
    invitation::InvitationLink,
    room::RoomKey,
    route::{Label, Transport},
    session::{Pass, Principal, Session, SessionId},
};
use observe::metrics::{ApiOperation, ApiOutcome, CacheOutcome, CutReason};
use oidc::SessionEnd;

/// The access line of a request, written with its response.
#[derive(Debug)]
pub(crate) struct AccessLine {
    method: Method,
    path: String,
    client: String,
    id: String,
}

// === impl AccessLine ===

impl AccessLine {
    pub(crate) fn of<B>(request: &Request<B>, context: &RequestContext) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client: context.client.to_string(),
            id: context.id.to_string(),
        }
    }

    pub(crate) fn write(
        self,
        route: Label,
        status: StatusCode,
        cache: Option<CacheOutcome>,
        took: Duration,
    ) {
        info!(
            target: "access",
            method = self.method.as_str(),
            path = self.path,
            route = route.as_str(),
            status = status.as_u16(),
            cache = cache.map(CacheOutcome::as_str),
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            client.addr = self.client,
            request = self.id,
        );
    }
}

/// A visitor was admitted: a backend token was minted for one connection.
pub(crate) fn admitted(
    admitted: &Admitted<'_>,
    role: &'static str,
    room: &RoomKey,
    transport: Transport,
    context: &RequestContext,
) {
    let principal = &admitted.principal;
    let grant = admitted.grant();
    info!(
        target: "audit",
        event = "admitted",
        room = %room,
        role,
        by = grant.map(tracing::field::display),
        standing = principal.standing().as_str(),
        subject = principal.identity().subject,
        session = principal.id().as_str(),
        transport = transport.as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A link was used.
pub(crate) fn invited(
    pass: &Pass,
    room: &RoomKey,
    link: &InvitationLink,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "invited",
        room = %room,
        link = link.id,
        host = link.host,
        by = link.by,
        subject = pass.identity().subject,
        session = pass.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// An integration's token was verified.
pub(crate) fn token_accepted(
    pass: &Pass,
    room: &RoomKey,
    integration: &str,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "token_accepted",
        room = %room,
        integration,
        subject = pass.identity().subject,
        session = pass.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A handoff token was issued, to continue in a native app.
pub(crate) fn handed_over(principal: &Principal, room: &RoomKey, context: &RequestContext) {
    info!(
        target: "audit",
        event = "handed_over",
        room = %room,
        subject = principal.identity().subject,
        session = principal.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// The policy refused a visitor with a session.
pub(crate) fn refused(
    principal: &Principal,
    room: &RoomKey,
    reason: &dyn std::error::Error,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "refused",
        room = %room,
        reason = %reason,
        subject = principal.identity().subject,
        session = principal.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A BOSH session that began at another replica goes on here, or one whose request broke off.
pub(crate) fn continued(stream: &StreamRecord, context: &RequestContext) {
    info!(
        target: "audit",
        event = "continued",
        room = %stream.room,
        role = stream.role.as_str(),
        standing = stream.person.standing,
        subject = stream.person.subject,
        session = stream.person.session.as_str(),
        transport = stream.transport.as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A WebSocket or BOSH session ended by itself.
pub(crate) fn left(stream: &StreamRecord, how: Departure, request: RequestId) {
    info!(
        target: "audit",
        event = "left",
        how = how.as_str(),
        room = %stream.room,
        transport = stream.transport.as_str(),
        subject = stream.person.subject,
        session = stream.person.session.as_str(),
        request = %request,
    );
}

/// The gateway closed a WebSocket or BOSH session.
pub(crate) fn cut(stream: &StreamRecord, reason: CutReason, request: RequestId) {
    info!(
        target: "audit",
        event = "cut",
        reason = reason.as_str(),
        room = %stream.room,
        transport = stream.transport.as_str(),
        subject = stream.person.subject,
        session = stream.person.session.as_str(),
        request = %request,
    );
}

/// A sign-in completed.
pub(crate) fn signed_in(session: &Session, provider: Option<&str>, context: &RequestContext) {
    info!(
        target: "audit",
        event = "signed_in",
        provider,
        subject = session.identity().subject,
        session = session.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A user signed out, in one browser or everywhere.
pub(crate) fn signed_out(
    session: &Session,
    everywhere: bool,
    provider: Option<&str>,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "signed_out",
        everywhere,
        provider,
        subject = session.identity().subject,
        session = session.id().as_str(),
        request = %context.id,
    );
}

/// The provider ended sessions by a back-channel logout.
pub(crate) fn logged_out_by_provider(
    selector: &Selector,
    provider: Option<&str>,
    context: &RequestContext,
) {
    let (by, id) = match selector {
        Selector::Session(session) => ("session", session.id().as_str()),
        Selector::Invalidated(id) => ("session", id.as_str()),
        Selector::ProviderSession { sid, .. } => ("provider_session", &**sid),
        Selector::ProviderSubject(id) | Selector::SubjectWithoutSession(id) => {
            ("provider_subject", &**id)
        }
        Selector::Link(id) => ("link", &**id),
        Selector::Person(id) => ("person", &**id),
        Selector::Operator(id) => ("operator", &**id),
    };
    info!(
        target: "audit",
        event = "backchannel_logout",
        provider,
        by,
        id,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A frame of the provider's logout page ended the sessions from one of the provider's.
pub(crate) fn logged_out_by_frame(sid: &str, provider: Option<&str>, context: &RequestContext) {
    info!(
        target: "audit",
        event = "frontchannel_logout",
        provider,
        by = "provider_session",
        id = sid,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// The provider no longer confirms a session.
pub(crate) fn session_ended_by_provider(
    id: &SessionId,
    reason: SessionEnd,
    provider: Option<&str>,
) {
    info!(
        target: "audit",
        event = "revalidation_refused",
        provider,
        reason = reason.as_str(),
        session = id.as_str(),
    );
}

/// The provider confirmed a session with other claims than before.
pub(crate) fn identity_changed(id: &SessionId, identity: &Identity, provider: Option<&str>) {
    info!(
        target: "audit",
        event = "identity_changed",
        provider,
        subject = identity.subject,
        session = id.as_str(),
    );
}

/// An operator revoked sessions or a link.
pub(crate) fn operator_revoked(by: &'static str, id: &str) {
    info!(
        target: "audit",
        event = "operator_revoked",
        by,
        id,
    );
}

/// A request to the API was carried out.
pub(crate) fn called(
    operation: ApiOperation,
    about: &str,
    caller: &Caller<'_>,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "api",
        call = operation.as_str(),
        about,
        integration = caller.integration.id(),
        key = caller.key,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// The API refused a key, or an integration's access to a foreign room or link. `suppressed` lines
/// of such refusals were not written before this one.
pub(crate) fn api_refused(
    outcome: ApiOutcome,
    operation: ApiOperation,
    caller: Option<&Caller<'_>>,
    suppressed: u64,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "api_refused",
        reason = outcome.as_str(),
        call = operation.as_str(),
        integration = caller.map(|caller| caller.integration.id()),
        key = caller.map(|caller| caller.key),
        suppressed,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A request failed. Faults of the gateway and its upstreams are warnings; a refused token of an
/// integration or app is audited as far as `permit_line` permits; clients' faults are debug, and so
/// is an unavailable provider, whose own log line and metric tell once what each request would tell.
pub(crate) fn failed(
    failure: &RequestError,
    route: Label,
    context: &RequestContext,
    permit_line: impl FnOnce() -> Option<u64>,
) {
    let route = route.as_str();
    if let Some(reason) = failure.token_reason() {
        if let Some(suppressed) = permit_line() {
            let nothing = Evidence::default();
            let evidence = failure.token_evidence().unwrap_or(&nothing);
            info!(
                target: "audit",
                event = "token_refused",
                reason,
                error = %failure,
                integration = evidence.integration,
                room = Some(evidence.room.as_str()).filter(|room| !room.is_empty()),
                claim = evidence.claim,
                found = evidence.found,
                allowed = evidence.allowed,
                route,
                suppressed,
                client.addr = %context.client,
                request = %context.id,
            );
        }
    } else if failure.is_warning() {
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        warn!(error = %failure, cause, route, request = %context.id, "request failed");
    } else {
        debug!(error = %failure, route, client.addr = %context.client, request = %context.id, "request refused");
    }
}
