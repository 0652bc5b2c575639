//! The tunnel of a WebSocket: copies frames in both directions until one side or the gateway ends it.
//!
//! Towards the client bytes pass as they come. Towards Prosody only whole frames pass
//! ([`client_frames`]), so that the gateway can end the stream there at any moment ([`stream_end`]).
//! An idle tunnel holds no buffer: all tunnels of a worker read into one.
//!
//! A client that leaves without closing its stream may come back and resume it (XEP-0198). If its
//! connection to Prosody ended with the client's, Prosody would keep the stream out of the gateway's
//! reach: a [`HeldStream`] keeps the connection until the stream is resumed over another one.

mod client_frames;
mod held_stream;
mod server_frames;
mod stream_end;

use std::{
    borrow::Cow,
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use model::negotiation::{StreamNegotiation, StreamPolicy};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{sleep, timeout},
};

use self::{
    client_frames::{Accepted, ClientEnd, ClientFrames, FrameError},
    server_frames::ServerFrames,
    stream_end::discard,
};
pub(crate) use self::held_stream::HeldStream;
use crate::connections::{CloseReason, Registration};

/// A WebSocket between a client and Prosody.
pub(crate) struct Tunnel<C, P> {
    pub(crate) client: C,
    pub(crate) prosody: P,
    pub(crate) registration: Registration,
    pub(crate) policy: StreamPolicy,
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
    Prosody,
    Gateway,
}

/// Gives the bytes that may pass.
type Inspect = for<'b> fn(&mut Inspection, &'b [u8]) -> Accepted<'b>;

/// Bytes of one direction that the writer did not take yet.
#[derive(Debug)]
struct Backlog {
    inspect: Inspect,
    bytes: Vec<u8>,
    written: usize,
    /// Set when nothing follows; reported after the remaining bytes are written.
    finished: Option<Finished>,
    unflushed: bool,
}

/// How one direction ended.
#[derive(Clone, Copy, Debug)]
enum Finished {
    /// The reader's stream ended.
    Ended,
    ReadFailed,
    WriteFailed,
    /// The reader's frames end the tunnel.
    Stopped(ClientEnd),
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
    /// Copies frames until the end of either side, of the session after `lifetime`, or a stop. If the
    /// client can resume its stream, the connection to Prosody is returned, too.
    pub(crate) async fn run(self, lifetime: Duration) -> (Ended, Option<HeldStream<P>>) {
        let Self {
            mut client,
            mut prosody,
            mut registration,
            policy,
        } = self;
        let mut inspection = Inspection::new(policy);
        let mut up = Backlog::new(Inspection::from_client);
        let mut down = Backlog::new(Inspection::from_prosody);
        let (side, ended) = {
            let copying = poll_fn(|cx| {
                let moved = up.poll(cx, &mut client, &mut prosody, &mut inspection);
                if let Poll::Ready(end) = moved {
                    return Poll::Ready(end.of(Side::Client, Side::Prosody));
                }
                down.poll(cx, &mut prosody, &mut client, &mut inspection)
                    .map(|end| end.of(Side::Prosody, Side::Client))
            });
            tokio::select! {
                outcome = copying => outcome,
                reason = registration.closed() => (Side::Gateway, Ended::Cut(reason)),
                () = sleep(lifetime) => (Side::Gateway, Ended::Cut(CloseReason::Expired)),
            }
        };
        let held = side == Side::Client && inspection.resumable && registration.hold();
        if side == Side::Prosody {
            let _ = client.shutdown().await;
            linger(client).await;
            return (ended, None);
        }
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
            return (ended, Some(HeldStream::new(prosody, up, registration)));
        }
        tokio::join!(linger(client), async {
            if ends_stream {
                stream_end::wait(&mut prosody).await;
            }
            let _: Result<_, _> = timeout(CLOSE_FRAME_TIMEOUT, prosody.shutdown()).await;
        });
        (ended, None)
    }
}

/// Reads and drops what a client still sends. A socket that is closed with unread bytes is reset,
/// and the client may lose the close frame that is under way to it.
async fn linger<C: AsyncRead + Unpin>(mut client: C) {
    let _: Result<_, _> = timeout(LINGER, discard(&mut client)).await;
}

