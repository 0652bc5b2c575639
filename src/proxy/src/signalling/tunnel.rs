//! The tunnel of a WebSocket: copies frames in both directions until one side or the gateway ends it.
//!
//! Towards the client bytes pass as they come. Towards Prosody only whole frames pass
//! ([`client_frames`]), so that the gateway can end the stream there at any moment ([`stream_end`]).
//! An idle tunnel holds no buffer: all tunnels of a worker read into one.
//!
//! A client that leaves without closing its stream may come back and resume it (XEP-0198). If its
//! connection to Prosody ended with the client's, Prosody would keep the stream out of the gateway's
//! reach: a [`HeldStream`] keeps the connection until the stream is resumed over another one.

mod backlog;
mod client_frames;
mod held_stream;
mod opaque;
mod server_frames;
mod stream_end;

use std::{borrow::Cow, future::poll_fn, task::Poll, time::Duration};

use model::negotiation::StreamNegotiation;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

use self::{
    backlog::{Backlog, Finished},
    client_frames::{Accepted, ClientEnd, ClientFrames, FrameError},
    server_frames::ServerFrames,
    stream_end::discard,
};
pub(crate) use self::{held_stream::HeldStream, opaque::OpaqueTunnel};
use crate::connections::{CloseReason, Registration};

/// A WebSocket between a client and Prosody.
pub(crate) struct Tunnel<C, P> {
    pub(crate) client: C,
    pub(crate) prosody: P,
    pub(crate) registration: Registration,
    pub(crate) negotiation: StreamNegotiation,
}

/// The connections of a tunnel that ended.
pub(crate) struct EndedTunnel<C, P> {
    client: C,
    prosody: P,
    registration: Registration,
    inspection: Inspection,
    up: Backlog<Inspection>,
    down: Backlog<Inspection>,
    side: Side,
    ended: Ended,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// One of the two sides closed it.
    Closed,
    /// A side broke off.
    Broken,
    /// The gateway ended it.
    Cut(CloseReason),
    /// The gateway ended it because of a frame of the client.
    Refused(FrameError),
}

/// The side that ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
    Gateway,
}

/// What the tunnel knows of the bytes that passed.
#[derive(Debug)]
struct Inspection {
    client: ClientFrames,
    server: ServerFrames,
    negotiation: StreamNegotiation,
    /// Prosody keeps the stream for resumption when the connection breaks.
    resumable: bool,
}

// === impl Tunnel ===

impl<C, P> Tunnel<C, P>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    P: AsyncRead + AsyncWrite + Unpin,
{
    /// Copies frames until the end of either side, of the session after `lifetime`, or a stop.
    pub(crate) async fn run(self, lifetime: Duration) -> (Ended, EndedTunnel<C, P>) {
        let Self {
            mut client,
            mut prosody,
            mut registration,
            negotiation,
        } = self;
        let mut inspection = Inspection::new(negotiation);
        let mut up = Backlog::new(Inspection::of_client);
        let mut down = Backlog::new(Inspection::of_prosody);
        let (side, ended) = {
            let copying = poll_fn(|cx| {
                let moved = up.poll(cx, &mut client, &mut prosody, &mut inspection);
                if let Poll::Ready(end) = moved {
                    return Poll::Ready(end.of(Side::Client, Side::Server));
                }
                down.poll(cx, &mut prosody, &mut client, &mut inspection)
                    .map(|end| end.of(Side::Server, Side::Client))
            });
            tokio::select! {
                outcome = copying => outcome,
                reason = registration.closed() => (Side::Gateway, Ended::Cut(reason)),
                () = sleep(lifetime) => (Side::Gateway, Ended::Cut(CloseReason::Expired)),
            }
        };
        let tunnel = EndedTunnel {
            client,
            prosody,
            registration,
            inspection,
            up,
            down,
            side,
            ended,
        };
        (ended, tunnel)
    }
}

// === impl EndedTunnel ===

