//! The tunnel of a WebSocket: copies frames in both directions until one side or the gateway ends it.
//!
//! Towards the client bytes pass as they come. Towards Prosody only whole frames pass
//! ([`client_frames`]), so that the gateway can end the stream there at any moment ([`stream_end`]).
//! An idle tunnel holds no buffer: all tunnels of a worker read into one.
//!
//! A client that leaves without closing its stream may come back and resume it (XEP-0198). If its
//! connection to Prosody ended with the client's, Prosody would keep the stream out of the gateway's
//! reach: a [`HeldStream`] keeps the connection until the stream is resumed over another one.

mod answers;
mod backlog;
pub mod client_frames;
mod held_stream;
mod inspection;
pub(super) mod message_frame;
mod opaque;
mod pending_takeover;
mod server_frames;
pub(super) mod stream_end;
#[cfg(test)]
mod testing;

use std::{cell::Cell, future::poll_fn, task::Poll, time::Duration};

use model::negotiation::StreamNegotiation;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

pub(super) use self::pending_takeover::{LostStream, Takeover};
use self::{
    backlog::{Backlog, Finished},
    client_frames::{ClientEnd, FrameError},
    inspection::Inspection,
    pending_takeover::PendingTakeover,
    stream_end::{Reset, discard},
};
pub(crate) use self::{held_stream::HeldStream, opaque::OpaqueTunnel};
use crate::{
    connections::{CloseReason, Registration},
    limits::ByteBudget,
};

/// A WebSocket between a client and Prosody.
pub(crate) struct Tunnel<C, P> {
    pub(crate) client: C,
    pub(crate) prosody: P,
    pub(crate) registration: Registration,
    pub(crate) negotiation: StreamNegotiation,
    /// Of messages of clients that are incomplete.
    pub(crate) budget: ByteBudget,
    /// Ends a resumable stream that the connection does not end in time.
    pub(crate) takeover: Option<Takeover>,
}

/// The connections of a tunnel that ended.
pub(crate) struct EndedTunnel<C, P> {
    client: C,
    prosody: P,
    registration: Registration,
    takeover: Option<Takeover>,
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
            budget,
            takeover,
        } = self;
        let mut inspection = Inspection::new(negotiation, &budget);
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
            takeover,
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
    P: AsyncRead + AsyncWrite + Reset + Unpin,
{
    /// Closes both connections. If the client can resume its stream, the one to Prosody is held
    /// instead.
    pub(crate) async fn close(self) -> Option<HeldStream<P>> {
        let Self {
            mut client,
            mut prosody,
            registration,
            takeover,
            mut inspection,
            mut up,
            mut down,
            side,
            ended,
        } = self;
        let takeover = PendingTakeover::new(takeover, inspection.lost_stream(side));
        if side == Side::Server {
            let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, client.shutdown()).await;
            if takeover.has_stream() && registration.hold() {
                tokio::task::spawn_local(linger(client));
                return Some(HeldStream::new(None, up, registration, takeover));
            }
            linger(client).await;
            return None;
        }
        let held = side == Side::Client && takeover.has_stream() && registration.hold();
        // Prosody first: the client may not be reading.
        let ends_stream = match ended {
            Ended::Closed | Ended::Broken => !held,
            Ended::Cut(reason) => reason.is_for_good(),
            Ended::Refused(_) => true,
        };
        let sent = ends_stream && stream_end::send(&mut prosody, &mut up).await;
        if held {
            let finishing =
                finish_for(ended, &mut prosody, &mut client, &mut down, &mut inspection);
            let whole = timeout(CLOSE_FRAME_TIMEOUT, finishing).await.is_ok();
            close_client(&mut client, ended.close_frame().filter(|_| whole)).await;
            tokio::task::spawn_local(linger(client));
            return Some(HeldStream::new(Some(prosody), up, registration, takeover));
        }
        let gone = Cell::new(false);
        let by_connection = async {
            let within = if ends_stream {
                END_FRAME_TIMEOUT
            } else {
                CLOSE_FRAME_TIMEOUT
            };
            let finishing =
                finish_for(ended, &mut prosody, &mut client, &mut down, &mut inspection);
            let whole = timeout(within, finishing).await.is_ok();
            let of_prosody = async {
                gone.set(ends_stream && stream_end::wait(&mut prosody).await);
                if ends_stream && !gone.get() {
                    prosody.reset();
                } else {
                    let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, prosody.shutdown()).await;
                }
            };
            let of_client = async {
                close_client(&mut client, ended.close_frame().filter(|_| whole)).await;
                linger(client).await;
            };
            tokio::join!(of_client, of_prosody);
        };
        let by_takeover = async {
            if sent {
                sleep(stream_end::CLOSE_TIMEOUT).await;
            }
            if ends_stream && !gone.get() {
                takeover.run().await;
            }
        };
        tokio::join!(by_connection, by_takeover);
        None
    }
}

/// Closes the connection to a client.
async fn close_client<C: AsyncWrite + Unpin>(client: &mut C, frame: Option<Vec<u8>>) {
    let closing = async {
        if let Some(frame) = frame {
            client.write_all(&frame).await?;
        }
        client.shutdown().await
    };
    let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, closing).await;
}

/// Reads and drops what a client still sends. A socket that is closed with unread bytes is reset,
/// and the client may lose the close frame that is under way to it.
async fn linger<C: AsyncRead + Unpin>(mut client: C) {
    let _: Result<_, _> = timeout(LINGER, discard(&mut client)).await;
}

/// Completes the frame that the close frame of an end must not land in; there is none for a client that
/// is gone.
async fn finish_for<C, P>(
    ended: Ended,
    prosody: &mut P,
    client: &mut C,
    down: &mut Backlog<Inspection>,
    inspection: &mut Inspection,
) where
    C: AsyncWrite + Unpin,
    P: AsyncRead + Unpin,
{
    if ended.close_code().is_some() {
        finish_frame(prosody, client, down, inspection).await;
    }
}

/// What follows the frames of a server.
trait FrameBoundary {
    /// Whether the server's bytes so far end with a whole frame.
    fn is_whole(&self) -> bool;
}

/// Copies towards the client until a frame is complete, or the server ends.
async fn finish_frame<C, S, I>(
    server: &mut S,
    client: &mut C,
    down: &mut Backlog<I>,
    inspection: &mut I,
) where
    C: AsyncWrite + Unpin,
    S: AsyncRead + Unpin,
    I: FrameBoundary,
{
    poll_fn(|cx| {
        while !(inspection.is_whole() && down.is_empty()) {
            match down.poll_once(cx, server, client, inspection) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(_)) => return Poll::Ready(()),
                Poll::Pending if inspection.is_whole() && down.is_empty() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
}

// === impl Ended ===

impl Ended {
    /// The gateway's close frame; none when the client is gone.
    fn close_frame(self) -> Option<Vec<u8>> {
        let text = match self {
            Self::Cut(reason) => reason.close_text(),
            Self::Closed | Self::Broken | Self::Refused(_) => "",
        };
        self.close_code()
            .map(|code| message_frame::close(code, text))
    }

    /// The code of the gateway's close frame.
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

/// Enough for a close frame on a working connection.
const CLOSE_FRAME_TIMEOUT: Duration = Duration::from_millis(700);

/// The same where the end at Prosody waits for it.
const END_FRAME_TIMEOUT: Duration = Duration::from_millis(250);

/// A client answers a close frame within a round trip, and closes the connection.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
