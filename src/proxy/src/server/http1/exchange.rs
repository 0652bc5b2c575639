//! Whether a connection of HTTP/1.1 waits for a request.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use crate::server::write_timer::Backpressure;

/// The exchange of one connection; HTTP/1.1 has one at a time.
///
/// Atomics, because the HTTP library wants a `Send` stream where a connection can be upgraded. One
/// thread uses them, so that no order is needed.
#[derive(Debug)]
pub(super) struct Exchange {
    /// From the head of a request to the end of the body of its response.
    open: AtomicBool,
    /// The last request had a body. Its end is known to the HTTP library only: a handler may answer
    /// early and read on, and what the client sends then must not be taken for the next request.
    had_body: AtomicBool,
    /// Bytes came since the last exchange ended.
    head_began: AtomicBool,
    /// An exchange ended since this was last asked.
    ended: AtomicBool,
    backpressure: Arc<Backpressure>,
}

/// An exchange that is under way; it ends on drop.
#[derive(Debug)]
pub(super) struct OpenExchange(Arc<Exchange>);

/// The body of a response, with whose end the exchange ends.
#[derive(Debug)]
pub(super) struct ExchangeBody<B> {
    body: B,
    _open: OpenExchange,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new(backpressure: Arc<Backpressure>) -> Self {
        Self {
            open: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
            // The first request is awaited with the library's timer for heads.
            head_began: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            backpressure,
        }
    }

    /// Notes the head of a request.
    pub(super) fn begin(this: &Arc<Self>, without_body: bool) -> OpenExchange {
        this.had_body.store(!without_body, Ordering::Relaxed);
        this.open.store(true, Ordering::Relaxed);
        OpenExchange(Arc::clone(this))
    }

    /// Notes bytes of the client.
    pub(super) fn received(&self) {
        self.head_began.store(true, Ordering::Relaxed);
    }

    /// Completes when the connection has waited for a request for `time`, or for twice that: a timer
    /// that each exchange starts anew would cost more. After a request with a body it does not.
    pub(super) async fn waits_for_request(&self, time: Duration) {
        loop {
            sleep(time).await;
            let active = self.ended.swap(false, Ordering::Relaxed)
                || self.open.load(Ordering::Relaxed)
                || self.had_body.load(Ordering::Relaxed)
                || self.head_began.load(Ordering::Relaxed)
                || self.backpressure.waits();
            if !active {
                return;
            }
        }
    }
}

// === impl OpenExchange ===

impl Drop for OpenExchange {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Relaxed);
        self.0.head_began.store(false, Ordering::Relaxed);
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

// === impl ExchangeBody ===

impl<B> ExchangeBody<B> {
    pub(super) const fn new(body: B, open: OpenExchange) -> Self {
        Self { body, _open: open }
    }
}

impl<B: Body + Unpin> Body for ExchangeBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
