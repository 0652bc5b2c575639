//! Bodies on their way to and from an upstream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::Lease;

/// A request body for an upstream.
#[derive(Debug)]
pub enum RequestBody {
    /// None.
    Empty,
    /// Whole, and sent with `Content-Length`.
    Whole(Option<Bytes>),
    /// As it comes from the client, no longer than the limit.
    Streamed {
        /// The client's body.
        body: Incoming,
        /// How many bytes may still come.
        left: u64,
    },
}

/// An answer's body; its connection goes back to the pool at the end of it.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

/// The client sent more than the route takes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body is larger than this route takes")]
struct BodyTooLarge;

/// Why a body broke off.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

// === impl RequestBody ===

impl RequestBody {
    /// The same body once more, if it can be had: for the one retry on a connection that had just
    /// been closed.
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Streamed { .. } => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed { body, left } => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(match frame {
                    None => None,
                    Some(Err(error)) => Some(Err(error.into())),
                    Some(Ok(frame)) => match frame.into_data() {
                        // Trailers end here: nobody behind us should take headers so late.
                        Err(_) => None,
                        Ok(data) => Some(
                            left.checked_sub(data.len() as u64)
                                .map(|rest| {
                                    *left = rest;
                                    Frame::data(data)
                                })
                                .ok_or_else(|| BodyTooLarge.into()),
                        ),
                    },
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(_)) => false,
            Self::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Streamed { body, .. } => body.size_hint(),
        }
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
        };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            None => self.release(),
            Some(Ok(frame)) if frame.is_data() => self.release_at_end(),
            // After an error, or with trailers that nobody reads on, the connection is not reused.
            Some(_) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
