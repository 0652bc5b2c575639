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
use super::{
    Body, Facts, Failure, Worker,
    audit::{self, Who},
    between::{UnderWay, Waiting},
    body::{self, Unread},
    counting::Parting,
    failure::{plain, terminated},
    live::{End, Kind, Registration},
    presented::{Occasion, hash},
    visitor::{Entrant, Rank},
    ways::Ways,
};
use crate::upstream::{Pool, ProsodyHead, RequestBody, UpstreamBody};
use model::{
    bosh::{self, Bound, StartTag},
    clock::Timestamp,
    query::SignallingQuery,
    room::{RoomKey, Tenant},
    route::Transport,
    session::{Session, SessionId},
    shard::ShardName,
};
use observe::metrics::UpstreamKind;

/// A BOSH request that was let through, ready for Prosody.
struct Admitted {
    session: Rc<Session>,
    room: RoomKey,
    request: Request<RequestBody>,
    /// Whom the BOSH session belongs to.
    owner: String,
    /// Their presence opens the room; none for whom presence is not kept.
    opens: Option<bool>,
    /// The BOSH session, if it exists already.
    stream: Option<Stream>,
    ways: Rc<Ways>,
    /// The Prosody to ask.
    xmpp: Pool,
}

/// A BOSH session at Prosody, as of one request.
struct Stream {
    sid: String,
    /// Where it is.
    xmpp: Pool,
    rid: Option<u64>,
    /// The request ends it.
    ends: bool,
    /// When the visit may last no longer.
    visit_ends: Option<Timestamp>,
}

// === impl Worker ===