/// Copies towards the client until a frame is complete, or Prosody ends.
async fn finish_frame<C, P>(
    prosody: &mut P,
    client: &mut C,
    down: &mut Backlog,
    inspection: &mut Inspection,
) where
    C: AsyncWrite + Unpin,
    P: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        while !(inspection.server.is_whole() && down.is_empty()) {
            if down.poll_once(cx, prosody, client, inspection).is_ready() {
                return Poll::Ready(());
            }
            if !(inspection.server.is_whole() && down.is_empty()) {
                return Poll::Pending;
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
    fn new(policy: StreamPolicy) -> Self {
        Self {
            client: ClientFrames::default(),
            server: ServerFrames::default(),
            negotiation: StreamNegotiation::new(policy),
            resumable: false,
        }
    }

    fn from_client<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
        self.client.accept(bytes, &mut self.negotiation)
    }

    fn from_prosody<'b>(&mut self, bytes: &'b [u8]) -> Accepted<'b> {
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

// === impl Backlog ===

impl Backlog {
    fn new(inspect: Inspect) -> Self {
        Self {
            inspect,
            bytes: Vec::new(),
            written: 0,
            finished: None,
            unflushed: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Moves as many bytes as both sides take. Ready when nothing follows and all is written.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        inspection: &mut Inspection,
    ) -> Poll<Finished>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // Bounded, so that a busy tunnel does not starve the others of its worker.
        for _ in 0..TURNS {
            match self.poll_once(cx, reader, writer, inspection) {
                Poll::Ready(Some(finished)) => return Poll::Ready(finished),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is left, reads once, and writes as much of that as the writer takes.
    fn poll_once<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        inspection: &mut Inspection,
    ) -> Poll<Option<Finished>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if ready!(self.poll_write_backlog(cx, writer)).is_err() {
            return Poll::Ready(Some(Finished::WriteFailed));
        }
        if self.finished.is_some() {
            return Poll::Ready(self.finished);
        }
        match self.poll_read_once(cx, reader, writer, inspection) {
            Poll::Ready(Ok(())) => Poll::Ready(None),
            Poll::Ready(Err(failed)) => Poll::Ready(Some(failed)),
            Poll::Pending => {
                if self.unflushed {
                    match Pin::new(writer).poll_flush(cx) {
                        Poll::Ready(Err(_)) => {
                            return Poll::Ready(Some(Finished::WriteFailed));
                        }
                        flushed => self.unflushed = flushed.is_pending(),
                    }
                }
                Poll::Pending
            }
        }
    }

    fn poll_write_backlog<W>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(left) = self
            .bytes
            .get(self.written..)
            .filter(|left| !left.is_empty())
        {
            match Pin::new(&mut *writer).poll_write(cx, left)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => self.written += count,
                Poll::Pending => return Poll::Pending,
            }
        }
        // Releases the memory: most tunnels never need it again.
        self.bytes = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read_once<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        inspection: &mut Inspection,
    ) -> Poll<Result<(), Finished>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            if ready!(Pin::new(reader).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(Err(Finished::ReadFailed));
            }
            if buffer.filled().is_empty() {
                self.finished = Some(Finished::Ended);
                return Poll::Ready(Ok(()));
            }
            let Accepted { forward, end } = (self.inspect)(inspection, buffer.filled());
            self.finished = end.map(Finished::Stopped);
            let mut data = &*forward;
            while !data.is_empty() {
                match Pin::new(&mut *writer).poll_write(cx, data) {
                    Poll::Ready(Ok(0) | Err(_)) => {
                        return Poll::Ready(Err(Finished::WriteFailed));
                    }
                    Poll::Ready(Ok(count)) => {
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
    /// The read buffer of all tunnels of this worker; used within one poll only.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Four TLS records (RFC 8446 § 5.1).
const SCRATCH_BYTES: usize = 64 * 1024;

/// Reads of one direction before the tunnel yields.
const TURNS: usize = 16;

/// Enough for a close frame on a working connection.
const CLOSE_FRAME_TIMEOUT: Duration = Duration::from_millis(700);

/// A client answers a close frame within a round trip, and closes the connection.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
