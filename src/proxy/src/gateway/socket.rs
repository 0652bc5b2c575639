//! XMPP over WebSocket: the handshake, judged here and made anew with Prosody.

use std::{rc::Rc, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade};
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::{
    Body, Facts, Failure, Rules, Worker,
    audit::{self, Who},
    live::{Kind, Registration},
    presented::Occasion,
    tunnel,
    visitor::Entrant,
};
use crate::upstream::ProsodyHead;
use cluster::{placement::Stay, presence::Attendance};
use model::{
    headers,
    policy::Grant,
    query::{self, SignallingQuery},
    room::{RoomKey, Tenant},
    route::Transport,
    session::Session,
};
use observe::metrics::{StreamKind, UpstreamKind};

/// A WebSocket that was let through.
struct Socket {
    session: Rc<Session>,
    room: RoomKey,
    registration: Registration,
    attendance: Option<Attendance>,
    longest: Option<Duration>,
    stay: Option<Stay>,
    facts: Facts,
}

// === impl Worker ===

impl Worker {
    /// Answers a request to `/xmpp-websocket`: a handshake, or the client's keep-alive.
    pub(super) async fn web_socket(
        self: Rc<Self>,
        request: &mut Request<Incoming>,
        facts: Facts,
        tenant: Option<Tenant>,
    ) -> Result<Response<Body>, Failure> {
        let jitsi = self.jitsi()?;
        if !request.headers().contains_key(header::UPGRADE) {
            return self.keep_alive(request, tenant);
        }
        let key = handshake_key(request)?;
        let mut query = SignallingQuery::parse(request.uri().query().unwrap_or_default())?;
        let room = RoomKey::from_query(tenant, query.room().ok_or(Failure::NoRoom)?)?;
        let rules = self.rules();
        let entrant = self.entrant(request, &query, &room, &rules, &facts).await?;
        let session = Rc::clone(&entrant.session);
        let ways = self.way_to(&room).await?;
        // From here on a revocation finds the socket, and so does who moves the room, even before
        // the handshake is through.
        let registration = self
            .live
            .register(Rc::clone(&session), Kind::Socket, ways.spot(&room));
        if self.gateway.revocations.contains(&session) {
            return Err(Failure::SignInFirst);
        }
        if entrant.grant().is_some() {
            registration.admitted_to(&room);
            // They may have changed while the way was found.
            if !Arc::ptr_eq(&rules, &self.rules()) && !self.may_stay(&session, &room) {
                return Err(Failure::SignInFirst);
            }
        }
        let token = self.mint(&rules, &room, &entrant)?;
        self.record_entry(&entrant, &room, Transport::WebSocket, &facts);
        let expected = accept_of(&key);
        let xmpp = ways.prosody_for(&mut query);
        let prosody = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            query: &query,
            tenant: room.tenant(),
            client: facts.client,
            from: request.headers(),
        };
        let handshake = prosody.web_socket(token.as_ref(), key);
        let within = jitsi.upstream.web_timeout;
        let answer = self.timed(UpstreamKind::Xmpp, xmpp.send_apart(handshake, within));
        let answer = self.heard(&ways, answer.await)?;
        check_switch(&answer, &expected)?;
        let client = upgrade::on(request);
        let presence = &self.gateway.presence;
        let attendance = entrant
            .grant()
            .map(|grant| presence.attend(&room, session.id(), grant.opens()));
        let socket = Socket {
            session,
            attendance,
            longest: entrant.grant().and_then(Grant::lifetime),
            stay: jitsi.placement.stay(&room),
            room,
            registration,
            facts,
        };
        let mut switched = switch(expected);
        ways.mark(switched.headers_mut());
        tokio::task::spawn_local(Rc::clone(&self).carry(client, upgrade::on(answer), socket));
        Ok(switched)
    }

    /// Who wants the socket, and whether the rules let them have it.
    async fn entrant<'p>(
        &self,
        request: &Request<Incoming>,
        query: &SignallingQuery,
        room: &RoomKey,
        rules: &'p Rules,
        facts: &Facts,
    ) -> Result<Entrant<'p>, Failure> {
        let headers = request.headers();
        let mut visitor = self.connecting(headers, room)?;
        if self.is_recorder(facts) {
            return Ok(self.admit_recorder(room));
        }
        let occasion = if query.resumes() {
            Occasion::Resuming
        } else {
            Occasion::Entering
        };
        if let (None, Some(token)) = (&visitor, query.token()) {
            let brought = self.presented(token, room, occasion, headers, facts);
            visitor = brought.await?.map(Rc::new);
        }
        self.admit_connection(&rules.policy, room, visitor, occasion, facts)
    }

    /// Jitsi's client asks for the address of its WebSocket every minute or two, to learn whether
    /// it was moved to another shard (lib-jitsi-meet `modules/xmpp/XmppConnection.ts`).
    fn keep_alive(
        &self,
        request: &Request<Incoming>,
        tenant: Option<Tenant>,
    ) -> Result<Response<Body>, Failure> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Failure::Method { allow: "GET" });
        }
        let mut answer = Response::new(Body::EMPTY);
        *answer.status_mut() = StatusCode::NO_CONTENT;
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let query = request.uri().query().unwrap_or_default();
        if let Some(room) = query::room_of(tenant, query)
            && let Some(ways) = self.way_towards(&room)?
        {
            ways.mark(answer.headers_mut());
        }
        if let Some(session) = self.session(request.headers()) {
            self.renew(&session, &mut answer);
        }
        Ok(answer)
    }

    async fn carry(
        self: Rc<Self>,
        client: upgrade::OnUpgrade,
        prosody: upgrade::OnUpgrade,
        Socket {
            session,
            room,
            registration,
            attendance,
            longest,
            stay,
            facts,
        }: Socket,
    ) {
        let (client, prosody) = match tokio::try_join!(client, prosody) {
            Ok((client, prosody)) => (TokioIo::new(client), TokioIo::new(prosody)),
            Err(error) => {
                debug!(%error, request = %facts.id, "a client left during the handshake");
                return;
            }
        };
        let open = self.metrics.open_stream(StreamKind::WebSocket);
        let ends = self.gateway.sessions.ends_at_latest(&session);
        let left = ends.since(self.gateway.clock.now());
        let left = longest.map_or(left, |longest| longest.min(left));
        let ended = tunnel::run(client, prosody, registration, left).await;
        drop((attendance, stay));
        drop(open);
        let who = Who {
            session: &session,
            room: &room,
        };
        let transport = Transport::WebSocket;
        match ended {
            tunnel::Ended::Closed => audit::left(&who, transport, "closed", &facts),
            tunnel::Ended::Broken => audit::left(&who, transport, "broken", &facts),
            tunnel::Ended::Cut(end) => {
                self.metrics.count_cut(transport, end.reason());
                audit::cut(&who, transport, end, &facts);
            }
        }
    }
}

