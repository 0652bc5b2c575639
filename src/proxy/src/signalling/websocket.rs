//! XMPP over WebSocket (RFC 7395): the client's handshake is checked here, and made anew with Prosody.

mod client_socket;
mod handshake;

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use cluster::{placement::RoomGuard, presence::Attendance};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::upgrade;
use hyper_util::rt::TokioIo;
use model::{
    clock::Timestamp,
    negotiation::{ResumptionBinding, StreamNegotiation},
    query::{self, SignallingQuery},
    room::Tenant,
    route::Transport,
    session::SessionCodec,
};
use observe::metrics::{CutReason, LimitKind, OpenStream, StreamKind, UpstreamKind};
use tracing::{debug, info};

pub(super) use self::handshake::check_switch;
use self::handshake::{client_key, switching_protocols};
pub(crate) use self::{
    client_socket::ClientUpgrade,
    handshake::{accept_of, check_accept, switch_to_web_socket, web_socket_key},
};
use super::{
    admission::{self, AdmittedConnection, Claimant, record_entry, stream_policy},
    sasl_refusal::SaslRefusal,
    takeover::StreamTakeover,
    tunnel::{Ended, Takeover, Tunnel, client_frames::FrameError},
};
use crate::{
    Body, RequestContext, RequestError, Worker,
    authorize::Admitted,
    connections::{ConnectionKind, Registration},
    credentials::{Entry, Intent},
    instrumentation::ResponseTimer,
    limits::StreamPermit,
    request_context::ContextError,
    server::ClientBody,
    stream_directory::{Departure, StreamListing},
    upstream::{Place, ProsodyHead},
};

/// A WebSocket that Prosody accepted.
struct AcceptedSocket {
    registration: Registration,
    negotiation: StreamNegotiation,
    takeover: Option<Takeover>,
    attendance: Option<Attendance>,
    /// The end of the visit; none for recorders.
    ends: Option<Timestamp>,
    stay: Option<RoomGuard>,
    place: Place,
    permit: Option<StreamPermit>,
    listing: StreamListing,
    /// Counted before the client learns of the switch: a gateway that stops then waits for its close frame.
    open: OpenStream,
    context: RequestContext,
}

/// Answers a request to `/xmpp-websocket`: a handshake, or the client's keep-alive.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    request: &mut Request<ClientBody>,
    context: RequestContext,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    let jitsi = worker.jitsi()?;
    if !request.headers().contains_key(header::UPGRADE) {
        return keep_alive(worker, request, tenant);
    }
    let key = client_key(request, &worker.state.random)?;
    let mut query = SignallingQuery::parse(tenant, request.uri().query().unwrap_or_default())?;
    let rules = worker.rules();
    let expected = accept_of(&key);
    let admitting = {
        let headers = request.headers();
        let claimant = Claimant::identify(worker, &rules, &query, headers, &context)?;
        let intent = if query.forwarded.resumes() {
            Intent::Resume
        } else {
            Intent::Connect
        };
        let locate = async |_: &mut Admitted<'_>| worker.upstreams.of_room(&query.room).await;
        let kind = (intent, ConnectionKind::Socket);
        admission::admit(worker, &rules, claimant, kind, locate).await
    };
    let AdmittedConnection {
        admitted,
        upstreams,
        registration,
        token,
        entry,
        permit,
    } = match admitting {
        Ok(admission) => admission,
        Err(error) => {
            let refusal = SaslRefusal::for_request(worker, &error, &query, request.headers());
            let refusal = refusal.ok_or(error)?;
            let (client, metrics) = (ClientUpgrade::of(request), Arc::clone(&worker.metrics));
            tokio::task::spawn_local(refusal.answer_web_socket(client, metrics));
            return Ok(switching_protocols(expected));
        }
    };
    let xmpp = upstreams.prosody_for(&mut query.forwarded);
    let ids = Arc::clone(&worker.state.resumption_ids);
    let binding = ResumptionBinding::new(ids, admitted.credential_ids(), &query.room);
    let previous = query.forwarded.previous();
    let previous = previous.and_then(|bound| binding.unbind(bound).map(ToOwned::to_owned));
    query.forwarded.set_previous(previous.as_deref());
    let policy = stream_policy(worker, &admitted, &query)?;
    let negotiation = StreamNegotiation::new(policy).resumable_by(binding);
    let negotiation = match entry {
        Entry::Any => negotiation,
        Entry::ResumptionOnly => negotiation.resumption_only(),
    };
    let prosody = ProsodyHead {
        xmpp_domain: &jitsi.xmpp_domain,
        room: &query.room,
        parameters: &query.forwarded,
        client: context.client,
        region: worker
            .state
            .region_of(&context, request.headers(), &admitted.principal),
        client_headers: request.headers(),
    };
    let handshake = prosody.web_socket(token.as_ref(), key);
    let within = jitsi.upstream.web_timeout;
    let timer = ResponseTimer::start(&worker.metrics, UpstreamKind::Xmpp);
    let answer = xmpp.send_dedicated(handshake, within).await;
    timer.record(&answer);
    let (answer, place) = worker.upstreams.note_outcome(&upstreams, answer)?;
    check_switch(&answer, &expected)?;
    let room = query.room;
    let listing = record_entry(worker, &admitted, &room, Transport::WebSocket, &context);
    let client = ClientUpgrade::of(request);
    let principal = Rc::clone(&admitted.principal);
    let presence = &worker.state.authorizer.presence;
    let takeover = admitted.grant().map(|_| {
        let takeover = StreamTakeover {
            worker: Rc::clone(worker),
            upstreams: Rc::clone(&upstreams),
            principal: Rc::clone(&principal),
            room: room.clone(),
            parameters: query.forwarded,
            client: context.client,
            has_token: token.is_some(),
        };
        takeover.into_fn()
    });
    let socket = AcceptedSocket {
        attendance: admitted
            .grant()
            .map(|grant| presence.attend(&room, principal.id(), grant.opens())),
        ends: visit_ends(
            &worker.state.authenticator.sessions,
            &admitted,
            worker.state.clock.now(),
        ),
        stay: jitsi.placement.hold(&room),
        place,
        permit,
        listing,
        registration,
        negotiation,
        takeover,
        open: worker.metrics.open_stream(StreamKind::WebSocket),
        context,
    };
    let mut switched = switching_protocols(expected);
    upstreams.set_shard_header(switched.headers_mut());
    tokio::task::spawn_local(carry(
        Rc::clone(worker),
        client,
        upgrade::on(answer),
        socket,
    ));
    Ok(switched)
}

