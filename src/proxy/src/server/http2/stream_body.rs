//! The body of an answer over HTTP/2, in pieces by which its stream's progress is seen.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::open_streams::OpenStream;

/// The body of an answer, which keeps its stream open.
#[derive(Debug)]
pub(super) struct StreamBody<B: Body> {
    body: B,
    /// None for a stream that became a WebSocket.
    stream: Option<OpenStream>,
    /// The rest of the last frame.
    rest: Bytes,
    /// The length of the piece that was handed over last.
    handed: usize,
}

// === impl StreamBody ===

impl<B: Body> StreamBody<B> {
    pub(super) const fn new(body: B, stream: Option<OpenStream>) -> Self {
        Self {
            body,
            stream,
            rest: Bytes::new(),
            handed: 0,
        }
    }

    fn with_stream(&mut self, note: impl FnOnce(&mut OpenStream)) {
        if let Some(stream) = &mut self.stream {
            note(stream);
        }
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for StreamBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let handed = std::mem::take(&mut this.handed);
        if handed > 0 {
            this.with_stream(|stream| stream.took(handed));
        }
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => {
                    this.with_stream(OpenStream::answered);
                    return Poll::Ready(end);
                }
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.handed = piece.len();
        this.with_stream(|stream| stream.waits());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let hint = self.body.size_hint();
        let mut all = SizeHint::new();
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all.set_lower(hint.lower() + rest);
        all
    }
}

impl<B: Body> Drop for StreamBody<B> {
    fn drop(&mut self) {
        // The library does not ask for the end of a body that says that it is over.
        if self.is_over() {
            self.with_stream(OpenStream::answered);
        }
    }
}

/// The library's frames have this length at most; a longer piece would lie in its buffer whole, however
/// little the client takes.
const PIECE_BYTES: usize = 16 * 1024;
