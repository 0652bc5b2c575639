//! Access and audit lines: admission, refusal, sign-in, revocation, API calls; `docs/logs.md`.
//!
//! No line has a query, cookie, header or token. Names of rooms and people are fields, which the
//! subscriber escapes.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tracing::{debug, info, warn};

use super::{Facts, Failure, live::End, visitor::Entrant};
use cluster::revocation::Selector;
use model::{
    integration::Caller,
    invitation::Link,
    policy::Refusal,
    room::RoomKey,
    route::{Label, Transport},
    session::Session,
};
use observe::metrics::{ApiOperation, ApiOutcome};

/// The access line of a request, written with its response.
#[derive(Debug)]
pub(super) struct AccessLine {
    method: Method,
    path: String,
    client: String,
    id: String,
}

/// The session and room of a line.
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

/// A visitor was admitted: a backend token was minted for one connection.
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

/// A link was used.
pub(super) fn invited(pass: &Session, room: &RoomKey, link: &Link, facts: &Facts) {
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

/// An integration's token vouched for a user.
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

/// A handoff token was issued, to continue in a native app.
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

/// The policy refused a visitor with a session.
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

/// A WebSocket or BOSH session ended: `closed` by either side, connection `broken`, or `vanished`
/// without a request until Prosody's timeout.
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

/// The gateway closed a WebSocket or BOSH session.
pub(super) fn cut(who: &Who<'_>, transport: Transport, end: End, facts: &Facts) {
    info!(
        target: "audit",
        event = "cut",
        reason = end.reason().as_str(),
        room = %who.room,
        transport = transport.as_str(),
        subject = who.session.identity().subject,
        session = who.session.id().as_str(),
        request = %facts.id,
    );
}

/// A sign-in completed.
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

/// A user signed out.
pub(super) fn signed_out(session: &Session, facts: &Facts) {
    info!(
        target: "audit",
        event = "signed_out",
        subject = session.identity().subject,
        session = session.id().as_str(),
        request = %facts.id,
    );
}

/// The provider ended sessions by a back-channel logout.
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
pub(super) fn called(operation: ApiOperation, about: &str, caller: &Caller<'_>, facts: &Facts) {
    info!(
        target: "audit",
        event = "api",
        call = operation.as_str(),
        about,
        integration = caller.integration.id(),
        key = caller.key,
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// The API refused a key, or an integration's access to a foreign room or link. `suppressed` lines
/// of such refusals were not written before this one.
pub(super) fn api_refused(
    outcome: ApiOutcome,
    operation: ApiOperation,
    caller: Option<&Caller<'_>>,
    suppressed: u64,
    facts: &Facts,
) {
    info!(
        target: "audit",
        event = "api_refused",
        reason = outcome.as_str(),
        call = operation.as_str(),
        integration = caller.map(|caller| caller.integration.id()),
        key = caller.map(|caller| caller.key),
        suppressed,
        client.addr = %facts.client,
        request = %facts.id,
    );
}

/// A request failed. Faults of the gateway and its upstreams are warnings; a refused token of an
/// integration or app is audited as far as `permit_line` permits; clients' faults are debug, and so
/// is an unavailable provider, whose own log line and metric tell once what each request would tell.
pub(super) fn failed(
    failure: &Failure,
    route: Label,
    facts: &Facts,
    permit_line: impl FnOnce() -> Option<u64>,
) {
    let route = route.as_str();
    if let Some(reason) = failure.token_reason() {
        if let Some(suppressed) = permit_line() {
            info!(
                target: "audit",
                event = "token_refused",
                reason,
                error = %failure,
                route,
                suppressed,
                client.addr = %facts.client,
                request = %facts.id,
            );
        }
    } else if failure.is_ours() && !matches!(failure, Failure::ProviderUnavailable) {
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        warn!(error = %failure, cause, route, request = %facts.id, "request failed");
    } else {
        debug!(error = %failure, route, client.addr = %facts.client, request = %facts.id, "request refused");
    }
}
