//! What an operator asks for: only from this machine (which is what `kubectl port-forward` is, too),
//! and by no page in a browser, which always says where it comes from.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::{PLAIN, text};

/// Reads an order, or answers why it is none; `how` says how it is written.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request<Incoming>,
    peer: IpAddr,
    how: &str,
) -> Result<T, Response<Full<Bytes>>> {
    if !peer.to_canonical().is_loopback() {
        let why = "orders are taken from this machine only; kubectl port-forward will do";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        let why = "orders are not taken from pages";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let Ok(body) = body else {
        let why = "the body is too large or did not come";
        return Err(refused(StatusCode::BAD_REQUEST, why));
    };
    serde_json::from_slice(&body.to_bytes()).map_err(|_| refused(StatusCode::BAD_REQUEST, how))
}

/// A line that says why not.
pub(super) fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    text(status, PLAIN, format!("{why}\n"))
}

/// More than any order.
const MAX_BODY: usize = 1024;
