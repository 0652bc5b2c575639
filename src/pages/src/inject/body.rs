//! A response body that is completed while it streams through.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tracing::warn;

use super::{Coding, CompletionError, HtmlCompleter, Placement, gunzip::Gunzip};

/// An upstream's body, completed.
pub struct CompletedBody<B> {
    upstream: B,
    work: Work,
}

/// Why a completed body broke off.
#[derive(Debug, thiserror::Error)]
pub enum CompletedBodyError<E> {
    /// The upstream's body did.
    #[error("the upstream's body broke off")]
    Upstream(#[source] E),
    /// It could not be completed.
    #[error(transparent)]
    Completion(#[from] CompletionError),
}

enum Work {
    /// Passes everything on, trailers too.
    Untouched,
    Completing(Box<Task>),
    Over,
}

/// Boxed, because most bodies are untouched and should stay small.
struct Task {
    gunzip: Option<Gunzip>,
    completing: Completing,
}

/// What is done to the unpacked body.
pub(super) enum Completing {
    /// The page gets its script.
    Html(HtmlCompleter),
    /// A text is added at the end.
    Append(Bytes),
}

// === impl CompletedBody ===

impl<B> CompletedBody<B> {
    pub(super) fn new(upstream: B, coding: Coding, completing: Completing) -> Self {
        let gunzip = (coding == Coding::Gzip).then(Gunzip::new);
        Self {
            upstream,
            work: Work::Completing(Box::new(Task { gunzip, completing })),
        }
    }

    /// A body that is passed on as it is.
    pub fn untouched(upstream: B) -> Self {
        Self {
            upstream,
            work: Work::Untouched,
        }
    }
}

impl<B> Body for CompletedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = CompletedBodyError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if matches!(this.work, Work::Over) {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut this.upstream).poll_frame(context)).transpose();
            let outcome = match frame {
                Ok(Some(frame)) => this.work.take_frame(frame)?,
                Ok(None) => std::mem::replace(&mut this.work, Work::Over).finish()?,
                Err(error) => {
                    this.work = Work::Over;
                    return Poll::Ready(Some(Err(CompletedBodyError::Upstream(error))));
                }
            };
            if let Some(frame) = outcome {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.work {
            Work::Untouched => self.upstream.is_end_stream(),
            Work::Completing(_) => false,
            Work::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.work {
            Work::Untouched => self.upstream.size_hint(),
            Work::Completing(_) => SizeHint::default(),
            Work::Over => SizeHint::with_exact(0),
        }
    }
}

/// What streams through is somebody's page, which does not belong into logs.
impl<B> fmt::Debug for CompletedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match &self.work {
            Work::Untouched => "untouched",
            Work::Completing(_) => "completing",
            Work::Over => "over",
        };
        write!(f, "CompletedBody({work})")
    }
}

// === impl Work ===

impl Work {
    fn take_frame(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, CompletionError> {
        let Self::Completing(task) = self else {
            return Ok(Some(frame));
        };
        // Trailers are left out: they would describe another body.
        let Ok(data) = frame.into_data() else {
            return Ok(None);
        };
        match task.push(data) {
            Ok(data) => Ok(non_empty(data)),
            Err(error) => {
                *self = Self::Over;
                Err(error)
            }
        }
    }

    fn finish(self) -> Result<Option<Frame<Bytes>>, CompletionError> {
        match self {
            Self::Completing(task) => task.finish().map(non_empty),
            Self::Untouched | Self::Over => Ok(None),
        }
    }
}

// === impl Task ===

impl Task {
    fn push(&mut self, data: Bytes) -> Result<Bytes, CompletionError> {
        let plain = match &mut self.gunzip {
            Some(gunzip) => gunzip.push(&data)?,
            None => data,
        };
        self.completing.push(plain)
    }

    fn finish(mut self) -> Result<Bytes, CompletionError> {
        let unpacked = self.gunzip.map_or(Ok(Bytes::new()), Gunzip::finish)?;
        let mut last = BytesMut::from(self.completing.push(unpacked)?);
        last.extend_from_slice(&self.completing.finish()?);
        Ok(last.freeze())
    }
}

// === impl Completing ===

impl Completing {
    fn push(&mut self, data: Bytes) -> Result<Bytes, CompletionError> {
        match self {
            Self::Html(completer) => completer.push(data),
            Self::Append(_) => Ok(data),
        }
    }

