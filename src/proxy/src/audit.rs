//! The lines that the request path writes: who entered what as what, what failed, what was asked.
//!
//! No line has a query, a cookie, a header or a token in it. Names of rooms and people are written
//! as fields, which the subscriber escapes.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tracing::{debug, info, warn};

use crate::{RequestContext, RequestError, authorize::Admitted, connections::CloseReason};
use cluster::revocation::Selector;
use model::{
    integration::Caller,
    invitation::InvitationLink,
    policy::Refusal,
    room::RoomKey,
    route::{Label, Transport},
    session::{Pass, Principal, Session},
};

/// One request's line, written when it is answered.
#[derive(Debug)]
pub(crate) struct AccessLine {
    method: Method,
    path: String,
    client: String,
    id: String,
}

/// Whose visit to which room a line is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'w> {
    pub(crate) principal: &'w Principal,
    pub(crate) room: &'w RoomKey,
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

    pub(crate) fn write(self, route: Label, status: StatusCode, took: Duration) {
        info!(
            target: "access",
            method = self.method.as_str(),
            path = self.path,
            route = route.as_str(),
            status = status.as_u16(),
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            client.addr = self.client,
            request = self.id,
        );
    }
}

/// Somebody was let into a room: a token was minted for one connection.
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

/// Somebody used a link.
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

/// Another system's token vouched for somebody.
pub(crate) fn vouched(pass: &Pass, room: &RoomKey, integration: &str, context: &RequestContext) {
    info!(
        target: "audit",
        event = "vouched",
        room = %room,
        integration,
        subject = pass.identity().subject,
        session = pass.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// Somebody went on from the browser into an app.
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

/// Somebody was not let in.
pub(crate) fn refused(
    principal: &Principal,
    room: &RoomKey,
    refusal: Refusal,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "refused",
        room = %room,
        reason = %refusal,
        subject = principal.identity().subject,
        session = principal.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// Somebody's WebSocket or BOSH session ended by itself: `closed` by either side, `broken` off, or
/// `vanished`, so that Prosody gave it up.
pub(crate) fn left(
    who: &Who<'_>,
    transport: Transport,
    how: &'static str,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "left",
        how,
        room = %who.room,
        transport = transport.as_str(),
        subject = who.principal.identity().subject,
        session = who.principal.id().as_str(),
        request = %context.id,
    );
}

/// The gateway ended somebody's WebSocket or BOSH session.
pub(crate) fn cut(who: &Who<'_>, transport: Transport, end: CloseReason, context: &RequestContext) {
    info!(
        target: "audit",
        event = "cut",
        reason = end.as_str(),
        room = %who.room,
        transport = transport.as_str(),
        subject = who.principal.identity().subject,
        session = who.principal.id().as_str(),
        request = %context.id,
    );
}

/// A sign-in ended.
pub(crate) fn signed_in(session: &Session, context: &RequestContext) {
    info!(
        target: "audit",
        event = "signed_in",
        subject = session.identity().subject,
        session = session.id().as_str(),
        client.addr = %context.client,
        request = %context.id,
    );
}

/// Somebody signed out.
pub(crate) fn signed_out(session: &Session, context: &RequestContext) {
    info!(
        target: "audit",
        event = "signed_out",
        subject = session.identity().subject,
        session = session.id().as_str(),
        request = %context.id,
    );
}

/// The provider ended sessions.
pub(crate) fn logged_out_by_provider(selector: &Selector, context: &RequestContext) {
    let (by, id) = match selector {
        Selector::Session(id) => ("session", id.as_str()),
        Selector::ProviderSession(id) => ("provider_session", &**id),
        Selector::ProviderSubject(id) => ("provider_subject", &**id),
        Selector::Link(id) => ("link", &**id),
        Selector::Operator(id) => ("operator", &**id),
    };
    info!(
        target: "audit",
        event = "backchannel_logout",
        by,
        id,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// An operator put somebody out, or made a link worthless.
pub(crate) fn operator_revoked(by: &'static str, id: &str) {
    info!(
        target: "audit",
        event = "operator_revoked",
        by,
        id,
    );
}

/// Another system used the API.
pub(crate) fn called(
    call: &'static str,
    about: &str,
    caller: &Caller<'_>,
    context: &RequestContext,
) {
    info!(
        target: "audit",
        event = "api",
        call,
        about,
        integration = caller.integration.id(),
        key = caller.key,
        client.addr = %context.client,
        request = %context.id,
    );
}

/// A request was not answered as meant. Faults of ours and of our neighbours are for the operator,
/// and so is why another system's token does not work; those of clients are not.
pub(crate) fn failed(failure: &RequestError, route: &'static str, context: &RequestContext) {
    if let Some(reason) = failure.token_reason() {
        info!(
            target: "audit",
            event = "token_refused",
            reason,
            error = %failure,
            route,
            client.addr = %context.client,
            request = %context.id,
        );
    } else if failure.is_ours() {
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        warn!(error = %failure, cause, route, request = %context.id, "a request failed");
    } else {
        debug!(error = %failure, route, client.addr = %context.client, request = %context.id, "a request was refused");
    }
}
