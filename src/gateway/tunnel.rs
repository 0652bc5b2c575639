//! The tunnel of a WebSocket: bytes both ways, unread, until one side or the gateway ends it.
//!
//! Frames are not parsed but for where they end in the direction of the client, so that the
//! gateway's own close frame never lands inside one. While nothing flows a tunnel holds no buffer:
//! all tunnels of a worker read into one.

mod frames;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{sleep, timeout},
};

use self::frames::FrameBoundary;
use super::live::{End, Registration};

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// One of the two sides closed it.
    Closed,
    /// A side broke off.
    Broken,
    /// The gateway did.
    Cut(End),
}

/// One direction's bytes that could not be written yet.
#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    written: usize,
    /// The reader has ended; what is left is to be written, then the writer closed.
    ended: bool,
    unflushed: bool,
}

/// Carries bytes between a client and Prosody until the end.
pub(crate) async fn run<C, P>(
    mut client: C,
    mut prosody: P,
    mut registration: Registration,
    lifetime: Duration,
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let mut frames = FrameBoundary::default();
    let (mut up, mut down) = (Backlog::default(), Backlog::default());
    let end = {
        let copying = poll_fn(|cx| {
            let up = up.poll(cx, &mut client, &mut prosody, |_| {})?;
            let down = down.poll(cx, &mut prosody, &mut client, |bytes| frames.pass(bytes))?;
            // The end of one direction is the end of the connection: a WebSocket without answers
            // is none.
            if up.is_ready() || down.is_ready() {
                Poll::Ready(io::Result::Ok(()))
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            outcome = copying => Err(outcome),
            end = registration.told_to_end() => Ok(end),
            () = sleep(lifetime) => Ok(End::Expired),
        }
    };
    let ended = match end {
        Err(Ok(())) => Ended::Closed,
        Err(Err(_)) => Ended::Broken,
        Ok(end) => Ended::Cut(end),
    };
    // Whatever happens to the other side, neither is waited for longer.
    let farewell = async {
        if let Ended::Cut(end) = ended {
            finish_frame(&mut prosody, &mut client, &mut down, &mut frames).await?;
            client.write_all(&close_frame(end.close_code())).await?;
        }
        let _ = tokio::join!(client.shutdown(), prosody.shutdown());
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, farewell).await;
    ended
}

/// Carries on towards the client until a frame is whole.
async fn finish_frame<C, P>(
    prosody: &mut P,
    client: &mut C,
    down: &mut Backlog,
    frames: &mut FrameBoundary,
) -> io::Result<()>
where
    C: AsyncWrite + Unpin,
    P: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        while !(frames.is_whole() && down.is_empty()) {
            // Ready only when Prosody ends: then no frame will ever be whole.
            if down
                .poll(cx, prosody, client, |bytes| frames.pass(bytes))?
                .is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            if !(frames.is_whole() && down.is_empty()) {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

// === impl Backlog ===

impl Backlog {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Moves as many bytes as both sides take. Ready when the reader ended and all is written.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        mut seen: impl FnMut(&[u8]),
    ) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // A bound on the turns keeps one busy tunnel from starving its worker's others.
        for _ in 0..TURNS {
            if self.poll_write_backlog(cx, writer)?.is_pending() {
                return Ok(Poll::Pending);
            }
            if self.ended {
                return Ok(Poll::Ready(()));
            }
            match self.poll_read_once(cx, reader, writer, &mut seen) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    if self.unflushed {
                        self.unflushed = Pin::new(writer).poll_flush(cx)?.is_pending();
                    }
                    return Ok(Poll::Pending);
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    fn poll_write_backlog<W>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> io::Result<Poll<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(left) = self
            .bytes
            .get(self.written..)
            .filter(|left| !left.is_empty())
        {
            match Pin::new(&mut *writer).poll_write(cx, left)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => self.written += count,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        // Gives the memory back, too: most tunnels never need it again.
        self.bytes = Vec::new();
        self.written = 0;
        Ok(Poll::Ready(()))
    }

    fn poll_read_once<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        seen: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(reader).poll_read(cx, &mut buffer))?;
            let mut data = buffer.filled();
            if data.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            seen(data);
            while !data.is_empty() {
                match Pin::new(&mut *writer).poll_write(cx, data)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(count) => {
                        self.unflushed = true;
                        data = data.get(count..).unwrap_or_default();
                    }
                    Poll::Pending => {
                        self.bytes = data.to_vec();
                        break;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// A close frame from server to client: unmasked, with a code and no reason (RFC 6455 § 5.5.1).
fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

thread_local! {
    /// What this worker's tunnels read into; used within one poll only.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Four TLS records (RFC 8446 § 5.1).
const SCRATCH_BYTES: usize = 64 * 1024;

/// How many reads of one direction are done before others get their turn.
const TURNS: usize = 16;

/// Enough for a close frame on a working connection.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::{
        clock::Clock,
        gateway::live::{Kind, Live},
        identity::{Identity, Verified},
        random::Random,
        revocation::{Revocations, Selector},
        seal::Keyring,
        session::{Session, SessionCodec, Settings},
    };

    struct Rig {
        live: Live,
        session: Rc<Session>,
        client: DuplexStream,
        prosody: DuplexStream,
        tunnel: tokio::task::JoinHandle<Ended>,
    }

    fn rig(lifetime: Duration, buffer: usize) -> Rig {
        let settings = Settings {
            idle: lifetime,
            absolute: lifetime,
        };
        let codec = SessionCodec::new(&Keyring::of([1; 32]), "o", settings, Clock::system());
        let who = Verified::by_provider(Identity::default());
        let session = Rc::new(codec.begin(who, None, &Random::system()));
        let live = Live::default();
        let registration = live.register(Rc::clone(&session), Kind::Socket);
        let (client, client_end) = duplex(buffer);
        let (prosody, prosody_end) = duplex(buffer);
        let tunnel = tokio::task::spawn_local(run(client_end, prosody_end, registration, lifetime));
        Rig {
            live,
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
                live,
                session,
                mut client,
                mut prosody,
                tunnel,
            } = rig(Duration::from_hours(1), 1024);
            // Half of a text frame of four bytes.
            prosody.write_all(&[0x81, 4, b'a', b'b']).await.unwrap();
            let mut half = [0; 4];
            client.read_exact(&mut half).await.unwrap();
            let revocations = Revocations::new(Duration::from_hours(1), Clock::system());
            live.end_revoked(&revocations);
            revocations.revoke(Selector::Session(session.id().clone()));
            live.end_revoked(&revocations);
            prosody.write_all(b"cd").await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, [b'c', b'd', 0x88, 2, 0x03, 0xf0]);
            assert!(matches!(tunnel.await.unwrap(), Ended::Cut(End::Revoked)));
        });
    }

    #[test]
    fn a_frame_that_never_becomes_whole_does_not_keep_a_socket_alive() {
        local(async {
            let Rig {
                live,
                mut client,
                mut prosody,
                tunnel,
                ..
            } = rig(Duration::from_hours(1), 64);
            prosody.write_all(&[0x81, 100]).await.unwrap();
            let mut head = [0; 2];
            client.read_exact(&mut head).await.unwrap();
            live.end_sockets();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty());
            assert!(matches!(tunnel.await.unwrap(), Ended::Cut(End::Shutdown)));
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
            assert!(matches!(tunnel.await.unwrap(), Ended::Cut(End::Expired)));
        });
    }
}
