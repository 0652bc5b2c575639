//! A byte stream that begins with bytes which were read from it before.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::exchange::Exchange;

/// The stream of a connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct ReplayStream<IO> {
    io: IO,
    /// Read before, and read again first.
    replayed: Bytes,
    exchange: Arc<Exchange>,
}

// === impl ReplayStream ===

impl<IO> ReplayStream<IO> {
    pub(super) const fn new(io: IO, exchange: Arc<Exchange>) -> Self {
        Self {
            io,
            replayed: Bytes::new(),
            exchange,
        }
    }

    /// Begins with these bytes.
    pub(super) fn replay(&mut self, bytes: Bytes) {
        self.exchange.received();
        self.replayed = bytes;
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ReplayStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.replayed.is_empty() {
            let count = this.replayed.len().min(buffer.remaining());
            buffer.put_slice(&this.replayed.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.exchange.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ReplayStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
