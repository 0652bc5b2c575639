//! Bodies of clients' requests.
//!
//! HTTP/2 resets the stream of a request that was answered before the end of its body (RFC 9113 § 8.1),
//! and some clients lose the answer with it (curl 7.88, in 6 of 20 trials). What is left of such a body is
//! therefore read and discarded for a moment.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{task::spawn_local, time::timeout};

/// The body of a client's request.
#[derive(Debug)]
pub struct ClientBody {
    /// Present until the body is dropped.
    incoming: Option<Incoming>,
    unread: Option<UnreadBody>,
}

/// What the request path left of a body of HTTP/2.
#[derive(Clone, Default)]
pub(super) struct UnreadBody(Rc<Cell<Option<Incoming>>>);

// === impl ClientBody ===

impl ClientBody {
    /// The body of a stream of HTTP/2, and its rest if it has not come yet. The library reads the rest of a
    /// body of HTTP/1.1, or closes the connection.
    pub(super) fn of_stream(incoming: Incoming) -> (Self, Option<UnreadBody>) {
        let unread = (!incoming.is_end_stream()).then(UnreadBody::default);
        let body = Self {
            incoming: Some(incoming),
            unread: unread.clone(),
        };
        (body, unread)
    }
}

impl From<Incoming> for ClientBody {
    fn from(incoming: Incoming) -> Self {
        Self {
            incoming: Some(incoming),
            unread: None,
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(unread) = &self.unread
            && !self.is_end_stream()
        {
            unread.0.set(self.incoming.take());
        }
    }
}

// === impl UnreadBody ===

impl UnreadBody {
    /// Reads and discards what the request path left, if it left any.
    pub(super) fn discard(self) {
        if let Some(mut incoming) = self.0.take() {
            spawn_local(async move {
                let mut left = MAX_DISCARDED_BYTES;
                let discarding = async {
                    while let Some(Ok(frame)) = incoming.frame().await {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        left = left.saturating_sub(length);
                        if left == 0 {
                            return;
                        }
                    }
                };
                let _: Result<_, _> = timeout(DISCARD_TIMEOUT, discarding).await;
            });
        }
    }
}

impl std::fmt::Debug for UnreadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnreadBody")
    }
}

/// The longest body of a BOSH request.
const MAX_DISCARDED_BYTES: usize = 256 * 1024;

/// Two round trips of a slow connection, in which a client sends what it had begun to send.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
