//! BOSH: each request is judged anew, the session-creating one carries the token.

mod answers;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::sleep;
use tracing::debug;

use self::answers::{answer_of, pass_on};
use crate::upstream::{ProsodyHead, RequestBody, UpstreamBody, UpstreamPool};
use crate::{
    Body, RequestContext, RequestError, Worker,
    audit::{self, Who},
    authorize::{Admitted, Privilege},
    body::{self, Unread},
    connections::{CloseReason, ConnectionKind, Registration},
    credentials::{Intent, hash},
    instrumentation::PollGuard,
    respond::{plain, terminated},
    shard_upstreams::ShardUpstreams,
    signalling::bosh_streams::{IdleWatch, InFlight},
};
use model::{
    bosh::{self, Bound, StartTag},
    clock::Timestamp,
    query::SignallingQuery,
    room::{RoomKey, Tenant},
    route::Transport,
    session::{Session, SessionId},
    shard::ShardName,
};
use observe::metrics::Upstream;

/// A BOSH request that was let through, ready for Prosody.
struct AdmittedRequest {
    session: Rc<Session>,
    room: RoomKey,
    request: Request<RequestBody>,
    /// Whom the BOSH session belongs to.
    owner: String,
    /// Their presence opens the room; none for whom presence is not kept.
    opens: Option<bool>,
    /// The BOSH session, if it exists already.
    stream: Option<Stream>,
    upstreams: Rc<ShardUpstreams>,
    /// The Prosody to ask.
    xmpp: UpstreamPool,
}

/// A BOSH session at Prosody, as of one request.
struct Stream {
    sid: String,
    /// Where it is.
    xmpp: UpstreamPool,
    rid: Option<u64>,
    /// The request ends it.
    ends: bool,
    /// When the visit may last no longer.
    visit_ends: Option<Timestamp>,
}

// === impl Worker ===

impl Worker {
    /// Answers a request to `/http-bind`.
    pub(crate) async fn bosh(
        self: &Rc<Self>,
        request: Request<Incoming>,
        context: RequestContext,
        tenant: Option<Tenant>,
    ) -> Result<Response<Body>, RequestError> {
        match *request.method() {
            Method::POST => {}
            Method::OPTIONS => return Ok(self.preflight(&request)),
            // Prosody shows a page here, too: people look whether the address is right.
            Method::GET | Method::HEAD => {
                return Ok(plain(
                    StatusCode::OK,
                    "text/plain",
                    "BOSH clients POST here\n",
                ));
            }
            _ => {
                return Err(RequestError::Method {
                    allow: "POST, OPTIONS, GET, HEAD",
                });
            }
        }
        let admitted = match self.admit_bosh(request, context, tenant).await {
            Err(RequestError::Moved { room }) => return Ok(self.start_again(&room)),
            admitted => admitted?,
        };
        let AdmittedRequest {
            session,
            room,
            request,
            owner,
            opens,
            stream,
            upstreams,
            xmpp,
        } = admitted;
        let room_shard = upstreams.room_shard(&room);
        let mut registration =
            self.connections
                .register(Rc::clone(&session), ConnectionKind::Poll, room_shard);
        // The body took its time; a revocation meanwhile found no registration to end.
        if self.state.revocations.contains(&session) {
            return Err(RequestError::SignInFirst);
        }
        let in_flight = stream
            .as_ref()
            .map(|stream| self.streams.enter(&stream.sid));
        let presence_refresh_due = |opens| {
            let known = in_flight.as_ref();
            known.is_none_or(|request| request.presence_refresh_due(opens, Instant::now()))
        };
        self.keep_presence(
            &session,
            &room,
            opens,
            stream.as_ref(),
            presence_refresh_due,
        );
        let left = self.left_of(&session, stream.as_ref());
        if left.is_zero() {
            self.cut(
                CloseReason::Expired,
                &session,
                &room,
                stream.as_ref(),
                context,
            );
            return Ok(terminated("policy-violation"));
        }
        let within = self.jitsi()?.upstream.bosh_timeout;
        let draining = PollGuard {
            who: Who {
                session: &session,
                room: &room,
            },
            context: &context,
            armed: stream.is_some(),
        };
        let began = Instant::now();
        let end = tokio::select! {
            answer = xmpp.send(request, within, true) => {
                draining.over();
                let took = began.elapsed();
                let answer = self.note_outcome(&upstreams, answer)?;
                let mut answer = if stream.is_some() {
                    self.metrics.bosh_waited(took);
                    pass_on(answer)
                } else {
                    self.metrics.upstream_answered(Upstream::Xmpp, took);
                    self.created(answer, &owner, &room, &upstreams).await?
                };
                upstreams.set_shard_header(answer.headers_mut());
                self.renew(&session, &mut answer);
                let waiting = in_flight.and_then(InFlight::answered);
                if stream.as_ref().is_some_and(|stream| stream.ends) {
                    let who = Who { session: &session, room: &room };
                    audit::left(&who, Transport::Bosh, "closed", &context);
                } else if let (Some(waiting), Some(stream)) = (waiting, stream) {
                    let watching = Rc::clone(self).watch(waiting, registration, session, room, stream, context);
                    tokio::task::spawn_local(watching);
                }
                return Ok(answer);
            }
            end = registration.closed() => end,
            () = sleep(left) => CloseReason::Expired,
        };
        draining.over();
        self.cut(end, &session, &room, stream.as_ref(), context);
        Ok(match end {
            CloseReason::Moved => self.start_again(&room),
            _ => terminated("policy-violation"),
        })
    }