/// Checks a client's handshake (RFC 6455 § 4.2.1, RFC 7395 § 3.1) and gives its key. What Prosody
/// would let pass (any version, no key) never reaches it.
fn handshake_key(request: &Request<Incoming>) -> Result<HeaderValue, Failure> {
    let headers = request.headers();
    if *request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(Failure::Handshake("it is no HTTP/1.1 GET"));
    }
    let plain = !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if !plain {
        return Err(Failure::Handshake("it has a body"));
    }
    let upgrades = headers::lists(headers, &header::UPGRADE, "websocket")
        && headers::lists(headers, &header::CONNECTION, "upgrade");
    if !upgrades {
        return Err(Failure::Handshake("it does not ask for a WebSocket"));
    }
    if single(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Failure::WebSocketVersion);
    }
    if !headers::lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, "xmpp") {
        return Err(Failure::Handshake("it does not offer the subprotocol xmpp"));
    }
    let key =
        single(headers, &header::SEC_WEBSOCKET_KEY).ok_or(Failure::Handshake("it has no key"))?;
    match BASE64_STANDARD.decode(key.as_bytes()) {
        Ok(bytes) if bytes.len() == KEY_BYTES => Ok(key.clone()),
        _ => Err(Failure::Handshake("its key is not 16 bytes of base64")),
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Checks that Prosody took the handshake; anything else never becomes a tunnel.
fn check_switch(answer: &Response<Incoming>, expected: &HeaderValue) -> Result<(), Failure> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::UpstreamAnswer(
            "a refusal of the WebSocket; is `mod_websocket` loaded?",
        ));
    }
    let headers = answer.headers();
    let right = headers::lists(headers, &header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_ACCEPT) == Some(expected)
        && headers
            .get(header::SEC_WEBSOCKET_PROTOCOL)
            .is_some_and(|protocol| protocol == "xmpp");
    if right {
        Ok(())
    } else {
        Err(Failure::UpstreamAnswer("another WebSocket's handshake"))
    }
}

fn switch(accept: HeaderValue) -> Response<Body> {
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static("xmpp"),
    );
    answer
}

/// What the server answers to a key (RFC 6455 § 4.2.2).
fn accept_of(key: &HeaderValue) -> HeaderValue {
    use aws_lc_rs::digest;
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(BASE64_STANDARD.encode(context.finish().as_ref()))
        .expect("base64 can stand in a header")
}

const KEY_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_the_standards_example() {
        // RFC 6455 § 1.3
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
