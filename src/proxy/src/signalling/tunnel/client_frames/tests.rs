use model::negotiation::StreamPolicy;
use proptest::prelude::*;

use super::*;
use crate::limits::MAX_BUDGET;
use crate::signalling::tunnel::testing::{BOUND, OPEN, SUCCESS, binding, negotiation};

/// The negotiation of a client that is authenticated.
fn authenticated() -> StreamNegotiation {
    let mut stream = reopened();
    stream.server_sent(BOUND.as_bytes()).unwrap();
    stream
}

/// The negotiation of a client that may resume a stream.
fn reopened() -> StreamNegotiation {
    let mut stream = negotiation(true);
    stream.client_sent(OPEN.as_bytes()).unwrap();
    stream.server_sent(SUCCESS.as_bytes()).unwrap();
    stream.client_sent(OPEN.as_bytes()).unwrap();
    stream
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [7, 0, 255, 9];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

#[test]
fn frames_that_prosody_breaks_the_connection_at_do_not_pass() {
    use FrameError as E;
    let refused = |error| Some(ClientEnd::Refused(error));
    let text = frame(0x81, b"<a/>");
    let cases = [
        (text.clone(), None),
        (frame(0x89, b"ping"), None),
        (frame(0x8a, b""), None),
        (frame(0x88, &[3, 232]), Some(ClientEnd::Close)),
        (frame(0x88, &[]), Some(ClientEnd::Close)),
        (frame(0x88, &[0]), refused(E::Protocol)),
        (frame(0x82, b"<a/>"), refused(E::Unsupported)),
        (frame(0x01, b"<a/>"), refused(E::Unsupported)),
        (frame(0x80, b"<a/>"), refused(E::Protocol)),
        (frame(0x00, b"<a/>"), refused(E::Protocol)),
        (frame(0x09, b""), refused(E::Protocol)),
        (frame(0x89, &[b'x'; 126]), refused(E::Protocol)),
        (frame(0x83, b""), refused(E::Protocol)),
        (frame(0xc1, b"<a/>"), refused(E::Protocol)),
        (vec![0x81, 4, b'<', b'a', b'/', b'>'], refused(E::Protocol)),
        (frame(0x81, b""), refused(E::Payload)),
        (frame(0x81, b" <a/>"), refused(E::Payload)),
        (
            vec![0x81, 0xff, 0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0],
            refused(E::TooLong),
        ),
        (
            vec![0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255],
            refused(E::TooLong),
        ),
    ];
    for (bytes, end) in cases {
        let stream = [&text[..], &bytes, &text].concat();
        let accepted = ClientFrames::default().accept(&stream, &mut authenticated());
        let forwarded = match end {
            None => &stream[..],
            Some(_) => &text,
        };
        assert_eq!(accepted.end, end, "{bytes:02x?}");
        assert_eq!(&*accepted.forward, forwarded, "{bytes:02x?}");
    }
}

#[test]
fn close_frames_have_a_code_that_may_be_sent_and_a_reason_in_utf_8() {
    let end = |code: u16, reason: &[u8]| {
        let close = frame(0x88, &[&code.to_be_bytes(), reason].concat());
        let accepted = ClientFrames::default().accept(&close, &mut authenticated());
        accepted.end.unwrap()
    };
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        assert_eq!(end(code, "Tschüß".as_bytes()), ClientEnd::Close, "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999] {
        let refused = ClientEnd::Refused(FrameError::Protocol);
        assert_eq!(end(code, b""), refused, "{code}");
    }
    let refused = ClientEnd::Refused(FrameError::Payload);
    assert_eq!(end(1000, b"\xc3"), refused);
}

#[test]
fn messages_are_checked_until_the_client_is_authenticated() {
    let mut stream = StreamNegotiation::new(StreamPolicy::anonymous("meet.jitsi"));
    let mut frames = ClientFrames::default();
    let open = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='guest.meet.jitsi'/>";
    let open = frame(0x81, open);
    let accepted = frames.accept(&open, &mut stream);
    let error = FrameError::Negotiation(NegotiationError::Domain);
    assert_eq!(accepted.end, Some(ClientEnd::Refused(error)));
    assert!(accepted.forward.is_empty());
}

#[test]
fn the_id_of_a_resumed_stream_is_replaced_in_any_cut() {
    let resume = |id: &str| format!("<resume xmlns='urn:xmpp:sm:3' h='7' previd='{id}'/>");
    let (before, after) = (frame(0x89, b"ping"), frame(0x81, b"<r/>"));
    let sent = frame(0x81, resume(&binding().bind("abc")).as_bytes());
    let sent = [&before[..], &sent, &after].concat();
    let expected = message_frame::to_server(&resume("abc"));
    let expected = [&before[..], &expected, &after].concat();
    for cut in 1..=sent.len() {
        let (mut frames, mut stream) = (ClientFrames::default(), reopened());
        let mut forwarded = Vec::new();
        for chunk in sent.chunks(cut) {
            let accepted = frames.accept(chunk, &mut stream);
            assert_eq!(accepted.end, None);
            forwarded.extend_from_slice(&accepted.forward);
        }
        assert!(forwarded == expected, "{cut}");
    }
}

proptest! {
    #[test]
    fn only_whole_frames_pass_in_any_cut(
        lengths in prop::collection::vec(prop_oneof![1usize..130, 65_530usize..65_540], 1..4),
        cut in 1usize..5000,
    ) {
        let texts: Vec<_> = lengths.iter().map(|length| frame(0x81, &vec![b'<'; *length])).collect();
        let ends: Vec<usize> = texts
            .iter()
            .scan(0, |end, text| { *end += text.len(); Some(*end) })
            .collect();
        let sent = texts.concat();
        let (mut frames, mut stream) = (ClientFrames::default(), authenticated());
        let mut forwarded = Vec::new();
        for chunk in sent.chunks(cut) {
            let accepted = frames.accept(chunk, &mut stream);
            prop_assert_eq!(accepted.end, None);
            forwarded.extend_from_slice(&accepted.forward);
            prop_assert!(forwarded.is_empty() || ends.contains(&forwarded.len()));
        }
        prop_assert!(forwarded == sent);
        prop_assert!(frames.partial.is_empty());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        ClientFrames::default().accept(&bytes, &mut authenticated());
    }
}

#[test]
fn incomplete_messages_of_a_worker_have_a_bound() {
    let message = frame(0x81, &vec![b'<'; MAX_MESSAGE]);
    let (beginning, end) = message.split_at(MAX_MESSAGE / 2);
    let budget = ByteBudget::default();
    let mut stream = authenticated();
    let mut tunnels = Vec::new();
    let refused = loop {
        let mut frames = ClientFrames::within(&budget);
        let accepted = frames.accept(beginning, &mut stream);
        assert!(accepted.forward.is_empty());
        let end = accepted.end;
        tunnels.push(frames);
        if end.is_some() {
            break end;
        }
        assert!(tunnels.len() < 1000, "without a bound");
    };
    assert_eq!(refused, Some(ClientEnd::Refused(FrameError::Busy)));
    assert_eq!(tunnels.len(), MAX_BUDGET / beginning.len() + 1);
    // Usual messages are still awaited.
    let usual = frame(0x81, &vec![b'<'; 30_000]);
    let accepted = ClientFrames::within(&budget).accept(&usual[..29_000], &mut stream);
    assert_eq!(accepted.end, None);
    // Those that are held can be completed, and make room for others.
    tunnels.pop();
    let accepted = tunnels[0].accept(end, &mut stream);
    assert_eq!(
        (accepted.forward.len(), accepted.end),
        (message.len(), None)
    );
    let accepted = ClientFrames::within(&budget).accept(beginning, &mut stream);
    assert_eq!(accepted.end, None);
    drop(tunnels);
}
