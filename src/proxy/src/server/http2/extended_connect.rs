//! WebSockets over HTTP/2 (RFC 8441), as the request path knows them: an extended CONNECT becomes the
//! handshake that it stands for (RFC 6455 § 4), and the answer to that handshake becomes the answer to
//! the CONNECT.
//!
//! The library refuses `Connection` and `Upgrade` in requests of HTTP/2, so that no other request looks
//! like such a handshake.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::ext::Protocol;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Marks a handshake that came by an extended CONNECT. It has no `Sec-WebSocket-Key` (RFC 8441 § 5).
#[derive(Clone, Debug)]
pub(crate) struct ExtendedConnect {
    over: CancellationToken,
}

// === impl ExtendedConnect ===

impl ExtendedConnect {
    /// Turns an extended CONNECT for a WebSocket into a handshake. Other requests stay as they are.
    pub(super) fn accept<B>(request: &mut Request<B>) -> Option<Self> {
        let protocol = request.extensions().get::<Protocol>()?;
        if *request.method() != Method::CONNECT || protocol.as_str() != "websocket" {
            return None;
        }
        let connect = Self {
            over: CancellationToken::new(),
        };
        *request.method_mut() = Method::GET;
        request.extensions_mut().insert(connect.clone());
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        Some(connect)
    }

    /// Turns the answer to the handshake into that to the CONNECT: 200 instead of 101 (RFC 8441 § 5). Whether the WebSocket is open.
    pub(super) fn finish<B>(answer: &mut Response<B>) -> bool {
        let is_open = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_open {
            *answer.status_mut() = StatusCode::OK;
            remove_handshake(answer.headers_mut());
        } else if answer.status().is_success() {
            // The library takes every success for a tunnel.
            *answer.status_mut() = StatusCode::BAD_REQUEST;
        }
        is_open
    }

    /// A guard of the WebSocket, which is over when it is dropped.
    pub(crate) fn guard(self) -> DropGuard {
        self.over.drop_guard()
    }

    /// Completes some time after the WebSocket is over, in which its last bytes are written.
    pub(super) async fn over(self) {
        self.over.cancelled().await;
        sleep(LAST_BYTES_TIMEOUT).await;
    }
}

/// A client that is there takes a close frame within some round trips.
pub(super) const LAST_BYTES_TIMEOUT: Duration = Duration::from_secs(5);

fn remove_handshake(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, protocol: Option<&'static str>) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        request
    }

    #[test]
    fn only_a_connect_for_a_web_socket_becomes_a_handshake() {
        for (method, protocol, expected) in [
            (Method::CONNECT, Some("websocket"), true),
            (Method::CONNECT, Some("connect-udp"), false),
            (Method::CONNECT, Some("WebSocket"), false),
            (Method::CONNECT, None, false),
            (Method::GET, Some("websocket"), false),
            (Method::GET, None, false),
        ] {
            let mut request = request(method.clone(), protocol);
            let accepted = ExtendedConnect::accept(&mut request).is_some();
            assert_eq!(accepted, expected, "{method} {protocol:?}");
            let seen = if expected { Method::GET } else { method };
            assert_eq!(*request.method(), seen);
            let upgrades = request.headers().contains_key(header::UPGRADE);
            assert_eq!(upgrades, expected);
        }
    }

    #[test]
    fn a_switch_of_protocols_is_the_only_success() {
        for (status, expected, is_open) in [
            (StatusCode::SWITCHING_PROTOCOLS, StatusCode::OK, true),
            (StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST, false),
            (StatusCode::OK, StatusCode::BAD_REQUEST, false),
            (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN, false),
            (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER, false),
        ] {
            let mut answer = Response::new(());
            *answer.status_mut() = status;
            answer
                .headers_mut()
                .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            assert_eq!(ExtendedConnect::finish(&mut answer), is_open, "{status}");
            assert_eq!(answer.status(), expected);
            assert_eq!(answer.headers().is_empty(), is_open);
        }
    }
}