impl<C, P> EndedTunnel<C, P>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    P: AsyncRead + AsyncWrite + Unpin,
{
    /// Closes both connections. If the client can resume its stream, the one to Prosody is held
    /// instead.
    pub(crate) async fn close(self) -> Option<HeldStream<P>> {
        let Self {
            mut client,
            mut prosody,
            registration,
            mut inspection,
            mut up,
            mut down,
            side,
            ended,
        } = self;
        if side == Side::Server {
            let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, client.shutdown()).await;
            linger(client).await;
            return None;
        }
        let held = side == Side::Client && inspection.resumable && registration.hold();
        // Prosody first: the client may not be reading.
        let ends_stream = match ended {
            Ended::Closed | Ended::Broken => !held,
            Ended::Cut(reason) => reason.is_for_good(),
            Ended::Refused(_) => true,
        };
        if ends_stream {
            stream_end::send(&mut prosody, &mut up).await;
        }
        let closing = async {
            if let Some(code) = ended.close_code() {
                finish_frame(&mut prosody, &mut client, &mut down, &mut inspection).await;
                client.write_all(&close_frame(code)).await?;
            }
            client.shutdown().await
        };
        let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, closing).await;
        if held {
            tokio::task::spawn_local(linger(client));
            return Some(HeldStream::new(prosody, up, registration));
        }
        tokio::join!(linger(client), async {
            if ends_stream {
                stream_end::wait(&mut prosody).await;
            }
            let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, prosody.shutdown()).await;
        });
        None
    }
}

/// Reads and drops what a client still sends. A socket that is closed with unread bytes is reset,
/// and the client may lose the close frame that is under way to it.
async fn linger<C: AsyncRead + Unpin>(mut client: C) {
    let _: Result<_, _> = timeout(LINGER, discard(&mut client)).await;
}

/// Copies towards the client until a frame is complete, or the server ends.
async fn finish_frame<C, P, I>(
    server: &mut P,
    client: &mut C,
    down: &mut Backlog<I>,
    inspection: &mut I,
) where
    C: AsyncWrite + Unpin,
    P: AsyncRead + Unpin,
    I: AsRef<ServerFrames>,
{
    poll_fn(|cx| {
        while !(inspection.as_ref().is_whole() && down.is_empty()) {
            match down.poll_once(cx, server, client, inspection) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(_)) => return Poll::Ready(()),
                Poll::Pending if inspection.as_ref().is_whole() && down.is_empty() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
}

// === impl Ended ===

impl Ended {
    /// The code of the gateway's close frame; none when the client is gone.
    const fn close_code(self) -> Option<u16> {
        match self {
            // The answer to the client's close frame.
            Self::Closed => Some(1000),
            Self::Broken => None,
            Self::Cut(reason) => Some(reason.close_code()),
            Self::Refused(error) => Some(error.close_code()),
        }
    }
}

// === impl Finished ===

impl Finished {
    /// The side that ended the tunnel, and how.
    const fn of(self, reader: Side, writer: Side) -> (Side, Ended) {
        match self {
            Self::Ended => (reader, Ended::Closed),
            Self::ReadFailed => (reader, Ended::Broken),
            Self::WriteFailed => (writer, Ended::Broken),
            Self::Stopped(ClientEnd::Close) => (Side::Client, Ended::Closed),
            Self::Stopped(ClientEnd::Refused(error)) => (Side::Gateway, Ended::Refused(error)),
        }
    }
}

// === impl Inspection ===

impl Inspection {
    fn new(negotiation: StreamNegotiation) -> Self {
        Self {
            client: ClientFrames::default(),
            server: ServerFrames::default(),
            negotiation,
            resumable: false,
        }
    }

    fn of_client<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        self.client.accept(bytes, &mut self.negotiation)
    }

    fn of_prosody<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        let mut end = None;
        self.server.pass(bytes, |beginning| {
            // XEP-0198 § 3 and § 5.
            self.resumable |= matches!(beginning, b"<enabled" | b"<resumed");
            if let Err(error) = self.negotiation.server_sent(beginning) {
                end = Some(ClientEnd::Refused(error.into()));
            }
        });
        let forward = Cow::Borrowed(bytes);
        Accepted { forward, end }
    }
}

impl AsRef<ServerFrames> for Inspection {
    fn as_ref(&self) -> &ServerFrames {
        &self.server
    }
}

/// A close frame from server to client: unmasked, with a code and no reason (RFC 6455 § 5.5.1).
fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

/// Enough for a close frame on a working connection.
const CLOSE_FRAME_TIMEOUT: Duration = Duration::from_millis(700);

/// A client answers a close frame within a round trip, and closes the connection.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
