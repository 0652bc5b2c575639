//! The connection preface of HTTP/2 (RFC 9113 § 3.4).
//!
//! The HTTP library waits for it without a timer, and its PINGs begin only behind it. So the gateway
//! reads it first, and hands the library a stream that begins with it again.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use observe::metrics::WorkerMetrics;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{
    frame_budget::{FrameBudget, flood},
    library_limits::NamedLimit,
};

/// A stream whose preface was read, and is read again. It counts the frames behind it, and knows the limit that
/// the last one to the client names.
#[derive(Debug)]
pub(super) struct PrefacedStream<IO> {
    io: IO,
    /// The rest of the preface.
    preface: &'static [u8],
    frames: FrameBudget,
    named_limit: NamedLimit,
    metrics: Arc<WorkerMetrics>,
}

/// Reads the preface.
pub(super) async fn read_preface<IO>(
    mut io: IO,
    metrics: Arc<WorkerMetrics>,
) -> io::Result<PrefacedStream<IO>>
where
    IO: AsyncRead + Unpin,
{
    let mut bytes = [0; PREFACE.len()];
    io.read_exact(&mut bytes).await?;
    if bytes == PREFACE {
        Ok(PrefacedStream {
            io,
            preface: &PREFACE,
            frames: FrameBudget::new(),
            named_limit: NamedLimit::default(),
            metrics,
        })
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client does not speak HTTP/2",
        ))
    }
}

// === impl PrefacedStream ===

impl<IO> PrefacedStream<IO> {
    /// The limit that the GOAWAY of this connection names, once it is sent.
    pub(super) fn named_limit(&self) -> NamedLimit {
        self.named_limit.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for PrefacedStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.preface.is_empty() {
            let this = &mut *self;
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
            let received = buffer.filled().get(before..).unwrap_or_default();
            return Poll::Ready(this.frames.received(received).map_err(|limit| {
                this.metrics.count_limit(limit);
                flood(limit)
            }));
        }
        let count = self.preface.len().min(buffer.remaining());
        let (now, later) = self.preface.split_at(count);
        buffer.put_slice(now);
        self.preface = later;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for PrefacedStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.named_limit.sent(bytes);
        self.frames.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        if let Some(last) = slices.iter().rfind(|slice| !slice.is_empty()) {
            self.named_limit.sent(last);
        }
        self.frames.sent(written);
        Poll::Ready(Ok(written))
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

const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_preface_is_read_again_in_pieces_of_any_size() {
        let sent = [&PREFACE[..], b"\0\0\x01\0\0\0\0\0\x01x"].concat();
        let mut stream = read_preface(&*sent, Arc::default())
            .now_or_never()
            .unwrap()
            .unwrap();
        let mut first = [0; 10];
        stream
            .read_exact(&mut first)
            .now_or_never()
            .unwrap()
            .unwrap();
        let mut rest = Vec::new();
        stream
            .read_to_end(&mut rest)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!([&first[..], &rest].concat(), sent);
    }

    #[test]
    fn another_protocol_and_a_truncated_preface_are_errors() {
        for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"PRI * HTTP/2.0"] {
            assert!(
                read_preface(bytes, Arc::default())
                    .now_or_never()
                    .unwrap()
                    .is_err()
            );
        }
    }
}
