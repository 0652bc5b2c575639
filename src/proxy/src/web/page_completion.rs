//! Jitsi's page on its way to the client.
//!
//! A page of the usual length is read to its end before it is answered: the client gets it in one write with its
//! length, and a page that breaks off is an error. A longer one streams through.

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use pages::inject::{Chunks, Injector, PageIdentity};

use crate::{Body, shard_upstreams::ForwardingError, upstream::UpstreamBody};

/// A body that was read up to a limit.
enum ReadAhead<B> {
    /// To its end.
    Whole(Chunks),
    /// The bytes so far, and the rest of a longer body.
    Beginning(Chunks, B),
}

/// Completes a response with Jitsi's page; any other passes unchanged.
pub(super) async fn complete_page(
    injector: &Injector,
    response: Response<UpstreamBody>,
    identity: PageIdentity<'_>,
) -> Result<Response<Body>, ForwardingError> {
    let stream = |page| {
        let page = injector.inject_page(page, identity);
        page.map(|body| Body::Completed(Box::new(body)))
    };
    // The response to HEAD has no body to read.
    if response.body().is_end_stream() || !injector.is_page(&response) {
        return Ok(stream(response));
    }
    let (head, body) = response.into_parts();
    Ok(match read_ahead(body, USUAL_PAGE_BYTES).await? {
        ReadAhead::Whole(page) => injector
            .inject_whole_page(Response::from_parts(head, page), identity)
            .map(Body::from),
        ReadAhead::Beginning(ahead, mut rest) => {
            rest.put_back(ahead.join());
            stream(Response::from_parts(head, rest))
        }
    })
}

/// Reads a body to its end, or until more than `most` bytes are there. Trailers are dropped.
async fn read_ahead<B>(mut body: B, most: usize) -> Result<ReadAhead<B>, B::Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut read = Chunks::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.push(data);
        }
        if read.length() > most {
            return Ok(ReadAhead::Beginning(read, body));
        }
    }
    Ok(ReadAhead::Whole(read))
}

/// Jitsi's page has some 20 KiB, and 40 with a long `config.js`. A client that reads slowly holds as much memory.
const USUAL_PAGE_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_to_its_end_or_to_the_limit() {
        for (chunks, most, whole) in [
            (vec!["ab", "c"], 3, true),
            (vec!["ab", "cd", "never"], 3, false),
            (vec!["abcd", "never"], 3, false),
            (vec![], 3, true),
        ] {
            let polled = std::cell::Cell::new(0);
            let frames = chunks.iter().map(|chunk| {
                polled.set(polled.get() + 1);
                Ok::<_, &str>(Frame::data(Bytes::from(*chunk)))
            });
            let read = read_ahead(StreamBody::new(stream::iter(frames)), most).await;
            let (text, is_whole) = match read.unwrap() {
                ReadAhead::Whole(text) => (text.join(), true),
                ReadAhead::Beginning(text, _) => (text.join(), false),
            };
            assert_eq!(is_whole, whole, "{chunks:?}");
            assert_eq!(text, chunks[..polled.get()].concat(), "{chunks:?}");
            assert_eq!(polled.get() == chunks.len(), whole, "{chunks:?}");
        }
        let frames = [Ok(Frame::data(Bytes::from("ab"))), Err("reset")];
        let broken = read_ahead(StreamBody::new(stream::iter(frames)), 3).await;
        assert_eq!(broken.err(), Some("reset"));
    }
}
