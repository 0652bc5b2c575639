use std::rc::Rc;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::{
    DrainSchedule,
    connections::{ConnectionKind, ConnectionRegistry},
};
use cluster::revocation::{Revocations, Selector};
use model::{clock::Clock, random::Random, session::Principal};

use crate::testing::principal;

struct Rig {
    connections: ConnectionRegistry,
    session: Rc<Principal>,
    client: DuplexStream,
    prosody: DuplexStream,
    tunnel: tokio::task::JoinHandle<Ended>,
}

fn rig(lifetime: Duration, buffer: usize) -> Rig {
    let session = principal();
    let connections = ConnectionRegistry::default();
    let registration = connections.register(Rc::clone(&session), ConnectionKind::Socket, None);
    let (client, client_end) = duplex(buffer);
    let (prosody, prosody_end) = duplex(buffer);
    let tunnel = tokio::task::spawn_local(run(client_end, prosody_end, registration, lifetime));
    Rig {
        connections,
        session,
        client,
        prosody,
        tunnel,
    }
}

fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(test)
}

#[test]
fn bytes_pass_unchanged_through_small_pipes_and_ends_are_passed_on() {
    local(async {
        let Rig {
            mut client,
            mut prosody,
            tunnel,
            ..
        } = rig(Duration::from_hours(1), 7);
        let sent: Vec<u8> = (0..200_000u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let expected = sent.clone();
        let writing = tokio::task::spawn_local(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            client
        });
        let mut received = Vec::new();
        prosody.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        let _client = writing.await.unwrap();
        assert!(matches!(tunnel.await.unwrap(), Ended::Closed));
    });
}

#[test]
fn a_revoked_session_loses_its_socket_with_a_close_frame_after_a_whole_frame() {
    local(async {
        let Rig {
            connections,
            session,
            mut client,
            mut prosody,
            tunnel,
        } = rig(Duration::from_hours(1), 1024);
        // Half of a text frame of four bytes.
        prosody.write_all(&[0x81, 4, b'a', b'b']).await.unwrap();
        let mut half = [0; 4];
        client.read_exact(&mut half).await.unwrap();
        let (revocations, _sync) = Revocations::new(Duration::from_hours(1), Clock::system());
        connections.end_revoked(&revocations);
        revocations.revoke(Selector::Session(session.id().clone()));
        connections.end_revoked(&revocations);
        prosody.write_all(b"cd").await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [b'c', b'd', 0x88, 2, 0x03, 0xf0]);
        assert!(matches!(
            tunnel.await.unwrap(),
            Ended::Cut(CloseReason::Revoked(_))
        ));
    });
}

#[test]
fn prosody_is_told_that_a_revoked_stream_is_over_and_not_merely_lost() {
    local(async {
        let Rig {
            connections,
            session,
            client: _client_that_does_not_read,
            mut prosody,
            tunnel,
        } = rig(Duration::from_hours(1), 4);
        let (revocations, _sync) = Revocations::new(Duration::from_hours(1), Clock::system());
        revocations.revoke(Selector::Session(session.id().clone()));
        connections.end_revoked(&revocations);
        let mut received = Vec::new();
        prosody.read_to_end(&mut received).await.unwrap();
        let (head, payload) = received.split_at(6);
        assert_eq!(
            head[..2],
            [0x81, 0x80 | u8::try_from(payload.len()).unwrap()]
        );
        let plain: Vec<u8> = payload
            .iter()
            .zip(head[2..].iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        assert_eq!(
            plain,
            b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
        );
        assert!(matches!(
            tunnel.await.unwrap(),
            Ended::Cut(CloseReason::Revoked(_))
        ));
    });
}

#[test]
fn nothing_is_put_inside_of_a_clients_frame_and_a_stop_lets_streams_be_resumed() {
    local(async {
        for half in [true, false] {
            let Rig {
                connections,
                session,
                mut client,
                mut prosody,
                ..
            } = rig(Duration::from_hours(1), 64);
            let sent: &[u8] = if half { &[0x81, 0x84, 0, 0] } else { &[] };
            client.write_all(sent).await.unwrap();
            let mut received = vec![0; sent.len()];
            prosody.read_exact(&mut received).await.unwrap();
            if half {
                let (revocations, _sync) =
                    Revocations::new(Duration::from_hours(1), Clock::system());
                revocations.revoke(Selector::Session(session.id().clone()));
                connections.end_revoked(&revocations);
            } else {
                connections
                    .end_sockets(DrainSchedule::AT_ONCE, &Random::system())
                    .await;
            }
            let mut rest = Vec::new();
            prosody.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{half} {rest:?}");
        }
    });
}

#[test]
fn a_frame_that_never_becomes_whole_does_not_keep_a_socket_alive() {
    local(async {
        let Rig {
            connections,
            mut client,
            mut prosody,
            tunnel,
            ..
        } = rig(Duration::from_hours(1), 64);
        prosody.write_all(&[0x81, 100]).await.unwrap();
        let mut head = [0; 2];
        client.read_exact(&mut head).await.unwrap();
        connections
            .end_sockets(DrainSchedule::AT_ONCE, &Random::system())
            .await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        assert!(matches!(
            tunnel.await.unwrap(),
            Ended::Cut(CloseReason::Shutdown)
        ));
    });
}

#[test]
fn the_end_of_the_session_is_the_end_of_the_socket() {
    local(async {
        let Rig {
            mut client,
            tunnel,
            prosody: _prosody,
            ..
        } = rig(Duration::from_hours(1), 64);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 2, 0x03, 0xf0]);
        assert!(matches!(
            tunnel.await.unwrap(),
            Ended::Cut(CloseReason::Expired)
        ));
    });
}
