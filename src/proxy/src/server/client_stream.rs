//! The byte stream of a client connection, below TLS.
//!
//! It lives as long as the socket: HTTP hands it on to a WebSocket, which leaves HTTP. So what has to be
//! known until the socket closes is kept here.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use observe::metrics::LimitKind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::ConnectionPermit;

/// The byte stream of a client connection.
#[derive(Debug)]
pub(super) struct ClientStream<IO> {
    io: IO,
    permit: ConnectionPermit,
}

// === impl ClientStream ===

impl<IO> ClientStream<IO> {
    pub(super) const fn new(io: IO, permit: ConnectionPermit) -> Self {
        Self { io, permit }
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
