//! WebSocket frames from a client to Prosody: only whole ones pass, and only those that Prosody takes.
//!
//! Prosody keeps a stream for resumption when its connection breaks, and it breaks the connection
//! itself at a frame that it does not take (Prosody 0.12 `plugins/mod_websocket.lua`,
//! `validate_frame`). A client could so leave the gateway's reach and stay in the room. Therefore the
//! gateway makes those checks, holds back the beginning of a frame until its end arrives, and answers
//! close frames itself: a stream at Prosody can then always be ended by a frame of the gateway.

use std::borrow::Cow;

use model::negotiation::{NegotiationError, StreamNegotiation};

/// The client's frames, held back until they are whole.
#[derive(Debug, Default)]
pub(super) struct ClientFrames {
    /// The beginning of a frame.
    partial: Vec<u8>,
}

/// What may go to Prosody of the bytes that arrived, and whether they end the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted<'b> {
    pub(super) forward: Cow<'b, [u8]>,
    pub(super) end: Option<ClientEnd>,
}

/// How a client's frames end its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientEnd {
    /// By a close frame.
    Close,
    /// By a frame that the gateway does not let pass.
    Refused(FrameError),
}

/// Why a frame does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Against RFC 6455 § 5: reserved bits or opcodes, no mask, a long or fragmented control frame.
    #[error("a frame breaks the WebSocket protocol")]
    Protocol,
    /// Binary or fragmented messages (RFC 7395 § 3.2, § 3.3.3).
    #[error("a frame is binary or a fragment")]
    Unsupported,
    /// The text does not begin with `<` (RFC 7395 § 3.3.3).
    #[error("a message is no XML element")]
    Payload,
    /// A message is longer than Prosody takes.
    #[error("a message is too long")]
    TooLong,
    /// Against the stream's policy.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
}

/// The head of a frame (RFC 6455 § 5.2).
#[derive(Debug)]
struct Head {
    opcode: u8,
    length: usize,
    payload: usize,
    mask: [u8; 4],
}

// === impl ClientFrames ===

impl ClientFrames {
    /// Takes the next bytes.
    pub(super) fn accept<'b>(
        &mut self,
        bytes: &'b [u8],
        negotiation: &mut StreamNegotiation,
    ) -> Accepted<'b> {
        if self.partial.is_empty() {
            let (whole, end) = scan(bytes, negotiation);
            let (forward, rest) = bytes.split_at(whole);
            if end.is_none() {
                self.partial.extend_from_slice(rest);
            }
            let forward = Cow::Borrowed(forward);
            return Accepted { forward, end };
        }
        self.partial.extend_from_slice(bytes);
        let (whole, end) = scan(&self.partial, negotiation);
        let rest = self.partial.split_off(whole);
        let forward = Cow::Owned(std::mem::replace(&mut self.partial, rest));
        Accepted { forward, end }
    }
}

/// The length of the whole frames at the beginning, up to the one that ends the connection.
fn scan(bytes: &[u8], negotiation: &mut StreamNegotiation) -> (usize, Option<ClientEnd>) {
    let mut whole = 0;
    loop {
        let rest = bytes.get(whole..).unwrap_or_default();
        let head = match Head::parse(rest) {
            Ok(Some(head)) => head,
            Ok(None) => return (whole, None),
            Err(error) => return (whole, Some(ClientEnd::Refused(error))),
        };
        let length = head.payload + head.length;
        let Some(payload) = rest.get(head.payload..length) else {
            return (whole, None);
        };
        if head.opcode == CLOSE {
            return (whole, Some(ClientEnd::Close));
        }
        if head.opcode == TEXT
            && let Err(error) = check_message(payload, head.mask, negotiation)
        {
            return (whole, Some(ClientEnd::Refused(error)));
        }
        whole += length;
    }
}

fn check_message(
    payload: &[u8],
    mask: [u8; 4],
    negotiation: &mut StreamNegotiation,
) -> Result<(), FrameError> {
    if payload.first().map(|byte| byte ^ mask[0]) != Some(b'<') {
        return Err(FrameError::Payload);
    }
    if negotiation.is_checked() {
        let masks = mask.iter().cycle();
        let message: Vec<u8> = payload.iter().zip(masks).map(|(b, m)| b ^ m).collect();
        negotiation.client_sent(&message)?;
    }
    Ok(())
}

// === impl Head ===

impl Head {
    /// Parses the head at the beginning of the bytes; `None` if it is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (final_fragment, opcode, masked) =
            (first & 0x80 != 0, first & 0x0f, second & 0x80 != 0);
        if first & 0x70 != 0 || !masked {
            return Err(FrameError::Protocol);
        }
        match opcode {
            CLOSE | PING | PONG if final_fragment && second & 0x7f <= MAX_CONTROL => {}
            TEXT if final_fragment => {}
            CONTINUATION | TEXT | BINARY => return Err(FrameError::Unsupported),
            _ => return Err(FrameError::Protocol),
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(extended) else {
            return Ok(None);
        };
        let length = match extended {
            0 => u64::from(second & 0x7f),
            _ => length
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_MESSAGE)
            .ok_or(FrameError::TooLong)?;
        let Some(&mask) = rest.first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self {
            opcode,
            length,
            payload: 2 + extended + mask.len(),
            mask,
        }))
    }
}

// === impl FrameError ===

impl FrameError {
    /// The close code for the client (RFC 6455 § 7.4.1).
    pub(super) const fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::Payload => 1007,
            Self::Negotiation(_) => 1008,
            Self::TooLong => 1009,
        }
    }
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// RFC 6455 § 5.5.
const MAX_CONTROL: u8 = 125;

/// Twice the longest stanza that Prosody takes by default (`c2s_stanza_size_limit`, 256 KiB), for
/// deployments that raised it. Prosody ends the whole stream at a longer one.
const MAX_MESSAGE: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use model::negotiation::StreamPolicy;
    use proptest::prelude::*;

    use super::*;

    /// The negotiation of a client that is authenticated.
    fn authenticated() -> StreamNegotiation {
        let mut stream = StreamNegotiation::new(StreamPolicy::anonymous("meet.jitsi"));
        let open = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";
        stream.client_sent(open).unwrap();
        stream.server_sent(b"<success").unwrap();
        stream.client_sent(open).unwrap();
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
            (frame(0x88, &[0]), Some(ClientEnd::Close)),
            (frame(0x82, b"<a/>"), refused(E::Unsupported)),
            (frame(0x01, b"<a/>"), refused(E::Unsupported)),
            (frame(0x80, b"<a/>"), refused(E::Unsupported)),
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
}
