//! Jitsi's page, into which a script is inserted.

use std::{convert::Infallible, sync::LazyLock};

use ::pages::inject::{InjectedBody, Injector, PageIdentity};
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Map;

static INJECTOR: LazyLock<Injector> =
    LazyLock::new(|| Injector::new("https://meet.example.org", &Map::new()));

/// A page keeps all of its bytes; the script is one piece between them.
pub(crate) fn page(bytes: &[u8]) {
    // The tags of policies are the one thing that changes.
    if has_meta(bytes) {
        return;
    }
    let sent = injected_whole(bytes);
    let before = sent.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let behind = sent.iter().rev().zip(bytes.iter().rev());
    let behind = behind.take_while(|(a, b)| a == b).count();
    assert!(before + behind >= bytes.len(), "{}", sent.escape_ascii());
}

/// A page that arrives in chunks is the same as one that arrives at once. The first bytes of the input, up
/// to the first zero, are the lengths of the chunks.
pub(crate) fn page_chunks(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (lengths, page) = (&bytes[..end], &bytes[end + 1..]);
    let mut rest = page;
    let chunks = lengths.iter().map(|length| {
        let (chunk, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        rest = behind;
        chunk
    });
    let mut chunks: Vec<_> = chunks.collect();
    chunks.push(rest);
    let whole = injected_whole(page);
    let in_chunks = injected_in_chunks(chunks);
    // A whole page without a place for the script stays unchanged; of one that streams, the tags of policies were sent with
    // changes by then.
    if whole == page && has_meta(page) {
        return;
    }
    // A page of which a part was sent before it turns out to be ambiguous breaks off; a whole one stays unchanged.
    if let Some(in_chunks) = in_chunks {
        assert!(
            whole == in_chunks,
            "{} {}",
            whole.escape_ascii(),
            in_chunks.escape_ascii()
        );
    }
}

/// Whether the page may have a tag of a policy.
fn has_meta(page: &[u8]) -> bool {
    page.windows(4)
        .any(|window| window.eq_ignore_ascii_case(b"meta"))
}

/// A page that is read to its end before it is answered.
fn injected_whole(page: &[u8]) -> Bytes {
    let page = Bytes::copy_from_slice(page).into();
    INJECTOR
        .inject_whole_page(Response::new(page), IDENTITY)
        .into_body()
}

/// A page that is sent as it comes; `None` if it cannot be parsed.
fn injected_in_chunks<'p>(chunks: impl IntoIterator<Item = &'p [u8]>) -> Option<Bytes> {
    collected(INJECTOR.inject_page(response(chunks), IDENTITY))
}

type Chunks = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

fn response<'p>(chunks: impl IntoIterator<Item = &'p [u8]>) -> Response<Chunks> {
    let frames = chunks.into_iter().map(Bytes::copy_from_slice);
    let frames: Vec<_> = frames.map(Frame::data).map(Ok).collect();
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

fn collected(response: Response<InjectedBody<Chunks>>) -> Option<Bytes> {
    let collected = response.into_body().collect().now_or_never();
    Some(collected.expect("no chunk is awaited").ok()?.to_bytes())
}

const IDENTITY: PageIdentity<'_> = PageIdentity::Name(Some("</script>"));
