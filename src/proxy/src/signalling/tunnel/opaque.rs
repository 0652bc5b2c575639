//! The tunnel of a WebSocket that is not XMPP, such as a whiteboard's: bytes pass as they come in both
//! directions.
//!
//! The gateway's own close frame is the only one that it writes, and only to the client; the server's
//! connection is closed without one, as if the client had vanished.

use std::{borrow::Cow, future::poll_fn, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{
    CLOSE_FRAME_TIMEOUT, Ended, FrameBoundary, Side, backlog::Backlog, client_frames::Accepted,
    finish_frame, linger, message_frame, server_frames::ServerFrames,
};
use crate::connections::{CloseReason, Registration};

/// A WebSocket between a client and a server that is not Prosody.
pub(crate) struct OpaqueTunnel<C, S> {
    pub(crate) client: C,
    pub(crate) server: S,
    pub(crate) registration: Registration,
}

/// Where the server's frames end.
#[derive(Debug, Default)]
struct ServerBoundary(ServerFrames);

// === impl OpaqueTunnel ===

impl<C, S> OpaqueTunnel<C, S>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Copies until the end of either side, of the session after `lifetime`, or a stop; then closes both
    /// connections. Gives the reason if the gateway ended it.
    pub(crate) async fn run(self, lifetime: Duration) -> Option<CloseReason> {
        let Self {
            mut client,
            mut server,
            mut registration,
        } = self;
        let mut boundary = ServerBoundary::default();
        let mut up = Backlog::new(|_, bytes| unchanged(bytes));
        let mut down = Backlog::new(ServerBoundary::of_server);
        let (side, ended) = {
            let copying = poll_fn(|cx| {
                let moved = up.poll(cx, &mut client, &mut server, &mut boundary);
                if let Poll::Ready(end) = moved {
                    return Poll::Ready(end.of(Side::Client, Side::Server));
                }
                down.poll(cx, &mut server, &mut client, &mut boundary)
                    .map(|end| end.of(Side::Server, Side::Client))
            });
            tokio::select! {
                outcome = copying => outcome,
                reason = registration.closed() => (Side::Gateway, Ended::Cut(reason)),
                () = sleep(lifetime) => (Side::Gateway, Ended::Cut(CloseReason::Expired)),
            }
        };
        let cut = match ended {
            Ended::Cut(reason) => Some(reason),
            Ended::Closed | Ended::Broken | Ended::Refused(_) => None,
        };
        if let Some(reason) = cut {
            let frame = message_frame::close(reason.close_code(), reason.close_text());
            let closing = async {
                finish_frame(&mut server, &mut client, &mut down, &mut boundary).await;
                client.write_all(&frame).await?;
                client.flush().await
            };
            let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, closing).await;
        }
        // The server first: a client may not be reading.
        let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, server.shutdown()).await;
        drop(server);
        let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, client.shutdown()).await;
        if side != Side::Client {
            linger(client).await;
        }
        cut
    }
}

// === impl ServerBoundary ===

impl ServerBoundary {
    fn of_server<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        self.0.pass(bytes, |_| {});
        unchanged(bytes)
    }
}

fn unchanged(bytes: &[u8]) -> Accepted<'_> {
    Accepted {
        forward: Cow::Borrowed(bytes),
        end: None,
    }
}

impl FrameBoundary for ServerBoundary {
    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::{
        connections::{ConnectionKind, ConnectionRegistry},
        testing::principal,
    };

    struct Bench {
        client: DuplexStream,
        server: DuplexStream,
        connections: ConnectionRegistry,
        running: tokio::task::JoinHandle<Option<CloseReason>>,
    }

    fn bench(lifetime: Duration) -> Bench {
        let (client, near) = duplex(256);
        let (far, server) = duplex(256);
        let connections = ConnectionRegistry::default();
        let registration =
            connections.register(Rc::clone(&principal()), ConnectionKind::Socket, None);
        let tunnel = OpaqueTunnel {
            client: near,
            server: far,
            registration,
        };
        let running = tokio::task::spawn_local(tunnel.run(lifetime));
        Bench {
            client,
            server,
            connections,
            running,
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
    fn bytes_pass_in_both_directions_and_a_side_that_ends_ends_the_other() {
        local(async {
            let mut bench = bench(Duration::MAX);
            let mut bytes = [0; 3];
            bench.client.write_all(b"\x81\x80a").await.unwrap();
            bench.server.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"\x81\x80a");
            bench.server.write_all(b"\x81\x01b").await.unwrap();
            bench.client.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"\x81\x01b");
            drop(bench.server);
            assert_eq!(bench.client.read(&mut bytes).await.unwrap(), 0);
            drop(bench.client);
            assert_eq!(bench.running.await.unwrap(), None);
        });
    }

    #[test]
    fn a_cut_closes_both_sides_with_a_close_frame_behind_the_frame_that_is_under_way() {
        local(async {
            let mut bench = bench(Duration::MAX);
            bench.server.write_all(b"\x81\x04ab").await.unwrap();
            let mut seen = vec![0; 4];
            bench.client.read_exact(&mut seen).await.unwrap();
            bench
                .connections
                .end_admitted(|_, _| Some(CloseReason::Refused));
            let all = bench.connections.clone();
            all.end_sockets(
                crate::DrainSchedule::AT_ONCE,
                &model::random::Random::system(),
            )
            .await;
            bench.server.write_all(b"cd").await.unwrap();
            bench.client.read_to_end(&mut seen).await.unwrap();
            assert_eq!(seen, b"\x81\x04abcd\x88\x02\x03\xe9");
            let mut rest = Vec::new();
            bench.server.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{rest:?}");
            assert_eq!(bench.running.await.unwrap(), Some(CloseReason::Shutdown));
        });
    }

    #[test]
    fn a_client_that_reads_nothing_and_a_server_that_stops_within_a_frame_do_not_delay_a_cut() {
        local(async {
            let mut bench = bench(Duration::from_secs(5));
            // More than the client's side takes.
            let flood = [&b"\x82\x7e\x10\x00"[..], &[0; 1000]].concat();
            let began = tokio::time::Instant::now();
            let _: Result<_, _> =
                timeout(Duration::from_secs(4), bench.server.write_all(&flood)).await;
            let mut rest = Vec::new();
            bench.server.read_to_end(&mut rest).await.unwrap();
            let took = began.elapsed();
            assert!(took < Duration::from_secs(6), "{took:?}");
            assert!(took >= Duration::from_secs(5), "{took:?}");
        });
    }
}
