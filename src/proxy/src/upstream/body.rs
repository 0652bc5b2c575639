//! Request bodies to an upstream, and response bodies that return their connection to the pool.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use observe::metrics::UpstreamFailure;
use tokio::time::Instant;

use super::{body_silence::BodySilence, pool::ConnectionLease};
use crate::{
    limits::ClientPlace,
    server::{ClientBody, PatienceTimer},
};

/// The body of a request to an upstream.
#[derive(Debug)]
pub enum RequestBody {
    /// No body.
    Empty,
    /// In memory, sent with `Content-Length`; `None` after it was sent.
    Whole(Option<Bytes>),
    /// Forwarded as it arrives from the client, up to a limit.
    Streamed {
        /// The client's body.
        body: ClientBody,
        /// Bytes left of the limit.
        left: u64,
        /// Gives a client up that sends too little.
        pace: PatienceTimer,
        /// Postpones the timeout of the response.
        progress: UploadProgress,
    },
}

/// When a body that is forwarded last moved. The time for the head of its response begins there: an upload
/// takes as long as the client's line needs.
#[derive(Clone, Debug)]
pub struct UploadProgress(Rc<Cell<Instant>>);

/// A response body; returns its connection to the pool when it was read to the end.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    /// A frame that was read ahead.
    beginning: Option<Bytes>,
    silence: BodySilence,
    lease: Option<ConnectionLease>,
    /// The client's share of the connections, taken until the body ends.
    place: Option<ClientPlace>,
}

/// Why a response body of an upstream breaks off.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamBodyError {
    /// The connection ended, or the bytes are not those of a body (RFC 9112 § 7.1).
    #[error("the body of an upstream's response breaks off")]
    Broken(#[source] hyper::Error),
    /// Nothing came for `LONGEST_SILENCE`.
    #[error("the body of an upstream's response goes silent")]
    Silent,
}

/// The client sent more than the limit of the route.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("request body exceeds the limit of the route")]
struct BodyTooLarge;

/// The client sent too little for too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("request body does not arrive")]
struct BodyTooSlow;

/// An error of a request body, as hyper takes it.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

// === impl UploadProgress ===

impl UploadProgress {
    /// A body that begins now.
    pub fn begin() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    /// When it last moved.
    pub(super) fn last(&self) -> Instant {
        self.0.get()
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// The progress of a body that is forwarded; none of one that is in memory.
    pub(super) fn progress(&self) -> Option<UploadProgress> {
        match self {
            Self::Streamed { progress, .. } => Some(progress.clone()),
            Self::Empty | Self::Whole(_) => None,
        }
    }

    /// Returns the same body again, for a retry; `None` if it is streamed.
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
            Self::Streamed {
                body,
                left,
                pace,
                progress,
            } => {
                let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
                    let error = |()| Some(Err(BodyTooSlow.into()));
                    return pace.poll_used_up(cx).map(error);
                };
                Poll::Ready(match frame {
                    None => None,
                    Some(Err(error)) => Some(Err(error.into())),
                    Some(Ok(frame)) => match frame.into_data() {
                        // Trailers are not forwarded: they would bypass the checks of headers.
                        Err(_) => None,
                        Ok(data) => Some({
                            pace.moved(data.len());
                            progress.0.set(Instant::now());
                            left.checked_sub(data.len() as u64)
                                .map(|rest| {
                                    *left = rest;
                                    Frame::data(data)
                                })
                                .ok_or_else(|| BodyTooLarge.into())
                        }),
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
    pub(super) fn new(incoming: Incoming, lease: ConnectionLease) -> Self {
        let mut body = Self {
            incoming,
            beginning: None,
            silence: BodySilence::default(),
            lease: Some(lease),
            place: None,
        };
        body.release_at_end();
        body
    }

    /// Keeps a place of the client's share until the body was read to its end.
    pub(crate) fn keep(&mut self, place: Option<ClientPlace>) {
        self.place = place;
        self.release_at_end();
    }

    /// Permits silence of any length, as of server-sent events, which come when something happens.
    pub(crate) fn permit_silence(&mut self) {
        self.silence = BodySilence::permitted();
    }

    /// Reads ahead the first frame, which stays part of the body; none if the body is empty or broke
    /// off.
    pub(crate) async fn beginning(&mut self) -> Option<&Bytes> {
        if self.beginning.is_none() {
            let frame = self.frame().await?.ok()?;
            self.beginning = Some(frame.into_data().ok()?);
        }
        self.beginning.as_ref()
    }

    /// Makes bytes that were read from the body its next ones again.
    pub(crate) fn put_back(&mut self, ahead: Bytes) {
        self.beginning = Some(ahead).filter(|bytes| !bytes.is_empty());
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
        self.place = None;
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        if let Some(beginning) = self.beginning.take() {
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            std::task::ready!(self.silence.poll_too_long(cx));
            // Once. Without its lease the connection is closed when the body is dropped.
            if let Some(lease) = self.lease.take() {
                lease.count(UpstreamFailure::SilentBody);
            }
            return Poll::Ready(Some(Err(UpstreamBodyError::Silent)));
        };
        self.silence.end();
        match &frame {
            None => self.release(),
            Some(Ok(frame)) if frame.is_data() => self.release_at_end(),
            // An error: the connection is broken. Trailers: the end of the body may never be polled.
            // The lease is dropped with the body then, which closes the connection.
            Some(_) => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(UpstreamBodyError::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self
            .beginning
            .as_ref()
            .map_or(0, |bytes| bytes.len() as u64);
        let rest = self.incoming.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint.set_lower(rest.lower() + read);
        hint
    }
}