    /// Ends a stream at Prosody if its person may not go on, until its next request comes.
    async fn watch(
        self: Rc<Self>,
        mut waiting: IdleWatch,
        mut registration: Registration,
        session: Rc<Session>,
        room: RoomKey,
        stream: Stream,
        context: RequestContext,
    ) {
        let left = self.left_of(&session, Some(&stream));
        let end = tokio::select! {
            () = waiting.next_request() => return,
            end = registration.closed() => end,
            () = sleep(left.min(INACTIVITY)) => {
                if left > INACTIVITY {
                    let who = Who { session: &session, room: &room };
                    audit::left(&who, Transport::Bosh, "vanished", &context);
                    return;
                }
                CloseReason::Expired
            }
        };
        self.cut(end, &session, &room, Some(&stream), context);
    }

    fn cut(
        &self,
        end: CloseReason,
        session: &Session,
        room: &RoomKey,
        stream: Option<&Stream>,
        context: RequestContext,
    ) {
        audit::cut(&Who { session, room }, Transport::Bosh, end, &context);
        self.state.presence.leave(room, session.id());
        self.metrics.cut(Transport::Bosh, end.as_str());
        if let Some(stream) = stream {
            self.end_at_prosody(stream, room.tenant(), context);
        }
    }

    fn left_of(&self, session: &Session, stream: Option<&Stream>) -> Duration {
        let ends = self.state.sessions.ends_at_latest(session);
        let visit_ends = stream.and_then(|stream| stream.visit_ends);
        let ends = visit_ends.map_or(ends, |visit| visit.min(ends));
        ends.since(self.state.clock.now())
    }

