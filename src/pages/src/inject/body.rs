//! A response body that is changed while it is streamed.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    html::{HtmlInjector, UnsafeHtml},
    warnings::InjectionWarnings,
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// An upstream's body with the injection.
pub struct InjectedBody<B> {
    upstream: B,
    state: State,
}

/// Why the body broke off.
#[derive(Debug, thiserror::Error)]
pub enum InjectedBodyError<E> {
    /// The upstream's body broke off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] E),
    /// The page cannot be parsed.
    #[error(transparent)]
    Html(#[from] UnsafeHtml),
}

/// The content to inject into the body.
pub(super) enum Injection {
    /// The script, into the page.
    Html(HtmlInjector, Arc<InjectionWarnings>),
    /// A text, after the last byte.
    Append(Bytes),
}

enum State {
    /// Passes all frames, trailers included.
    Unchanged,
    /// Boxed to keep unchanged bodies, the majority, small.
    Injecting(Box<Injection>),
    Ended,
}

// === impl InjectedBody ===

impl<B> InjectedBody<B> {
    pub(super) fn new(upstream: B, injection: Injection) -> Self {
        Self {
            upstream,
            state: State::Injecting(Box::new(injection)),
        }
    }

    pub(super) fn unchanged(upstream: B) -> Self {
        Self {
            upstream,
            state: State::Unchanged,
        }
    }
}

impl<B> Body for InjectedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = InjectedBodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if matches!(this.state, State::Ended) {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut this.upstream).poll_frame(context)).transpose();
            let output = match frame {
                Ok(Some(frame)) => this.state.push(frame)?,
                Ok(None) => std::mem::replace(&mut this.state, State::Ended).finish()?,
                Err(error) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(InjectedBodyError::Upstream(error))));
                }
            };
            if let Some(frame) = output {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Unchanged => self.upstream.is_end_stream(),
            State::Injecting(_) => false,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Unchanged => self.upstream.size_hint(),
            State::Injecting(_) => SizeHint::default(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}

/// Without the content of the body, which may be private.
impl<B> fmt::Debug for InjectedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Unchanged => "unchanged",
            State::Injecting(_) => "injecting",
            State::Ended => "ended",
        };
        write!(f, "InjectedBody({state})")
    }
}

// === impl State ===

impl State {
    fn push(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, UnsafeHtml> {
        let Self::Injecting(injection) = self else {
            return Ok(Some(frame));
        };
        // Drops trailers, such as digests, which describe the upstream's body.
        let Ok(data) = frame.into_data() else {
            return Ok(None);
        };
        let result = injection.push(data);
        if result.is_err() {
            *self = Self::Ended;
        }
        result.map(non_empty)
    }

    fn finish(self) -> Result<Option<Frame<Bytes>>, UnsafeHtml> {
        match self {
            Self::Injecting(injection) => injection.finish().map(non_empty),
            Self::Unchanged | Self::Ended => Ok(None),
        }
    }
}

// === impl Injection ===

impl Injection {
    fn push(&mut self, data: Bytes) -> Result<Bytes, UnsafeHtml> {
        match self {
            Self::Html(injector, _) => injector.push(data),
            Self::Append(_) => Ok(data),
        }
    }

    fn finish(self) -> Result<Bytes, UnsafeHtml> {
        match self {
            Self::Html(injector, warnings) => {
                let (rest, placement) = injector.finish()?;
                warnings.placed(placement);
                Ok(rest)
            }
            Self::Append(text) => Ok(text),
        }
    }
}

fn non_empty(data: Bytes) -> Option<Frame<Bytes>> {
    (!data.is_empty()).then(|| Frame::data(data))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, rc::Rc};

    use futures_util::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt, Full, StreamBody};
    use serde_json::Map;

    use super::{
        super::{Injector, PageIdentity},
        *,
    };

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    /// A body that is not `Send`, as those of a single-threaded runtime.
    fn body(frames: Frames) -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
        let not_send = Rc::new(());
        StreamBody::new(stream::iter(frames.into_iter().inspect(move |_| {
            let _ = &not_send;
        })))
    }

    fn data(bytes: &[u8]) -> Frame<Bytes> {
        Frame::data(Bytes::copy_from_slice(bytes))
    }

    fn html() -> Injection {
        let injector = Injector::new("https://meet.test", &Map::new());
        let html = injector.html(&injector.script.render(PageIdentity::Name(None)));
        Injection::Html(html, Arc::default())
    }

    async fn text<B>(body: InjectedBody<B>) -> Result<String, InjectedBodyError<B::Error>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let bytes = body.collect().await?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn script_is_injected_into_a_chunked_page() {
        let page = b"<html><head></head><body>x</body></html>";
        let page = body(page.chunks(3).map(data).map(Ok).collect());
        let injected = text(InjectedBody::new(page, html())).await.unwrap();
        assert!(injected.starts_with("<html><head><script>"));
        assert!(injected.ends_with("</script></head><body>x</body></html>"));
    }

    #[tokio::test]
    async fn text_is_appended_and_trailers_are_dropped() {
        let body = body(vec![
            Ok(data(b"var config = {};")),
            Ok(Frame::trailers(HeaderMap::new())),
        ]);
        let append = Injection::Append(Bytes::from_static(b"\n;x"));
        let collected = InjectedBody::new(body, append).collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "var config = {};\n;x");
    }

    #[tokio::test]
    async fn body_ends_after_an_error_of_the_upstream() {
        let body = body(vec![Ok(data(b"<p>")), Err("reset")]);
        let mut body = InjectedBody::new(body, html());
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(error, InjectedBodyError::Upstream("reset")));
        assert!(body.frame().await.is_none() && body.is_end_stream());
    }

    #[tokio::test]
    async fn unchanged_body_keeps_its_length() {
        let full = Full::new(Bytes::from_static(b"<head></head>"));
        let body = InjectedBody::unchanged(full);
        assert_eq!(body.size_hint().exact(), Some(13));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "<head></head>");
        let _: InjectedBodyError<Infallible> = UnsafeHtml.into();
    }
}
