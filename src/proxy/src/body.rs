//! Bodies of answers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use tokio::{
    sync::mpsc,
    time::{Sleep, sleep, timeout},
};

use crate::{
    connections::{CloseReason, Registration},
    upstream::UpstreamBody,
};
use observe::metrics::WorkerMetrics;
use pages::inject::InjectedBody;

/// The body of an answer to a client.
#[expect(
    missing_debug_implementations,
    reason = "the completion's rewriter has none"
)]
pub enum Body {
    /// Ours, or read whole.
    Whole(Option<Bytes>),
    /// An upstream's, as it comes.
    Upstream(UpstreamBody),
    /// A location's, as it comes, until its reader's credentials end.
    Revocable(Box<RevocableBody>),
    /// Jitsi's page, completed on its way.
    Completed(Box<InjectedBody<UpstreamBody>>),
    /// Server-sent events, as they happen.
    Events(mpsc::Receiver<Bytes>),
}

/// A body that breaks off when the credentials of its reader end.
#[derive(Debug)]
pub struct RevocableBody {
    body: UpstreamBody,
    registration: Registration,
    /// The end of the session or pass.
    expiry: Pin<Box<Sleep>>,
    metrics: Arc<WorkerMetrics>,
}

/// The credentials for which a body was sent have ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the credentials of the reader ended")]
struct ReaderRevoked;

/// Why a body could not be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    /// It is longer than it may be.
    #[error("the request body is too large")]
    TooLarge,
    /// Too many bodies are being read.
    #[error("too many request bodies are being read")]
    Busy,
    /// It did not come in time, or broke off.
    #[error("the request body did not arrive")]
    Lost,
}

/// Why a body broke off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

// === impl Body ===

impl Body {
    /// No body.
    pub(crate) const EMPTY: Self = Self::Whole(None);
}

// === impl RevocableBody ===

impl RevocableBody {
    pub(crate) fn new(
        body: UpstreamBody,
        registration: Registration,
        left: Duration,
        metrics: Arc<WorkerMetrics>,
    ) -> Self {
        Self {
            body,
            registration,
            expiry: Box::pin(sleep(left)),
            metrics,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let expired = self.expiry.as_mut().poll(cx).map(|()| CloseReason::Expired);
        let ended = match self.registration.poll_closed(cx) {
            Poll::Pending => expired,
            closed @ Poll::Ready(_) => closed,
        };
        if let Poll::Ready(reason) = ended {
            self.metrics.count_location_cut(reason.reason());
            return Poll::Ready(Some(Err(ReaderRevoked.into())));
        }
        Pin::new(&mut self.body)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Self::Revocable(body) => body.poll_frame(cx),
            Self::Completed(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Self::Events(events) => events
                .poll_recv(cx)
                .map(|event| event.map(|event| Ok(Frame::data(event)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Revocable(body) => body.body.is_end_stream(),
            Self::Completed(body) => body.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upstream(body) => body.size_hint(),
            Self::Revocable(body) => body.body.size_hint(),
            Self::Completed(body) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Reads a whole body of at most so many bytes.
pub(crate) async fn whole<B>(body: B, most: usize) -> Result<Bytes, Unread>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    let collecting = Limited::new(body, most).collect();
    let collected = timeout(BODY_TIMEOUT, collecting)
        .await
        .map_err(|_| Unread::Lost)?;
    collected.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Unread::TooLarge
        } else {
            Unread::Lost
        }
    })
}

/// The answer to `HEAD`: what `GET` would get, less the body (RFC 9110 § 9.3.2). The HTTP library
/// leaves it out on HTTP/1.1 only.
pub(crate) fn without_body(mut answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact();
    if let Some(length) = length.filter(|length| *length > 0) {
        answer
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    answer.map(|_| Body::EMPTY)
}

/// How long a body that is read whole may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
