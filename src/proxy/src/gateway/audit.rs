//! The lines that the request path writes: who entered what as what, what failed, what was asked.
//!
//! No line has a query, a cookie, a header or a token in it. Names of rooms and people are written
//! as fields, which the subscriber escapes.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tracing::{debug, info, warn};

use super::{Facts, Failure, live::End, visitor::Entrant};
use cluster::revocation::Selector;
use model::{
    integration::Caller,
    invitation::InvitationLink,
    policy::Refusal,
    room::RoomKey,
    route::{Label, Transport},
    session::Session,
};

/// One request's line, written when it is answered.
#[derive(Debug)]
pub(super) struct AccessLine {
    method: Method,
    path: String,
    client: String,
    id: String,
}

/// Whose visit to which room a line is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'w> {
    pub(super) session: &'w Session,
    pub(super) room: &'w RoomKey,
}

// === impl AccessLine ===

impl AccessLine {
    pub(super) fn of<B>(request: &Request<B>, facts: &Facts) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client: facts.client.to_string(),
            id: facts.id.to_string(),
        }
    }

    pub(super) fn write(self, route: Label, status: StatusCode, took: Duration) {
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
pub(super) fn admitted(
    entrant: &Entrant<'_>,
    role: &'static str,
    room: &RoomKey,
    transport: Transport,
    facts: &Facts,
) {
    let session = &entrant.session;
    let grant = entrant.grant();
    info!(
        target: "audit",
        event = "admitted",
        room = %room,
        role,
        by = grant.map(tracing::field::display),
        standing = session.standing().as_str(),
        subject = session.identity().subject,
        session = session.id().as_str(),
        transport = transport.as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Somebody used a link.
pub(super) fn invited(pass: &Session, room: &RoomKey, link: &InvitationLink, facts: &Facts) {
    info!(
        target: "audit",
        event = "invited",
        room = %room,
        link = link.id,
        host = link.host,
        by = link.by,
        subject = pass.identity().subject,
        session = pass.id().as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Another system's token vouched for somebody.
pub(super) fn vouched(pass: &Session, room: &RoomKey, integration: &str, facts: &Facts) {
    info!(
        target: "audit",
        event = "vouched",
        room = %room,
        integration,
        subject = pass.identity().subject,
        session = pass.id().as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Somebody went on from the browser into an app.
pub(super) fn handed_over(session: &Session, room: &RoomKey, facts: &Facts) {
    info!(
        target: "audit",
        event = "handed_over",
        room = %room,
        subject = session.identity().subject,
        session = session.id().as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Somebody was not let in.
pub(super) fn refused(session: &Session, room: &RoomKey, refusal: Refusal, facts: &Facts) {
    info!(
        target: "audit",
        event = "refused",
        room = %room,
        reason = %refusal,
        subject = session.identity().subject,
        session = session.id().as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Somebody's WebSocket or BOSH session ended by itself: `closed` by either side, `broken` off, or
/// `vanished`, so that Prosody gave it up.
pub(super) fn left(who: &Who<'_>, transport: Transport, how: &'static str, facts: &Facts) {
    info!(
        target: "audit",
        event = "left",
        how,
        room = %who.room,
        transport = transport.as_str(),
        subject = who.session.identity().subject,
        session = who.session.id().as_str(),
        request = %facts.id,
    );
}

/// The gateway ended somebody's WebSocket or BOSH session.
pub(super) fn cut(who: &Who<'_>, transport: Transport, end: End, facts: &Facts) {
    info!(
        target: "audit",
        event = "cut",
        reason = end.as_str(),
        room = %who.room,
        transport = transport.as_str(),
        subject = who.session.identity().subject,
        session = who.session.id().as_str(),
        request = %facts.id,
    );
}

/// A sign-in ended.
pub(super) fn signed_in(session: &Session, facts: &Facts) {
    info!(
        target: "audit",
        event = "signed_in",
        subject = session.identity().subject,
        session = session.id().as_str(),
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// Somebody signed out.
pub(super) fn signed_out(session: &Session, facts: &Facts) {
    info!(
        target: "audit",
        event = "signed_out",
        subject = session.identity().subject,
        session = session.id().as_str(),
        request = %facts.id,
    );
}

/// The provider ended sessions.
pub(super) fn logged_out_by_provider(selector: &Selector, facts: &Facts) {
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
        client.addr = %facts.client,
        request = %facts.id,
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
pub(super) fn called(call: &'static str, about: &str, caller: &Caller<'_>, facts: &Facts) {
    info!(
        target: "audit",
        event = "api",
        call,
        about,
        integration = caller.integration.id(),
        key = caller.key,
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// A request was not answered as meant. Faults of ours and of our neighbours are for the operator,
/// and so is why another system's token does not work; those of clients are not.
pub(super) fn failed(failure: &Failure, route: &'static str, facts: &Facts) {
    if let Some(reason) = failure.token_reason() {
        info!(
            target: "audit",
            event = "token_refused",
            reason,
            error = %failure,
            route,
            client.addr = %facts.client,
            request = %facts.id,
        );
    } else if failure.is_ours() {
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        warn!(error = %failure, cause, route, request = %facts.id, "a request failed");
    } else {
        debug!(error = %failure, route, client.addr = %facts.client, request = %facts.id, "a request was refused");
    }
}
