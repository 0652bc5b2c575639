//! The WebSocket handshake (RFC 6455 § 4), and that with the subprotocol `xmpp` (RFC 7395 § 3.1).

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use model::{headers, random::Random};

use crate::{
    Body, server::ExtendedConnect, shard_upstreams::ForwardingError, signalling::SignallingError,
};

/// Checks a client's handshake of XMPP (RFC 7395 § 3.1) and gives its key. Prosody itself accepts any
/// version and no key.
pub(super) fn client_key<B>(
    request: &Request<B>,
    random: &Random,
) -> Result<HeaderValue, SignallingError> {
    let key = web_socket_key(request, random)?;
    let headers = request.headers();
    if !headers::list_contains(headers, &header::SEC_WEBSOCKET_PROTOCOL, "xmpp") {
        return Err(SignallingError::Handshake(
            "it does not offer the subprotocol xmpp",
        ));
    }
    Ok(key)
}

/// Checks a client's handshake (RFC 6455 § 4.2.1) and gives its key; over HTTP/2, which has none, a new one
/// for the server behind.
pub(crate) fn web_socket_key<B>(
    request: &Request<B>,
    random: &Random,
) -> Result<HeaderValue, SignallingError> {
    let headers = request.headers();
    let over_http2 = request.extensions().get::<ExtendedConnect>().is_some();
    let version = over_http2 || request.version() == Version::HTTP_11;
    if *request.method() != Method::GET || !version {
        return Err(SignallingError::Handshake("it is not an HTTP/1.1 GET"));
    }
    let plain = !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if !plain {
        return Err(SignallingError::Handshake("it has a body"));
    }
    let upgrades = headers::list_contains(headers, &header::UPGRADE, "websocket")
        && headers::list_contains(headers, &header::CONNECTION, "upgrade");
    if !upgrades {
        return Err(SignallingError::Handshake(
            "it does not ask for a WebSocket",
        ));
    }
    if single(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(SignallingError::WebSocketVersion);
    }
    if over_http2 {
        let key = BASE64_STANDARD.encode(random.bytes::<KEY_BYTES>());
        return Ok(HeaderValue::try_from(key).expect("base64 can stand in a header"));
    }
    let key = single(headers, &header::SEC_WEBSOCKET_KEY)
        .ok_or(SignallingError::Handshake("it has no key"))?;
    match BASE64_STANDARD.decode(key.as_bytes()) {
        Ok(bytes) if bytes.len() == KEY_BYTES => Ok(key.clone()),
        _ => Err(SignallingError::Handshake(
            "its key is not 16 bytes of base64",
        )),
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Checks that Prosody accepted the handshake; any other answer never becomes a tunnel.
pub(in crate::signalling) fn check_switch<B>(
    answer: &Response<B>,
    expected: &HeaderValue,
) -> Result<(), ForwardingError> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(ForwardingError::Answer(
            "a refusal of the WebSocket handshake; is `mod_websocket` loaded?",
        ));
    }
    check_accept(answer, expected)?;
    let protocol = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    // No extension is offered, and one that is in use would change the frames.
    let extensions = answer.headers().get(header::SEC_WEBSOCKET_EXTENSIONS);
    if protocol.is_some_and(|protocol| protocol == "xmpp") && extensions.is_none() {
        Ok(())
    } else {
        Err(MISMATCH)
    }
}

/// Checks that a response with status 101 is to the handshake of the key.
pub(crate) fn check_accept<B>(
    answer: &Response<B>,
    expected: &HeaderValue,
) -> Result<(), ForwardingError> {
    let headers = answer.headers();
    let right = headers::list_contains(headers, &header::UPGRADE, "websocket")
        && headers::list_contains(headers, &header::CONNECTION, "upgrade")
        && headers.get(header::SEC_WEBSOCKET_ACCEPT) == Some(expected);
    if right { Ok(()) } else { Err(MISMATCH) }
}

pub(super) fn switching_protocols(accept: HeaderValue) -> Response<Body> {
    let mut answer = switch_to_web_socket(accept);
    answer.headers_mut().insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static("xmpp"),
    );
    answer
}

/// The response to a handshake, without a subprotocol.
pub(crate) fn switch_to_web_socket(accept: HeaderValue) -> Response<Body> {
    let mut answer = Response::new(Body::EMPTY);
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

/// The `Sec-WebSocket-Accept` value of a key (RFC 6455 § 4.2.2).
pub(crate) fn accept_of(key: &HeaderValue) -> HeaderValue {
    use aws_lc_rs::digest;
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(BASE64_STANDARD.encode(context.finish().as_ref()))
        .expect("base64 can stand in a header")
}

const KEY_BYTES: usize = 16;

const MISMATCH: ForwardingError =
    ForwardingError::Answer("a handshake that does not match the request");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_the_standards_example() {
        // RFC 6455 § 1.3
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
