//! Jitsi's page, into which a script is inserted.

use std::{convert::Infallible, sync::LazyLock};

use ::pages::inject::{Injector, PageIdentity};
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
    let lower = bytes.to_ascii_lowercase();
    if lower.windows(4).any(|window| window == b"meta") {
        return;
    }
    let Some(sent) = injected([bytes]) else {
        return;
    };
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
    let at_once = injected([page]);
    let in_chunks = injected(chunks);
    assert!(
        at_once == in_chunks,
        "{} {}",
        at_once.unwrap_or_default().escape_ascii(),
        in_chunks.unwrap_or_default().escape_ascii()
    );
}

/// A page with the script; `None` if it cannot be parsed.
fn injected<'p>(chunks: impl IntoIterator<Item = &'p [u8]>) -> Option<Bytes> {
    let frames = chunks.into_iter().map(Bytes::copy_from_slice);
    let frames: Vec<_> = frames
        .map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)))
        .collect();
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    let response = INJECTOR.inject_page(response, PageIdentity::Name(Some("</script>")));
    let collected = response.into_body().collect().now_or_never();
    Some(collected.expect("no chunk is awaited").ok()?.to_bytes())
}
