//! HTTP responses of the test provider, valid and invalid.

use std::{convert::Infallible, io};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use serde_json::Value;

pub(crate) type Body = BoxBody<Bytes, io::Error>;

pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut answer = json_text(&value.to_string());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn json_text(text: &str) -> Response<Body> {
    let mut answer = plain(StatusCode::OK, text);
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let body = body.map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

pub(crate) fn redirect() -> Response<Body> {
    let mut answer = plain(StatusCode::TEMPORARY_REDIRECT, "");
    let elsewhere = header::HeaderValue::from_static("http://127.0.0.1:9/steal");
    answer.headers_mut().insert(header::LOCATION, elsewhere);
    answer
}

/// A body that never ends.
pub(crate) fn huge() -> Response<Body> {
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let endless = stream::repeat_with(move || Ok(Frame::data(chunk.clone())));
    streamed(endless)
}

/// A body shorter than its length.
pub(crate) fn breaking_off() -> Response<Body> {
    let begin = stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"access_token\":")))]);
    let end = stream::once(async {
        // `Pending` makes the server flush.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionReset.into())
    });
    streamed(begin.chain(end))
}

fn streamed(
    frames: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync + 'static,
) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(BodyExt::boxed(StreamBody::new(frames)))
        .unwrap()
}

pub(crate) const HTML: &str = "<!doctype html><title>Sorry</title>";
