//! BOSH (XEP-0124, XEP-0206): every request is admitted anew; the one that creates a session carries
//! the backend token.
//!
//! ```text
//! query → cookies → policy: may stay? → whole body → admission ┬ creates → token → Prosody → bind sid
//!                                                              └ else → unbind sid → Prosody → idle watch
//! ```
//!
//! At Prosody the `sid` is a session's only credential. The client therefore gets it bound to owner
//! and room ([`model::bosh`]), and Prosody gets it unbound.

mod answers;
mod poll;
mod request_body;
mod stream;

use std::{
    pin::Pin,
    rc::Rc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use model::{
    bosh::{BoshBinding, BoshBodyError, BoshPlace, BoshSessionId, StartTag},
    negotiation::NegotiationError,
    query::SignallingQuery,
    room::Tenant,
    route::Transport,
    session::Principal,
    shard::ShardName,
};
use observe::metrics::{CutReason, UpstreamKind};
use tracing::info;

pub(super) use self::answers::preflight;
use self::{
    answers::{answer_of, ended, pass_on},
    poll::{Poll, answered},
    request_body::read_within,
    stream::{LiveStream, time_left},
};
use super::{
    admission::{self, AdmittedConnection, Claimant, record_entry, stream_policy},
    sasl_refusal::SaslRefusal,
};
use crate::{
    Body, RequestContext, RequestError, Worker, audit,
    authorize::{Admitted, Privilege},
    body::{self, Unread},
    connections::{CloseReason, ConnectionKind},
    credentials::Intent,
    request_context::ContextError,
    respond::{plain, terminated},
    server::ClientBody,
    shard_upstreams::ForwardingError,
    signalling::SignallingError,
    upstream::{ProsodyHead, RequestBody, UpstreamBody, UpstreamError, UpstreamPool},
};

/// The parts of a request that outlive its body.
struct Exchange<'r> {
    worker: &'r Rc<Worker>,
    query: SignallingQuery,
    headers: &'r HeaderMap,
    context: RequestContext,
}

/// Answers a request to `/http-bind`.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    request: Request<ClientBody>,
    context: RequestContext,
    tenant: Option<Tenant>,
) -> Result<Response<Body>, RequestError> {
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return Ok(preflight(&request, &worker.state.authenticator.origin)),
        // Prosody shows a page here, too: operators open the address to see whether it is right.
        Method::GET | Method::HEAD => {
            let text = "BOSH clients POST here\n";
            return Ok(plain(StatusCode::OK, "text/plain", text));
        }
        _ => {
            let allow = "POST, OPTIONS, GET, HEAD";
            return Err(ContextError::Method { allow }.into());
        }
    }
    worker.jitsi()?;
    let (head, body) = request.into_parts();
    let exchange = Exchange {
        worker,
        query: SignallingQuery::parse(tenant, head.uri.query().unwrap_or_default())?.for_bosh(),
        headers: &head.headers,
        context,
    };
    match exchange.post(body).await {
        Err(RequestError::Signalling(SignallingError::Moved { room })) => {
            Ok(worker.upstreams.start_again(&room))
        }
        answer => answer,
    }
}

// === impl Exchange ===

