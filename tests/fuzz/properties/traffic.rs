//! What clients send on connections: PROXY headers, BOSH bodies, WebSocket frames and stanzas.

use std::{iter, net::IpAddr};

use futures_util::FutureExt as _;
use model::{
    bosh::StartTag,
    negotiation::{StreamNegotiation, StreamPolicy},
    xml::Element,
};
use proxy::{client_frames::ClientFrames, server::proxy_protocol};

/// The id of a session is text of the body, and what follows the start tag changes nothing.
pub(crate) fn start_tag(bytes: &[u8]) {
    let Ok(tag) = StartTag::parse(bytes) else {
        return;
    };
    let end = bytes.iter().position(|byte| *byte == b'>');
    assert!(end.is_some(), "a tag that does not end");
    if let Some(sid) = tag.sid(bytes) {
        assert!(
            !sid.contains(['<', '&', '"', '\'']) || !sid.contains('&'),
            "{sid}"
        );
    }
    let longer = [bytes, b"<x/>"].concat();
    if let Ok(again) = StartTag::parse(&longer) {
        assert_eq!(again.sid(&longer), tag.sid(bytes));
        assert_eq!(
            (again.rid(), again.terminates()),
            (tag.rid(), tag.terminates())
        );
    }
}

/// No text makes the reader of stanzas panic.
pub(crate) fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(element) = Element::parse(text) {
        assert!(!element.name().is_empty());
        assert!(element.children().all(|child| !child.name().is_empty()));
    }
}

/// Exactly the header is read, and the same from bytes that arrive with more behind them.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let read = |mut bytes: &[u8]| -> (Option<Option<IpAddr>>, usize) {
        let before = bytes.len();
        let read = proxy_protocol::read(&mut bytes).now_or_never();
        (
            read.expect("all bytes are there").ok(),
            before - bytes.len(),
        )
    };
    let (address, length) = read(bytes);
    if address.is_some() {
        assert!(length >= 12, "{length}");
        assert_eq!(read(&bytes[..length]), (address, length));
        assert!(read(&bytes[..length - 1]).0.is_none());
        assert_eq!(
            read(&[&bytes[..length], b"GET / HTTP/1.1"].concat()),
            (address, length)
        );
    }
}

/// Bytes pass in whole frames only, each as it came, and the same whatever pieces they arrive in.
pub(crate) fn client_frames(bytes: &[u8]) {
    let accept = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut negotiation = StreamNegotiation::new(StreamPolicy::anonymous("meet.jitsi"));
        let mut frames = ClientFrames::default();
        let mut forwarded = Vec::new();
        for piece in pieces {
            let accepted = frames.accept(piece, &mut negotiation);
            forwarded.extend_from_slice(&accepted.forward);
            if accepted.end.is_some() {
                return (forwarded, accepted.end);
            }
        }
        (forwarded, None)
    };
    let (forwarded, end) = accept(&mut iter::once(bytes));
    let (bytewise, bytewise_end) = accept(&mut bytes.chunks(1));
    assert_eq!(
        forwarded.escape_ascii().to_string(),
        bytewise.escape_ascii().to_string()
    );
    assert_eq!(end, bytewise_end);
}
