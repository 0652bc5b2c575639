//! The connection of a client's WebSocket: that of an upgrade of HTTP/1.1, or a stream of HTTP/2.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use hyper::upgrade::{self, OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use observe::metrics::{LimitKind, WorkerMetrics};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::DropGuard;

use crate::server::{ExtendedConnect, PatienceTimer};

/// A connection that a client gets with the answer to its handshake.
pub(crate) struct ClientUpgrade {
    upgrade: OnUpgrade,
    /// None over HTTP/1.1.
    stream: Option<DropGuard>,
}

/// The connection of a client's WebSocket.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    io: TokioIo<Upgraded>,
    /// None over HTTP/1.1, where the writes of the connection itself are timed.
    writes: Option<StreamWrites>,
}

/// Times the writes of a stream whose window its client may keep closed.
#[derive(Debug)]
struct StreamWrites {
    timer: PatienceTimer,
    metrics: Arc<WorkerMetrics>,
    _stream: DropGuard,
}

// === impl ClientUpgrade ===

impl ClientUpgrade {
    pub(crate) fn of<B>(request: &mut Request<B>) -> Self {
        Self {
            upgrade: upgrade::on(&mut *request),
            stream: request
                .extensions_mut()
                .remove::<ExtendedConnect>()
                .map(ExtendedConnect::guard),
        }
    }

    /// Waits until the answer is written.
    pub(crate) async fn socket(
        self,
        metrics: &Arc<WorkerMetrics>,
    ) -> Result<ClientSocket, hyper::Error> {
        let io = TokioIo::new(self.upgrade.await?);
        let writes = self.stream.map(|stream| StreamWrites {
            timer: PatienceTimer::default(),
            metrics: Arc::clone(metrics),
            _stream: stream,
        });
        Ok(ClientSocket { io, writes })
    }
}

// === impl StreamWrites ===

impl StreamWrites {
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                self.timer.moved(bytes);
                outcome
            }
            Poll::Ready(Err(_)) => outcome,
            Poll::Pending => self.timer.poll_used_up(cx).map(|()| {
                self.metrics.count_limit(LimitKind::SlowReader);
                let error = "the client does not read its WebSocket";
                Err(io::Error::new(io::ErrorKind::TimedOut, error))
            }),
        }
    }
}

// === impl ClientSocket ===

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        match &mut self.writes {
            Some(writes) => writes.watch(cx, outcome),
            None => outcome,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        match &mut self.writes {
            Some(writes) => writes.watch(cx, outcome),
            None => outcome,
        }
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