impl Worker {
    /// Answers a request to `/http-bind`.
    pub(super) async fn bosh(
        self: &Rc<Self>,
        request: Request<Incoming>,
        facts: Facts,
        tenant: Option<Tenant>,
    ) -> Result<Response<Body>, Failure> {
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
                return Err(Failure::Method {
                    allow: "POST, OPTIONS, GET, HEAD",
                });
            }
        }
        let admitted = match self.admit_bosh(request, facts, tenant).await {
            Err(Failure::Moved { room }) => return Ok(self.start_again(&room)),
            admitted => admitted?,
        };
        let Admitted {
            session,
            room,
            request,
            owner,
            opens,
            stream,
            ways,
            xmpp,
        } = admitted;
        let spot = ways.spot(&room);
        let mut registration = self.live.register(Rc::clone(&session), Kind::Poll, spot);
        // The body took its time; a revocation meanwhile found no registration to end.
        if self.gateway.revocations.contains(&session) {
            return Err(Failure::SignInFirst);
        }
        let under_way = stream
            .as_ref()
            .map(|stream| self.streams.enter(&stream.sid));
        let is_to_tell = |opens| {
            let known = under_way.as_ref();
            known.is_none_or(|request| request.is_to_tell(opens, Instant::now()))
        };
        self.keep_presence(&session, &room, opens, stream.as_ref(), is_to_tell);
        let left = self.left_of(&session, stream.as_ref());
        if left.is_zero() {
            self.cut(End::Expired, &session, &room, stream.as_ref(), facts);
            return Ok(terminated("policy-violation"));
        }
        let within = self.jitsi()?.upstream.bosh_timeout;
        let parting = Parting {
            who: Who {
                session: &session,
                room: &room,
            },
            facts: &facts,
            armed: stream.is_some(),
        };
        let began = Instant::now();
        let end = tokio::select! {
            answer = xmpp.send(request, within, true) => {
                parting.over();
                let took = began.elapsed();
                let answer = self.heard(&ways, answer)?;
                let mut answer = if stream.is_some() {
                    self.metrics.count_poll(took);
                    pass_on(answer)
                } else {
                    self.metrics.count_upstream_response(UpstreamKind::Xmpp, took);
                    self.created(answer, &owner, &room, &ways).await?
                };
                ways.mark(answer.headers_mut());
                self.renew(&session, &mut answer);
                let waiting = under_way.and_then(UnderWay::answered);
                if stream.as_ref().is_some_and(|stream| stream.ends) {
                    let who = Who { session: &session, room: &room };
                    audit::left(&who, Transport::Bosh, "closed", &facts);
                } else if let (Some(waiting), Some(stream)) = (waiting, stream) {
                    let watching = Rc::clone(self).watch(waiting, registration, session, room, stream, facts);
                    tokio::task::spawn_local(watching);
                }
                return Ok(answer);
            }
            end = registration.told_to_end() => end,
            () = sleep(left) => End::Expired,
        };
        parting.over();
        self.cut(end, &session, &room, stream.as_ref(), facts);
        Ok(match end {
            End::Moved => self.start_again(&room),
            _ => terminated("policy-violation"),
        })
    }

    /// Ends a stream at Prosody if its person may not go on, until its next request comes.
    async fn watch(
        self: Rc<Self>,
        mut waiting: Waiting,
        mut registration: Registration,
        session: Rc<Session>,
        room: RoomKey,
        stream: Stream,
        facts: Facts,
    ) {
        let left = self.left_of(&session, Some(&stream));
        let end = tokio::select! {
            () = waiting.next_request() => return,
            end = registration.told_to_end() => end,
            () = sleep(left.min(INACTIVITY)) => {
                if left > INACTIVITY {
                    let who = Who { session: &session, room: &room };
                    audit::left(&who, Transport::Bosh, "vanished", &facts);
                    return;
                }
                End::Expired
            }
        };
        self.cut(end, &session, &room, Some(&stream), facts);
    }

    fn cut(
        &self,
        end: End,
        session: &Session,
        room: &RoomKey,
        stream: Option<&Stream>,
        facts: Facts,
    ) {
        audit::cut(&Who { session, room }, Transport::Bosh, end, &facts);
        self.gateway.presence.leave(room, session.id());
        self.metrics.count_cut(Transport::Bosh, end.reason());
        if let Some(stream) = stream {
            self.end_at_prosody(stream, room.tenant(), facts);
        }
    }

    fn left_of(&self, session: &Session, stream: Option<&Stream>) -> Duration {
        let ends = self.gateway.sessions.ends_at_latest(session);
        let visit_ends = stream.and_then(|stream| stream.visit_ends);
        let ends = visit_ends.map_or(ends, |visit| visit.min(ends));
        ends.since(self.gateway.clock.now())
    }

    async fn admit_bosh(
        &self,
        request: Request<Incoming>,
        facts: Facts,
        tenant: Option<Tenant>,
    ) -> Result<Admitted, Failure> {
        let (head, body) = request.into_parts();
        let jitsi = self.jitsi()?;
        let mut query = SignallingQuery::parse(head.uri.query().unwrap_or_default())?;
        let room = RoomKey::from_query(tenant, query.room().ok_or(Failure::NoRoom)?)?;
        let rules = self.rules();
        let mut visitor = self.connecting(&head.headers, &room)?;
        // Nobody's body is read who may not go on in any case: what the request is for, to enter or
        // to stay, only the body tells. So it does for whoever has nothing but a token.
        let recorder = self.is_recorder(&facts).then(|| self.admit_recorder(&room));
        let staying = if recorder.is_none() && (visitor.is_some() || query.token().is_none()) {
            let visitor = visitor.clone();
            let polling = Occasion::Polling;
            Some(self.admit_connection(&rules.policy, &room, visitor, polling, &facts)?)
        } else {
            None
        };
        let body = body::whole(body, MAX_REQUEST).await?;
        let tag = StartTag::parse(&body)?;
        let early = recorder.or(staying.filter(|_| !tag.creates()));
        let mut entrant = if let Some(entrant) = early {
            entrant
        } else {
            let occasion = if tag.creates() {
                Occasion::Entering
            } else {
                Occasion::Polling
            };
            if let (None, Some(token)) = (&visitor, query.token()) {
                let brought = self.presented(token, &room, occasion, &head.headers, &facts);
                visitor = brought.await?.map(Rc::new);
            }
            self.admit_connection(&rules.policy, &room, visitor, occasion, &facts)?
        };
        let (body, stream, token, ways) = if tag.creates() {
            self.record_entry(&entrant, &room, Transport::Bosh, &facts);
            let token = self.mint(&rules, &room, &entrant)?;
            (body, None, token, self.way_to(&room).await?)
        } else {
            let owner = entrant.owner();
            let (body, Bound { sid, began, shard }) =
                self.gateway
                    .bosh_ids
                    .unbind(&tag, &body, owner, &room.to_string())?;
            if !matches!(entrant.rank, Rank::Granted(_)) {
                // Who comes with nothing is known by the stream, not by a session of their own; and
                // not by the stream's id itself, which at Prosody is all that it takes.
                let id = SessionId::from(hash(&[sid.as_bytes()]).as_str());
                let named = Session::clone(&entrant.session).named(id);
                entrant.session = Rc::new(named);
            }
            let ways = self.way_of_stream(shard.as_deref(), &room).await?;
            let stream = Stream {
                sid,
                xmpp: ways.prosody_for(&mut query).clone(),
                rid: tag.rid(),
                ends: tag.terminates(),
                visit_ends: self.visit_ends(&entrant, began),
            };
            (body, Some(stream), None, ways)
        };
        let xmpp = ways.prosody_for(&mut query).clone();
        let prosody = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            query: &query,
            tenant: room.tenant(),
            client: facts.client,
            from: &head.headers,
        };
        let request = prosody.bosh(token.as_ref(), body);
        let opens = match entrant.rank {
            Rank::Granted(_) => Some(entrant.opens()),
            Rank::Passing(_) => stream.is_some().then(|| entrant.opens()),
            Rank::Recorder => None,
        };
        Ok(Admitted {
            owner: entrant.owner().to_owned(),
            session: entrant.session,
            opens,
            room,
            request,
            stream,
            ways,
            xmpp,
        })
    }

    /// When a visit that began then may last no longer. A guest, or who shows another system's token,
    /// gets a pass with each request, whose end always lies ahead. Recorders come and go as they like.
    fn visit_ends(&self, entrant: &Entrant<'_>, began: Timestamp) -> Option<Timestamp> {
        let grant = entrant.grant()?;
        let member = entrant.session.standing().is_member();
        let as_guest = (!member).then_some(self.gateway.guests.lifetime);
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
        is_to_tell: impl FnOnce(bool) -> bool,
    ) {
        let presence = &self.gateway.presence;
        match opens {
            Some(_) if stream.is_some_and(|stream| stream.ends) => {
                presence.leave(room, session.id());
            }
            // Another stream of the same person may have ended what was told.
            Some(opens) if is_to_tell(opens) || !presence.is_here(room, session.id()) => {
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
        ways: &Ways,
    ) -> Result<Response<Body>, Failure> {
        let (head, body) = answer.into_parts();
        let body = body::whole(body, MAX_CREATED).await;
        let body = body.map_err(|unread| match unread {
            Unread::Lost => Failure::UpstreamAnswer("half of a BOSH session"),
            Unread::TooLarge => Failure::UpstreamAnswer("a session that is no BOSH body"),
        })?;
        self.metrics.count_bosh_session();
        let now = self.gateway.clock.now();
        let ids = &self.gateway.bosh_ids;
        let shard = ways.name().map(ShardName::as_str);
        let body = ids.bind(&body, (owner, &room.to_string()), now, shard);
        Ok(answer_of(head.status, Body::from(body)))
    }

    /// Tells Prosody that a session is over, so that the others in the room see it at once.
    fn end_at_prosody(&self, stream: &Stream, tenant: Option<&Tenant>, facts: Facts) {
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
            client: facts.client,
            from: &none,
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