impl Exchange<'_> {
    async fn post(mut self, body: ClientBody) -> Result<Response<Body>, RequestError> {
        let worker = self.worker;
        let rules = worker.rules();
        let query = self.query.clone();
        let mut claimant = Claimant::identify(worker, &rules, &query, self.headers, &self.context)?;
        if let Err(error) = claimant.refuse_early(worker, &rules).await {
            let refusal = self.sasl_refusal(&error).ok_or(error)?;
            let body = body::whole(body, MAX_REFUSED).await?;
            let answer = refusal.answer_bosh(&StartTag::parse(&body)?, &body);
            return Ok(answer.unwrap_or_else(|| terminated("policy-violation")));
        }
        let (body, _bytes) = read_within(&worker.bosh_bodies, body, MAX_REQUEST).await?;
        let tag = StartTag::parse(&body)?;
        if let Some(answer) = SaslRefusal::continue_bosh(&tag, &body) {
            return Ok(answer);
        }
        let rid = tag.rid().ok_or(BoshBodyError::RequestId)?;
        let room = &query.room;
        if tag.creates() {
            let locate = async |_: &mut Admitted<'_>| worker.upstreams.of_room(room).await;
            let kind = (Intent::Connect, ConnectionKind::Poll);
            let admission = match admission::admit(worker, &rules, claimant, kind, locate).await {
                Ok(admission) => admission,
                Err(error) => {
                    let refusal = self.sasl_refusal(&error);
                    let answer = refusal.and_then(|refusal| refusal.answer_bosh(&tag, &body));
                    return answer.ok_or(error);
                }
            };
            let xmpp = admission.upstreams.prosody_for(&mut self.query.forwarded);
            if let Err(error) = self.check_negotiation(&admission, &tag, &body) {
                info!(%error, request = %self.context.id, "a BOSH body was refused");
                return Ok(terminated("policy-violation"));
            }
            let request = self
                .head(&admission.admitted.principal)?
                .bosh(admission.token.as_ref(), body);
            let xmpp = xmpp.clone();
            let sending = Box::pin(self.send(xmpp.clone(), request));
            // Boxed: polls are held, and would keep the room of a creation.
            return Box::pin(self.create(admission, (rid, xmpp), sending)).await;
        }
        let mut unbound = None;
        let locate = async |admitted: &mut Admitted<'_>| {
            let binding = BoshBinding {
                owner: admitted.owner(),
                room,
            };
            let (body, bound) = worker.state.bosh_ids.unbind(&tag, &body, &binding)?;
            stream::name_anonymous(admitted, &bound.sid);
            let (_, bound) = unbound.insert((body, bound));
            let shard = bound.place.shard.as_deref();
            worker.upstreams.of_stream(shard, room).await
        };
        let kind = (Intent::Poll, ConnectionKind::Poll);
        let admission = admission::admit(worker, &rules, claimant, kind, locate).await?;
        // `locate` ran, or there were no admission.
        let (body, bound) = unbound.ok_or(RequestError::Internal("no BOSH stream was located"))?;
        let xmpp = admission
            .upstreams
            .prosody_for(&mut self.query.forwarded)
            .clone();
        if self.query.forwarded.visitor_node() != bound.place.visitor_node.as_deref() {
            return Err(BoshBodyError::Foreign.into());
        }
        let checked = self.check_negotiation(&admission, &tag, &body);
        let stream = LiveStream::new(
            &worker.state.guests,
            &admission.admitted,
            room,
            bound,
            xmpp.clone(),
        );
        let request = self.head(&admission.admitted.principal)?.bosh(None, body);
        let sending = Box::pin(self.send(xmpp, request));
        self.poll(admission, stream, (rid, checked), sending).await
    }

    /// What an app is told that has to sign in first.
    fn sasl_refusal(&self, error: &RequestError) -> Option<SaslRefusal> {
        SaslRefusal::for_request(self.worker, error, &self.query, self.headers)
    }

    /// Checks the domain and the SASL mechanism of a body. A restart names the domain again
    /// (XEP-0206 § 5), other bodies need not.
    fn check_negotiation(
        &self,
        admission: &AdmittedConnection<'_>,
        tag: &StartTag,
        body: &[u8],
    ) -> Result<(), NegotiationError> {
        let policy = stream_policy(self.worker, &admission.admitted, &self.query)
            .map_err(|_| NegotiationError::Domain)?;
        if tag.creates() || tag.to().is_some() {
            policy.check_domain(tag.to())?;
        }
        policy.check_body(body)
    }

    fn head(&self, sender: &Principal) -> Result<ProsodyHead<'_>, RequestError> {
        let state = &self.worker.state;
        let region = state.region_of(&self.context, self.headers, sender);
        Ok(ProsodyHead {
            xmpp_domain: &self.worker.jitsi()?.xmpp_domain,
            room: &self.query.room,
            parameters: &self.query.forwarded,
            client: self.context.client,
            region,
            client_headers: self.headers,
        })
    }

    fn send(
        &self,
        xmpp: UpstreamPool,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + use<> {
        let jitsi = self.worker.state.jitsi.as_ref();
        let within = jitsi.map_or(Duration::ZERO, |jitsi| jitsi.upstream.bosh_timeout);
        async move { xmpp.send(request, within, true).await }
    }

    /// Creates a BOSH session. It exists once Prosody has answered with a `sid`, and is recorded and
    /// watched from then on.
    async fn create(
        self,
        admission: AdmittedConnection<'_>,
        (rid, xmpp): (u64, UpstreamPool),
        sending: Pin<Box<impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>>>>,
    ) -> Result<Response<Body>, RequestError> {
        let (worker, room) = (self.worker, &self.query.room);
        let AdmittedConnection {
            mut admitted,
            upstreams,
            mut registration,
            permit,
            ..
        } = admission;
        let sessions = &worker.state.authenticator.sessions;
        let left = time_left(sessions, &admitted.principal, None);
        let began = Instant::now();
        let answer = match answered(sending, &mut registration, left).await {
            Ok(answer) => worker.upstreams.note_outcome(&upstreams, answer)?,
            Err(reason) => {
                // The audit log has no entry that would end.
                worker.metrics.count_cut(Transport::Bosh, reason.reason());
                return Ok(ended(&worker.upstreams, room, reason));
            }
        };
        let took = began.elapsed();
        worker
            .metrics
            .count_upstream_response(UpstreamKind::Xmpp, took);
        let (head, body) = answer.into_parts();
        let body = body::whole(body, MAX_CREATED).await;
        let body = body.map_err(|unread| {
            ForwardingError::Answer(match unread {
                Unread::Lost | Unread::Busy => "a truncated BOSH session creation response",
                Unread::TooLarge => "a BOSH session creation response that is too long",
            })
        })?;
        let tag = StartTag::parse(&body).ok().filter(|tag| !tag.terminates());
        let sid = tag.and_then(|tag| tag.sid(&body).map(ToOwned::to_owned));
        let mut listing = None;
        if let Some(sid) = &sid {
            worker.metrics.count_bosh_session();
            stream::name_anonymous(&mut admitted, sid);
            let entered = record_entry(worker, &admitted, room, Transport::Bosh, &self.context);
            listing = Some(entered);
            // An anonymous client is present from its first poll on.
            if let Privilege::Granted(_) = admitted.privilege {
                let (id, opens) = (admitted.principal.id(), admitted.opens());
                let presence = &worker.state.authorizer.presence;
                presence.renew_lease(room, id, opens, stream::PRESENCE_LEASE);
            }
        }
        let now = worker.state.clock.now();
        let shard = upstreams.name().map(ShardName::as_str);
        let visitor_node = self.query.forwarded.visitor_node();
        let place = BoshPlace {
            shard: shard.map(ToOwned::to_owned),
            visitor_node: visitor_node.map(ToOwned::to_owned),
        };
        let owner = admitted.owner();
        let binding = BoshBinding { owner, room };
        let body = worker.state.bosh_ids.bind(&body, &binding, now, &place);
        let mut answer = answer_of(head.status, Body::from(body));
        upstreams.set_shard_header(answer.headers_mut());
        worker.renewal.renew(&admitted.principal, &mut answer);
        if let Some(sid) = sid
            && let Some(in_flight) = worker
                .state
                .bosh_streams
                .register(&sid, rid, &worker.metrics)
        {
            in_flight.confirm();
            in_flight.keep(permit, listing);
            let bound = BoshSessionId {
                sid,
                began: now,
                place,
            };
            let stream = LiveStream::new(&worker.state.guests, &admitted, room, bound, xmpp);
            if let Some(idle) = in_flight.over() {
                let watching = stream.watch(Rc::clone(worker), idle, registration, self.context);
                tokio::task::spawn_local(watching);
            }
        }
        Ok(answer)
    }

    /// Forwards a request of an existing BOSH session. The exchange with Prosody comes boxed: each future
    /// around it would have room for it, and a poll is held for a minute.
    async fn poll(
        self,
        admission: AdmittedConnection<'_>,
        stream: LiveStream,
        (rid, checked): (u64, Result<(), NegotiationError>),
        sending: Pin<Box<impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>>>>,
    ) -> Result<Response<Body>, RequestError> {
        let worker = self.worker;
        let AdmittedConnection {
            admitted,
            upstreams,
            registration,
            ..
        } = admission;
        let (sessions, presence) = (
            &worker.state.authenticator.sessions,
            &worker.state.authorizer.presence,
        );
        let directory = &worker.state.stream_directory;
        let streams = &worker.state.bosh_streams;
        let Some(in_flight) = streams.register(&stream.sid, rid, &worker.metrics) else {
            stream.cut(worker, CutReason::Protocol, &self.context);
            return Ok(terminated("policy-violation"));
        };
        let continued = in_flight.ensure_listed(|| {
            let since = (Transport::Bosh, stream.began);
            admission::list(directory, &admitted, &stream.room, since, &self.context)
        });
        if let Some(record) = continued {
            audit::continued(&record, &self.context);
        }
        if let Err(error) = checked {
            info!(%error, request = %self.context.id, "a BOSH body was refused");
            stream.cut(worker, CutReason::Protocol, &self.context);
            return Ok(terminated("policy-violation"));
        }
        stream.refresh_presence(presence, |opens| {
            in_flight.presence_refresh_due(opens, Instant::now())
        });
        let left = time_left(sessions, &stream.principal, stream.visit_ends);
        let mut poll = Poll::new(worker, self.context, (stream, in_flight, registration));
        let began = Instant::now();
        let reading = async {
            let mut answer = sending.await?;
            let beginning = answer.body_mut().beginning().await;
            let tag = beginning.and_then(|beginning| StartTag::parse(beginning).ok());
            Ok((answer, tag))
        };
        let answer = match poll.registration() {
            Some(registration) if !left.is_zero() => answered(reading, registration, left).await,
            _ => Err(CloseReason::Expired),
        };
        // Without an answer of Prosody the stream may go on there: `poll` watches it.
        let answer = match answer {
            Ok(answer) => Ok(worker.upstreams.note_outcome(&upstreams, answer)?),
            Err(reason) => Err(reason),
        };
        let Some((stream, in_flight, registration)) = poll.finish() else {
            return Err(RequestError::Internal("a BOSH request has no stream"));
        };
        let (answer, tag) = match answer {
            Ok(answer) => answer,
            Err(reason) => {
                if reason == CloseReason::Shutdown {
                    stream.leave_process(streams, &self.context);
                } else {
                    stream.cut(worker, reason.reason(), &self.context);
                }
                return Ok(ended(&worker.upstreams, &stream.room, reason));
            }
        };
        worker.metrics.count_poll(began.elapsed());
        if tag.as_ref().is_some_and(StartTag::acknowledges_request) {
            in_flight.confirm();
        }
        let mut answer = pass_on(answer);
        upstreams.set_shard_header(answer.headers_mut());
        worker.renewal.renew(&stream.principal, &mut answer);
        if tag.is_some_and(|tag| tag.ends_stream()) {
            stream.end(presence, streams, &self.context);
        } else if let Some(idle) = in_flight.over() {
            let watching = stream.watch(Rc::clone(worker), idle, registration, self.context);
            tokio::task::spawn_local(watching);
        }
        Ok(answer)
    }
}

/// Bodies that create a session, authenticate or end it have some hundred bytes.
const MAX_REFUSED: usize = 4 * 1024;

/// Prosody needs the exact length of a body, so the body is read whole. Jitsi's largest stanzas, its
/// source descriptions, have some ten kilobytes.
const MAX_REQUEST: usize = 256 * 1024;

/// The answer to a session creation has less than two kilobytes.
const MAX_CREATED: usize = 64 * 1024;
