//! Copies the bytes of one direction of a tunnel.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client_frames::{Accepted, ClientEnd};

/// Gives the bytes that may pass.
pub(super) type Inspect<I> = for<'b> fn(&mut I, &'b [u8]) -> Accepted<'b>;

/// Bytes of one direction that the writer did not take yet.
#[derive(Debug)]
pub(super) struct Backlog<I> {
    inspect: Inspect<I>,
    bytes: Vec<u8>,
    written: usize,
    /// Set when nothing follows; reported after the remaining bytes are written.
    finished: Option<Finished>,
    unflushed: bool,
}

/// How one direction ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Finished {
    /// The reader's stream ended.
    Ended,
    ReadFailed,
    WriteFailed,
    /// The reader's frames end the tunnel.
    Stopped(ClientEnd),
}

// === impl Backlog ===

impl<I> Backlog<I> {
    pub(super) fn new(inspect: Inspect<I>) -> Self {
        Self {
            inspect,
            bytes: Vec::new(),
            written: 0,
            finished: None,
            unflushed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Moves as many bytes as both sides take. Ready when nothing follows and all is written.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        inspection: &mut I,
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

    /// Writes the backlog, reads once, and writes the bytes that may pass; the rest becomes the backlog.
    pub(super) fn poll_once<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        inspection: &mut I,
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

    pub(super) fn poll_write_backlog<W>(
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
        inspection: &mut I,
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

thread_local! {
    /// The read buffer of all tunnels of this worker; used within one poll only.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Four TLS records (RFC 8446 § 5.1).
const SCRATCH_BYTES: usize = 64 * 1024;

/// Reads of one direction before the tunnel yields.
const TURNS: usize = 16;