/// The end of a visit that begins now: that of the credentials, or an earlier one by the rule.
/// Recorders have no end.
fn visit_ends(
    sessions: &SessionCodec,
    admitted: &Admitted<'_>,
    now: Timestamp,
) -> Option<Timestamp> {
    let grant = admitted.grant()?;
    let by_rule = grant.lifetime().map(|longest| now.after(longest));
    let latest = sessions.latest_end(&admitted.principal);
    by_rule.into_iter().chain([latest]).min()
}

/// Jitsi's client requests the address of its WebSocket every minute or two, to learn whether it was
/// moved to another shard (lib-jitsi-meet `modules/xmpp/XmppConnection.ts`).
fn keep_alive(
    worker: &Worker,
    request: &Request<ClientBody>,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ContextError::Method { allow: "GET" }.into());
    }
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let query = request.uri().query().unwrap_or_default();
    if let Some(room) = query::room_of(tenant, query)
        && let Some(upstreams) = worker.upstreams.locate(&room)?
    {
        upstreams.set_shard_header(answer.headers_mut());
    }
    worker
        .renewal
        .renew_session_of(request.headers(), &mut answer);
    Ok(answer)
}

/// Carries the socket's frames until it ends, then records how it ended. The stream of a client that
/// is away is watched until the client is back.
async fn carry(
    worker: Rc<Worker>,
    client: ClientUpgrade,
    prosody: upgrade::OnUpgrade,
    socket: AcceptedSocket,
) {
    let AcceptedSocket {
        registration,
        negotiation,
        takeover,
        attendance,
        ends,
        stay,
        place: _place,
        permit: _permit,
        listing,
        open,
        context,
    } = socket;
    let (client, prosody) = match tokio::try_join!(client.socket(&worker.metrics), prosody) {
        Ok((client, prosody)) => (client, TokioIo::new(prosody)),
        Err(error) => {
            debug!(%error, request = %context.id, "a client left during the handshake");
            listing.left(Departure::Broken, &context);
            return;
        }
    };
    let left = ends.map_or(Duration::MAX, |ends| worker.state.clock.until(ends));
    let tunnel = Tunnel {
        client,
        prosody,
        registration,
        negotiation,
        budget: worker.incomplete_messages.clone(),
        takeover,
    };
    let began = Instant::now();
    let (ended, tunnel) = tunnel.run(left).await;
    drop((attendance, stay));
    let cut = match ended {
        Ended::Closed | Ended::Broken => None,
        Ended::Cut(reason) => Some(reason.reason()),
        Ended::Refused(error) => {
            info!(%error, request = %context.id, "a WebSocket frame was refused");
            if error == FrameError::Busy {
                worker.metrics.count_limit(LimitKind::BodyBytes);
            }
            Some(CutReason::Protocol)
        }
    };
    match (cut, ended) {
        (Some(reason), _) => {
            worker.metrics.count_cut(Transport::WebSocket, reason);
            listing.cut(reason, &context);
        }
        (None, Ended::Closed) => listing.left(Departure::Closed, &context),
        (None, _) => listing.left(Departure::Broken, &context),
    }
    let held = tunnel.close().await;
    drop(open);
    if let Some(held) = held
        && let Some(reason) = held.watch(left.saturating_sub(began.elapsed())).await
    {
        debug!(reason = reason.reason().as_str(), request = %context.id, "a stream ended whose client was away");
    }
}
