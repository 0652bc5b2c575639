//! Frames that the gateway writes itself, and the heads of a server's (RFC 6455 § 5.2).

use std::ops::Range;

/// A frame to Prosody. The mask is zero: masking protects against chosen payloads (RFC 6455 § 10.3),
/// and these are the gateway's.
pub(in crate::signalling) fn to_server(message: &str) -> Vec<u8> {
    let mut frame = head(0x80, message.len());
    frame.extend([0; 4]);
    frame.extend(message.as_bytes());
    frame
}

/// A frame to the client.
pub(super) fn to_client(message: &str) -> Vec<u8> {
    let mut frame = head(0, message.len());
    frame.extend(message.as_bytes());
    frame
}

/// A close frame to the client (RFC 6455 § 5.5.1).
pub(super) fn close(code: u16, text: &str) -> Vec<u8> {
    debug_assert!(text.len() <= 123, "a control frame has at most 125 bytes");
    let mut frame = head(0, 2 + text.len());
    if let Some(first) = frame.first_mut() {
        *first = FINAL_CLOSE;
    }
    frame.extend(code.to_be_bytes());
    frame.extend(text.as_bytes());
    frame
}

fn head(mask: u8, length: usize) -> Vec<u8> {
    let mut head = vec![FINAL_TEXT];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => head.push(mask | short),
        (_, Ok(length)) => {
            head.push(mask | 0x7e);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(mask | 0x7f);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}

/// The lengths of head and payload of a server's frame, if its head is whole: a server masks nothing (RFC
/// 6455 § 5.1).
pub(super) fn head_and_payload(frame: &[u8]) -> Option<(usize, usize)> {
    let (_, rest) = frame.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        short => return Some((2, usize::from(short))),
    };
    let number = rest.get(..extended)?.iter();
    let length = number.fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some((2 + extended, usize::try_from(length).ok()?))
}

/// The first byte of a server's frame and the place of its payload, if it is whole.
pub(in crate::signalling) fn of_server(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let (head, payload) = head_and_payload(bytes)?;
    let end = head.checked_add(payload)?;
    (bytes.len() >= end).then_some((*bytes.first()?, head..end))
}

const FINAL_CLOSE: u8 = 0x88;

/// The first byte of a text frame that is a whole message.
pub(in crate::signalling) const FINAL_TEXT: u8 = 0x81;
