//! The byte stream of a client connection, below TLS.
//!
//! It lives as long as the socket: HTTP hands it on to a WebSocket, which leaves HTTP. So what has to be
//! known until the socket closes is kept here.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use observe::metrics::{LimitKind, WorkerMetrics};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::write_timer::{Backpressure, WriteTimer};
use crate::limits::ConnectionPermit;

/// The byte stream of a client connection.
#[derive(Debug)]
pub(super) struct ClientStream<IO> {
    io: IO,
    permit: ConnectionPermit,
    writes: WriteTimer,
    metrics: Arc<WorkerMetrics>,
}

// === impl ClientStream ===

impl<IO> ClientStream<IO> {
    pub(super) fn new(io: IO, permit: ConnectionPermit, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            io,
            permit,
            writes: WriteTimer::new(),
            metrics,
        }
    }

    /// Whether writes wait for the client.
    pub(super) fn backpressure(&self) -> Arc<Backpressure> {
        self.writes.backpressure()
    }

    /// Passes the outcome of a write on, and counts a client that is given up.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let waits = outcome.is_pending();
        let outcome = self.writes.watch(cx, outcome);
        if waits && outcome.is_ready() {
            self.metrics.count_limit(LimitKind::SlowReader);
        }
        outcome
    }

    /// Counts the connection to the client that a PROXY header names.
    pub(super) fn identify(&mut self, client: IpAddr) -> Result<(), LimitKind> {
        let identified = self.permit.identify(client);
        if let Err(limit) = identified {
            self.permit.log_refusal(limit, client);
        }
        identified
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ClientStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ClientStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, outcome)
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