    fn finish(self) -> Result<Bytes, CompletionError> {
        match self {
            Self::Html(completer) => {
                let (rest, placement) = completer.finish()?;
                if placement == Placement::Nowhere {
                    warn!("the page of the upstream has no place for the gateway's script");
                }
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
    use std::{convert::Infallible, io::Write, rc::Rc};

    use flate2::{Compression, write::GzEncoder};
    use futures_util::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};
    use serde_json::Map;

    use super::{super::Completion, *};

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    fn body(frames: Frames) -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
        // Not `Send`, as bodies of a single-threaded runtime may be.
        let witness = Rc::new(());
        StreamBody::new(stream::iter(frames.into_iter().inspect(move |_| {
            let _ = &witness;
        })))
    }

    fn data(bytes: &[u8]) -> Frame<Bytes> {
        Frame::data(Bytes::copy_from_slice(bytes))
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn completion() -> Completion {
        Completion::new("https://meet.test", &Map::new())
    }

    async fn text<B>(body: CompletedBody<B>) -> Result<String, CompletedBodyError<B::Error>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let bytes = body.collect().await?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn plain_and_packed_pages_come_out_the_same() {
        let completion = completion();
        let script = completion.script(crate::inject::Person::Name(None));
        let page = b"<html><head></head><body>x</body></html>";
        let plain = body(page.chunks(3).map(data).map(Ok).collect());
        let plain = text(completion.html_body(&script, Coding::Identity, plain))
            .await
            .unwrap();
        let packed = body(gzip(page).chunks(3).map(data).map(Ok).collect());
        let packed = text(completion.html_body(&script, Coding::Gzip, packed))
            .await
            .unwrap();
        assert_eq!(plain, packed);
        assert!(plain.starts_with("<html><head><script>"));
        assert!(plain.ends_with("</script></head><body>x</body></html>"));
    }

    #[tokio::test]
    async fn the_configuration_gets_the_overrides_at_its_end() {
        let completion = completion();
        let config = b"var config = {};\n// end";
        for coding in [Coding::Identity, Coding::Gzip] {
            let bytes = if coding == Coding::Gzip {
                gzip(config)
            } else {
                config.to_vec()
            };
            let body = body(vec![
                Ok(data(&bytes)),
                Ok(Frame::trailers(HeaderMap::new())),
            ]);
            let text = text(completion.config_body(coding, body)).await.unwrap();
            let appendix = std::str::from_utf8(completion.config_js()).unwrap();
            assert_eq!(text, format!("var config = {{}};\n// end{appendix}"));
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_stays_broken() {
        let completion = completion();
        let body = body(vec![Ok(data(b"<p>")), Err("reset")]);
        let mut body = completion.html_body(
            &completion.script(crate::inject::Person::Name(None)),
            Coding::Identity,
            body,
        );
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(error, CompletedBodyError::Upstream("reset")));
        assert!(body.frame().await.is_none() && body.is_end_stream());
    }

    #[tokio::test]
    async fn a_broken_packing_ends_the_body_with_an_error() {
        let completion = completion();
        let mut packed = gzip(b"<html><head></head>");
        packed.truncate(12);
        let body = body(vec![Ok(data(&packed))]);
        let body = completion.html_body(
            &completion.script(crate::inject::Person::Name(None)),
            Coding::Gzip,
            body,
        );
        assert!(matches!(
            text(body).await.unwrap_err(),
            CompletedBodyError::Completion(CompletionError::Gzip(_))
        ));
    }

    #[tokio::test]
    async fn an_untouched_body_keeps_its_length_and_trailers() {
        let full = http_body_util::Full::new(Bytes::from_static(b"<head></head>"));
        let body = CompletedBody::untouched(full);
        assert_eq!(body.size_hint().exact(), Some(13));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "<head></head>");
        let _: CompletedBodyError<Infallible> = CompletionError::Html.into();
    }
}
