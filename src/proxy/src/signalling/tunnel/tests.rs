mod takeover;

use std::{cell::RefCell, rc::Rc};

use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
    time::Instant,
};

use super::*;
use crate::{
    DrainSchedule,
    connections::{ConnectionKind, ConnectionRegistry},
};
use cluster::revocation::{Revocations, Selector};
use model::{clock::Clock, negotiation::NegotiationError, random::Random, session::Principal};

use crate::testing::principal;

type Run<P> = JoinHandle<(Ended, Option<HeldStream<P>>)>;

struct Rig {
    people: People,
    client: DuplexStream,
    prosody: DuplexStream,
    tunnel: Run<DuplexStream>,
}

/// A session with one registered connection.
struct People {
    connections: ConnectionRegistry,
    session: Rc<Principal>,
}

// === impl People ===

impl People {
    fn new() -> (Self, Registration) {
        let (connections, session) = (ConnectionRegistry::default(), principal());
        let registration = connections.register(Rc::clone(&session), ConnectionKind::Socket, None);
        let people = Self {
            connections,
            session,
        };
        (people, registration)
    }

    fn revoke(&self) {
        let (revocations, _sync) = Revocations::new(Duration::from_hours(1), Clock::system());
        self.connections.end_revoked(&revocations);
        let credential = self.session.credentials().next().unwrap();
        drop(revocations.revoke(Selector::Session(credential.into())));
        self.connections.end_revoked(&revocations);
    }

    async fn stop(&self) {
        self.connections
            .end_sockets(DrainSchedule::AT_ONCE, &Random::system())
            .await;
    }
}

/// A tunnel over pipes of so many bytes, for a session that lasts an hour.
fn rig(buffer: usize) -> Rig {
    rig_of(buffer, Duration::from_hours(1))
}

fn rig_of(buffer: usize, lifetime: Duration) -> Rig {
    let (people, registration) = People::new();
    let (client, client_end) = duplex(buffer);
    let (prosody, prosody_end) = duplex(buffer);
    let tunnel = tunnel(client_end, prosody_end, registration);
    Rig {
        people,
        client,
        prosody,
        tunnel: spawn_local(run(tunnel, lifetime)),
    }
}

fn tunnel<C, P>(client: C, prosody: P, registration: Registration) -> Tunnel<C, P> {
    Tunnel {
        client,
        prosody,
        registration,
        negotiation: testing::negotiation(true),
        budget: ByteBudget::default(),
        takeover: None,
    }
}

async fn run<C, P>(tunnel: Tunnel<C, P>, lifetime: Duration) -> (Ended, Option<HeldStream<P>>)
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    P: AsyncRead + AsyncWrite + Reset + Unpin,
{
    let (ended, tunnel) = tunnel.run(lifetime).await;
    (ended, tunnel.close().await)
}

fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(test)
}

// === impl Rig ===