    async fn admit_bosh(
        &self,
        request: Request<Incoming>,
        context: RequestContext,
        tenant: Option<Tenant>,
    ) -> Result<AdmittedRequest, RequestError> {
        let (head, body) = request.into_parts();
        let jitsi = self.jitsi()?;
        let mut query = SignallingQuery::parse(head.uri.query().unwrap_or_default())?;
        let room = RoomKey::from_query(tenant, query.room().ok_or(RequestError::NoRoom)?)?;
        let rules = self.rules();
        let mut visitor = self.connecting(&head.headers, &room)?;
        // Nobody's body is read who may not go on in any case: what the request is for, to enter or
        // to stay, only the body tells. So it does for whoever has nothing but a token.
        let recorder = self
            .is_recorder(&context)
            .then(|| self.admit_recorder(&room));
        let staying = if recorder.is_none() && (visitor.is_some() || query.token().is_none()) {
            let visitor = visitor.clone();
            let polling = Intent::Poll;
            Some(self.admit_connection(&rules.policy, &room, visitor, polling, &context)?)
        } else {
            None
        };
        let body = body::whole(body, MAX_REQUEST).await?;
        let tag = StartTag::parse(&body)?;
        let early = recorder.or(staying.filter(|_| !tag.creates()));
        let mut admitted = if let Some(admitted) = early {
            admitted
        } else {
            let intent = if tag.creates() {
                Intent::Connect
            } else {
                Intent::Poll
            };
            if let (None, Some(token)) = (&visitor, query.token()) {
                let brought = self.presented(token, &room, intent, &head.headers, &context);
                visitor = brought.await?.map(Rc::new);
            }
            self.admit_connection(&rules.policy, &room, visitor, intent, &context)?
        };
        let (body, stream, token, upstreams) = if tag.creates() {
            self.record_entry(&admitted, &room, Transport::Bosh, &context);
            let token = self.mint(&rules, &room, &admitted)?;
            (body, None, token, self.upstreams_of_room(&room).await?)
        } else {
            let owner = admitted.owner();
            let (body, Bound { sid, began, shard }) =
                self.state
                    .bosh_ids
                    .unbind(&tag, &body, owner, &room.to_string())?;
            if !matches!(admitted.privilege, Privilege::Granted(_)) {
                // Who comes with nothing is known by the stream, not by a session of their own; and
                // not by the stream's id itself, which at Prosody is all that it takes.
                let id = SessionId::from(hash(&[sid.as_bytes()]).as_str());
                let named = Session::clone(&admitted.session).named(id);
                admitted.session = Rc::new(named);
            }
            let upstreams = self.upstreams_of_stream(shard.as_deref(), &room).await?;
            let stream = Stream {
                sid,
                xmpp: upstreams.prosody_for(&mut query).clone(),
                rid: tag.rid(),
                ends: tag.terminates(),
                visit_ends: self.visit_ends(&admitted, began),
            };
            (body, Some(stream), None, upstreams)
        };
        let xmpp = upstreams.prosody_for(&mut query).clone();
        let prosody = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            query: &query,
            tenant: room.tenant(),
            client: context.client,
            client_headers: &head.headers,
        };
        let request = prosody.bosh(token.as_ref(), body);
        let opens = match admitted.privilege {
            Privilege::Granted(_) => Some(admitted.opens()),
            Privilege::Passing(_) => stream.is_some().then(|| admitted.opens()),
            Privilege::Recorder => None,
        };
        Ok(AdmittedRequest {
            owner: admitted.owner().to_owned(),
            session: admitted.session,
            opens,
            room,
            request,
            stream,
            upstreams,
            xmpp,
        })
    }

    /// When a visit that began then may last no longer. A guest, or who shows another system's token,
    /// gets a pass with each request, whose end always lies ahead. Recorders come and go as they like.
    fn visit_ends(&self, admitted: &Admitted<'_>, began: Timestamp) -> Option<Timestamp> {
        let grant = admitted.grant()?;
        let member = admitted.session.standing().is_member();
        let as_guest = (!member).then_some(self.state.guests.lifetime);
        let longest = grant.lifetime().into_iter().chain(as_guest).min()?;
        Some(began.after(longest))
    }

    /// Tells who is there: a stream counts until its next request is overdue, or it ends.
    fn keep_presence(
        &self,
        session: &Session,
        room: &RoomKey,
        opens: Option<bool>,
        stream: Option<&Stream>,
        presence_refresh_due: impl FnOnce(bool) -> bool,
    ) {
        let presence = &self.state.presence;
        match opens {
            Some(_) if stream.is_some_and(|stream| stream.ends) => {
                presence.leave(room, session.id());
            }
            // Another stream of the same person may have ended what was told.
            Some(opens) if presence_refresh_due(opens) || !presence.is_here(room, session.id()) => {
                presence.touch(room, session.id(), opens, LEASE);
            }
            Some(_) | None => {}
        }
    }

    /// Prosody's answer to a new session, with the session's id bound to its owner.
    async fn created(
        &self,
        answer: Response<UpstreamBody>,
        owner: &str,
        room: &RoomKey,
        upstreams: &ShardUpstreams,
    ) -> Result<Response<Body>, RequestError> {
        let (head, body) = answer.into_parts();
        let body = body::whole(body, MAX_CREATED).await;
        let body = body.map_err(|unread| match unread {
            Unread::Lost => RequestError::UpstreamAnswer("half of a BOSH session"),
            Unread::TooLarge => RequestError::UpstreamAnswer("a session that is no BOSH body"),
        })?;
        self.metrics.bosh_session();
        let now = self.state.clock.now();
        let ids = &self.state.bosh_ids;
        let shard = upstreams.name().map(ShardName::as_str);
        let body = ids.bind(&body, (owner, &room.to_string()), now, shard);
        Ok(answer_of(head.status, Body::from(body)))
    }

    /// Tells Prosody that a session is over, so that the others in the room see it at once.
    fn end_at_prosody(&self, stream: &Stream, tenant: Option<&Tenant>, context: RequestContext) {
        let (Ok(jitsi), Some(rid)) = (self.jitsi(), stream.rid) else {
            return;
        };
        let rid = rid.saturating_add(1);
        let none = http::HeaderMap::new();
        let query = SignallingQuery::default();
        let head = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            query: &query,
            tenant,
            client: context.client,
            client_headers: &none,
        };
        let request = head.bosh(None, bosh::terminate_request(&stream.sid, rid));
        let xmpp = stream.xmpp.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = xmpp.send(request, END_TIMEOUT, true).await {
                debug!(%error, "a BOSH session could not be ended at Prosody; it will time out");
            }
        });
    }
}

/// Prosody has to be told the exact length of a body, so all of it is read before. Jitsi's largest
/// stanzas, its source descriptions, are some ten kilobytes.
const MAX_REQUEST: usize = 256 * 1024;

/// The answer to a new session is below two kilobytes.
const MAX_CREATED: usize = 64 * 1024;

/// After this long without a request Prosody ends a stream by itself (`bosh_max_inactivity`, 60 s
/// unless configured, and some more for its own pace).
const INACTIVITY: Duration = Duration::from_secs(90);

/// A poll lasts a minute, and the next one follows at once unless the network is bad.
const LEASE: Duration = Duration::from_secs(100);

/// For a request that needs no answer.
const END_TIMEOUT: Duration = Duration::from_secs(5);
