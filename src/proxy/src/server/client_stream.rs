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
    /// The client was given up because it does not read, and is counted.
    given_up: bool,
    metrics: Arc<WorkerMetrics>,
}

// === impl ClientStream ===

impl<IO> ClientStream<IO> {
    pub(super) fn new(io: IO, permit: ConnectionPermit, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            io,
            permit,
            writes: WriteTimer::new(),
            given_up: false,
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
        let outcome = self.writes.watch(cx, outcome);
        if let Poll::Ready(Err(error)) = &outcome {
            self.note_error(error);
        }
        outcome
    }

    /// Counts the client, if writes waited for it until they failed: by their timer, or by the kernel
    /// (`TCP_USER_TIMEOUT`). The kernel's error comes to the next read or write.
    fn note_error(&mut self, error: &io::Error) {
        let timed_out = error.kind() == io::ErrorKind::TimedOut && self.writes.waits();
        if timed_out && !self.given_up {
            self.given_up = true;
            self.metrics.count_limit(LimitKind::SlowReader);
        }
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
        let outcome = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &outcome {
            self.note_error(error);
        }
        outcome
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

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use model::headers::PeerAddr;

    use super::{super::connection::tests::permit, *};

    /// A socket whose writes wait, and whose reads have these outcomes.
    struct FullSocket(VecDeque<io::ErrorKind>);

    impl AsyncRead for FullSocket {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop_front() {
                Some(error) => Poll::Ready(Err(error.into())),
                None => Poll::Pending,
            }
        }
    }

    impl AsyncWrite for FullSocket {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_the_kernel_gives_up_is_counted_if_writes_waited_for_it() {
        use io::ErrorKind::{ConnectionReset, TimedOut};
        for (errors, writes, counted) in [
            (vec![TimedOut], true, 1),
            (vec![TimedOut, TimedOut], true, 1),
            (vec![TimedOut], false, 0),
            (vec![ConnectionReset], true, 0),
        ] {
            let metrics = Arc::new(WorkerMetrics::default());
            let case = format!("{errors:?} {writes}");
            let reads = errors.len();
            let permit = permit(PeerAddr::Ip([192, 0, 2, 1].into()));
            let socket = FullSocket(errors.into());
            let mut stream = ClientStream::new(socket, permit, Arc::clone(&metrics));
            let mut cx = Context::from_waker(Waker::noop());
            if writes {
                let write = Pin::new(&mut stream).poll_write(&mut cx, b"x");
                assert!(write.is_pending());
            }
            for _ in 0..reads {
                let mut bytes = [0];
                let read = Pin::new(&mut stream).poll_read(&mut cx, &mut ReadBuf::new(&mut bytes));
                assert!(read.is_ready());
            }
            assert_eq!(metrics.refusals(LimitKind::SlowReader), counted, "{case}");
        }
    }
}