impl Rig {
    /// The client authenticates, as lib-jitsi-meet does; `resumes` enables stream management.
    async fn negotiate(&mut self, resumes: bool) {
        for (from_client, from_prosody) in [
            (OPEN, "<features/>"),
            (AUTH, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
            (OPEN, "<features/>"),
        ] {
            exchange(&mut self.client, &mut self.prosody, &masked(from_client)).await;
            exchange(&mut self.prosody, &mut self.client, &text(from_prosody)).await;
        }
        if resumes {
            let bound = text(testing::BOUND);
            exchange(&mut self.prosody, &mut self.client, &bound).await;
            let enabled = "<enabled xmlns='urn:xmpp:sm:3' id='1' resume='true'/>";
            self.prosody.write_all(&text(enabled)).await.unwrap();
            let id = testing::binding().bind("1");
            let expected = text(&enabled.replace("'1'", &format!("'{id}'")));
            let mut received = vec![0; expected.len()];
            self.client.read_exact(&mut received).await.unwrap();
            assert_eq!(received, expected);
        }
    }
}

/// Sends bytes through the tunnel and receives them unchanged.
async fn exchange(from: &mut DuplexStream, to: &mut DuplexStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    let mut received = vec![0; bytes.len()];
    to.read_exact(&mut received).await.unwrap();
    assert_eq!(received, bytes);
}

/// A text frame of Prosody.
fn text(message: &str) -> Vec<u8> {
    message_frame::to_client(message)
}

/// A text frame of a client, with a mask of zeros.
fn masked(message: &str) -> Vec<u8> {
    let length = u8::try_from(message.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat()
}

/// All that arrives until the end.
async fn rest_of(stream: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

/// The frames by which the gateway ends a stream at Prosody.
fn stream_end() -> Vec<u8> {
    [
        "<presence xmlns='jabber:client' type='unavailable'/>",
        "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
        "<]]>-->?></stream:stream>",
    ]
    .map(masked)
    .concat()
}

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";

/// 1008 of RFC 6455 § 7.4.1.
const POLICY: [u8; 4] = [0x88, 2, 0x03, 0xf0];

#[test]
fn frames_pass_unchanged_through_small_pipes() {
    local(async {
        let Rig {
            mut client,
            mut prosody,
            ..
        } = rig(7);
        let up = [masked(OPEN), masked(AUTH)].concat();
        let down: Vec<u8> = (0..3000).flat_map(|_| text("<message/>")).collect();
        let (mut at_prosody, mut at_client) = (vec![0; up.len()], vec![0; down.len()]);
        tokio::try_join!(client.write_all(&up), prosody.read_exact(&mut at_prosody)).unwrap();
        tokio::try_join!(prosody.write_all(&down), client.read_exact(&mut at_client)).unwrap();
        assert!(at_prosody == up && at_client == down);
    });
}

#[test]
fn a_client_that_leaves_without_resumption_has_its_stream_ended() {
    local(async {
        let mut rig = rig(1024);
        rig.negotiate(false).await;
        drop(rig.client);
        assert_eq!(rest_of(&mut rig.prosody).await, stream_end());
        let (ended, held) = rig.tunnel.await.unwrap();
        assert!(matches!(ended, Ended::Closed | Ended::Broken));
        assert!(held.is_none());
    });
}

#[test]
fn a_revoked_session_loses_its_socket_with_a_close_frame_after_a_whole_frame() {
    local(async {
        let Rig {
            people,
            mut client,
            mut prosody,
            tunnel,
        } = rig(1024);
        // Half of a text frame of four bytes.
        exchange(&mut prosody, &mut client, &[0x81, 4, b'a', b'b']).await;
        people.revoke();
        // The rest arrives in two parts.
        exchange(&mut prosody, &mut client, b"c").await;
        prosody.write_all(b"d").await.unwrap();
        let closing = rest_of(&mut client);
        assert_eq!(closing.await, b"d\x88\x0c\x03\xf0signed-out");
        drop((client, prosody));
        let (ended, _) = tunnel.await.unwrap();
        assert!(matches!(ended, Ended::Cut(CloseReason::Revoked(_))));
    });
}

#[test]
fn the_stream_of_a_revoked_session_ends_at_prosody_whatever_the_client_left_open() {
    for unfinished in [
        &[0x81][..],
        &[0x81, 0xfe, 1],
        &[0x81, 0x84, 0, 0, 0, 0, b'<'],
        // A close frame that is not whole.
        &[0x88, 0x82, 0, 0],
    ] {
        local(async {
            let mut rig = rig(1024);
            rig.negotiate(true).await;
            rig.client.write_all(unfinished).await.unwrap();
            rig.people.revoke();
            assert_eq!(
                rest_of(&mut rig.prosody).await,
                stream_end(),
                "{unfinished:?}"
            );
            drop(rig.client);
            let (ended, _) = rig.tunnel.await.unwrap();
            assert!(matches!(ended, Ended::Cut(CloseReason::Revoked(_))));
        });
    }
}

#[test]
fn a_client_that_does_not_read_does_not_delay_the_end_at_prosody() {
    local(async {
        let mut rig = rig(64);
        rig.prosody.write_all(&[0x81, 126, 1, 0]).await.unwrap();
        rig.people.revoke();
        let began = Instant::now();
        assert_eq!(rest_of(&mut rig.prosody).await, stream_end());
        assert!(began.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_stop_lets_streams_be_resumed() {
    local(async {
        let mut rig = rig(1024);
        rig.negotiate(true).await;
        rig.people.stop().await;
        assert!(rest_of(&mut rig.prosody).await.is_empty());
        assert_eq!(rest_of(&mut rig.client).await, [0x88, 2, 0x03, 0xe9]);
        drop(rig.client);
        let (ended, held) = rig.tunnel.await.unwrap();
        assert!(matches!(ended, Ended::Cut(CloseReason::Shutdown)));
        assert!(held.is_none());
    });
}

#[test]
fn a_frame_of_prosody_that_never_becomes_whole_does_not_keep_a_socket_alive() {
    local(async {
        let mut rig = rig(1024);
        rig.negotiate(true).await;
        exchange(&mut rig.prosody, &mut rig.client, &[0x81, 100]).await;
        rig.people.stop().await;
        assert!(rest_of(&mut rig.client).await.is_empty());
        let (ended, _) = rig.tunnel.await.unwrap();
        assert!(matches!(ended, Ended::Cut(CloseReason::Shutdown)));
    });
}

#[test]
fn the_end_of_the_session_is_the_end_of_the_socket() {
    local(async {
        let mut rig = rig_of(64, Duration::from_hours(1));
        assert_eq!(rest_of(&mut rig.client).await, POLICY);
        drop((rig.client, rig.prosody));
        let (ended, _) = rig.tunnel.await.unwrap();
        assert!(matches!(ended, Ended::Cut(CloseReason::Expired)));
    });
}

#[test]
fn a_stream_for_another_domain_never_reaches_prosody() {
    local(async {
        let mut rig = rig(1024);
        let open = OPEN.replace("meet.jitsi", "guest.meet.jitsi");
        rig.client.write_all(&masked(&open)).await.unwrap();
        assert_eq!(rest_of(&mut rig.prosody).await, stream_end());
        assert_eq!(rest_of(&mut rig.client).await, POLICY);
        drop(rig.client);
        let (ended, _) = rig.tunnel.await.unwrap();
        let error = FrameError::Negotiation(NegotiationError::Domain);
        assert!(matches!(ended, Ended::Refused(refused) if refused == error));
    });
}

#[test]
fn the_stream_of_a_client_that_is_away_can_be_resumed_and_revoked() {
    // What the client sent last, and whether its session is revoked then; else it stays away.
    let cases: [(&str, bool, &[u8]); 4] = [
        ("nothing", true, &[]),
        ("a close frame", true, &[0x88, 0x80, 0, 0, 0, 0]),
        ("half a frame", true, &[0x81]),
        ("nothing, and stays away", false, &[]),
    ];
    for (name, revoked, last) in cases {
        local(async {
            let mut rig = rig(1024);
            rig.negotiate(true).await;
            rig.client.write_all(last).await.unwrap();
            drop(rig.client);
            let (ended, held) = rig.tunnel.await.unwrap();
            assert!(matches!(ended, Ended::Closed | Ended::Broken), "{name}");
            let watching = spawn_local(held.unwrap().watch(Duration::from_hours(1)));
            // Prosody goes on to send.
            rig.prosody.write_all(&text("<message/>")).await.unwrap();
            if revoked {
                rig.people.revoke();
            }
            assert_eq!(rest_of(&mut rig.prosody).await, stream_end(), "{name}");
            watching.await.unwrap();
        });
    }
}

#[test]
fn a_held_stream_ends_when_prosody_closes_it_and_is_left_alone_by_a_stop() {
    for stop in [false, true] {
        local(async {
            let mut rig = rig(1024);
            rig.negotiate(true).await;
            drop(rig.client);
            let (_, held) = rig.tunnel.await.unwrap();
            let watching = spawn_local(held.unwrap().watch(Duration::from_hours(1)));
            if stop {
                rig.people.stop().await;
                assert!(rest_of(&mut rig.prosody).await.is_empty());
                let reason = watching.await.unwrap();
                assert_eq!(reason, Some(CloseReason::Shutdown));
            } else {
                drop(rig.prosody);
                assert_eq!(watching.await.unwrap(), None);
            }
        });
    }
}

/// The kernel resets a TCP connection that is closed with unread bytes, and the client can lose a close
/// frame that is under way.
#[test]
fn a_client_whose_frames_are_unread_gets_its_close_frame() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    runtime.unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, client_end) = (client.unwrap(), accepted.unwrap().0);
        let (_prosody, prosody_end) = duplex(64);
        let (people, registration) = People::new();
        let tunnel = tunnel(client_end, prosody_end, registration);
        let tunnel = spawn_local(run(tunnel, Duration::from_hours(1)));
        // Prosody does not read, so most of this stays in the socket.
        let sent = [0x89, 0x80, 0, 0, 0, 0].repeat(20_000);
        client.write_all(&sent).await.unwrap();
        people.stop().await;
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, [0x88, 2, 0x03, 0xe9]);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!tunnel.is_finished());
        client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        drop(client);
        tunnel.await.unwrap();
    });
}
