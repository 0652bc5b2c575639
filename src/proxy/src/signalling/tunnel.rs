//! The tunnel of a WebSocket: copies bytes in both directions until one side or the gateway ends it.
//!
//! Only the boundaries of frames are tracked, so that the gateway's own last frames never land inside
//! one. An idle tunnel holds no buffer: all tunnels of a worker read into one.

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
use crate::connections::{CloseReason, Registration};

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// One of the two sides closed it.
    Closed,
    /// A side broke off.
    Broken,
    /// The gateway ended it.
    Cut(CloseReason),
}

/// Bytes of one direction that the writer did not take yet.
#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    written: usize,
    /// The reader has ended: after the remaining bytes the writer is closed.
    ended: bool,
    unflushed: bool,
}

/// Copies bytes between a client and Prosody until the end of either, of the session, or a stop.
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
    let (mut up_frames, mut frames) = (FrameBoundary::default(), FrameBoundary::default());
    let (mut up, mut down) = (Backlog::default(), Backlog::default());
    let end = {
        let copying = poll_fn(|cx| {
            let up = up.poll(cx, &mut client, &mut prosody, |bytes| up_frames.pass(bytes))?;
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
            end = registration.closed() => Ok(end),
            () = sleep(lifetime) => Ok(CloseReason::Expired),
        }
    };
    let ended = match end {
        Err(Ok(())) => Ended::Closed,
        Err(Err(_)) => Ended::Broken,
        Ok(end) => Ended::Cut(end),
    };
    // Bounded: neither side may delay the end.
    let farewell = async {
        if let Ended::Cut(end) = ended {
            // Prosody first: the client may not be reading.
            if end.is_for_good() && up_frames.is_whole() {
                let _ = timeout(LAST_WORD, end_stream(&mut prosody, &mut up)).await;
            }
            finish_frame(&mut prosody, &mut client, &mut down, &mut frames).await?;
            client.write_all(&close_frame(end.close_code())).await?;
        }
        let _ = tokio::join!(client.shutdown(), prosody.shutdown());
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, farewell).await;
    ended
}

/// Ends the XMPP stream (RFC 7395 § 3.6). After a broken connection Prosody keeps the stream for a
/// minute so that the client can resume it (XEP-0198), and the occupant stays in the room that long.
async fn end_stream<P>(prosody: &mut P, up: &mut Backlog) -> io::Result<()>
where
    P: AsyncWrite + Unpin,
{
    poll_fn(|cx| up.poll_write_backlog(cx, prosody)).await?;
    prosody.write_all(CLOSE_STREAM).await?;
    prosody.flush().await
}

/// Copies towards the client until a frame is complete.
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
            // Ready only when Prosody ends: then the frame stays incomplete.
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
        // Bounded, so that a busy tunnel does not starve the others of its worker.
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
    /// The read buffer of all tunnels of this worker; used within one poll only.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Four TLS records (RFC 8446 § 5.1).
const SCRATCH_BYTES: usize = 64 * 1024;

/// Reads of one direction before the tunnel yields.
const TURNS: usize = 16;

/// A text frame of 52 bytes. The mask is zero: masking protects against chosen payloads (RFC 6455
/// § 10.3), and this one is fixed.
const CLOSE_STREAM: &[u8] = b"\x81\xb4\0\0\0\0<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

/// Prosody reads at once or not at all.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Enough for a close frame on a working connection.
const FAREWELL: Duration = Duration::from_millis(700);

#[cfg(test)]
mod tests;
