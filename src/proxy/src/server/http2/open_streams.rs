//! The open streams of one HTTP/2 connection, from the request's head to the end of the answer.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The open streams of one connection.
#[derive(Debug)]
pub(super) struct OpenStreams {
    open: Cell<usize>,
    /// The end of the last stream.
    idle_since: Cell<Instant>,
}

/// An open stream; counted until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(Rc<OpenStreams>);

/// The body of an answer, which keeps its stream open.
#[derive(Debug)]
pub(super) struct StreamBody<B> {
    body: B,
    _stream: OpenStream,
}

// === impl OpenStreams ===

impl OpenStreams {
    /// No stream is open yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        })
    }

    /// Opens a stream.
    pub(super) fn open(self: &Rc<Self>) -> OpenStream {
        self.open.set(self.open.get() + 1);
        OpenStream(Rc::clone(self))
    }

    /// The time for which no stream has been open; `None` while one is.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        (self.open.get() == 0).then(|| self.idle_since.get().elapsed())
    }
}

// === impl OpenStream ===

impl Drop for OpenStream {
    fn drop(&mut self) {
        let left = self.0.open.get() - 1;
        self.0.open.set(left);
        if left == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

// === impl StreamBody ===

impl<B> StreamBody<B> {
    pub(super) const fn new(body: B, stream: OpenStream) -> Self {
        Self {
            body,
            _stream: stream,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for StreamBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
