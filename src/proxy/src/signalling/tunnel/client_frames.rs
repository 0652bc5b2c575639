//! WebSocket frames from a client to Prosody: only whole ones pass, and only those that Prosody takes.
//!
//! Prosody keeps a stream for resumption when its connection breaks, and it breaks the connection
//! itself at a frame that it does not take (Prosody 0.12 `plugins/mod_websocket.lua`,
//! `validate_frame`). A client could so leave the gateway's reach and stay in the room. Therefore the
//! gateway makes those checks, holds back the beginning of a frame until its end arrives, and answers
//! close frames itself: a stream at Prosody can then always be ended by a frame of the gateway.

use std::borrow::Cow;

use model::negotiation::{NegotiationError, StreamNegotiation};

use super::message_frame;
use crate::limits::{ByteBudget, TakenBytes};

/// The client's frames, held back until they are whole.
#[derive(Debug, Default)]
pub struct ClientFrames {
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// The memory of `partial`, if that is long.
    taken: TakenBytes,
}

/// What may go to Prosody of the bytes that arrived, and whether they end the connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted<'b> {
    /// The bytes that pass: whole frames.
    pub forward: Cow<'b, [u8]>,
    /// How the connection ends, if it does.
    pub end: Option<ClientEnd>,
}

/// How a client's frames end its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// By a close frame.
    Close,
    /// By a frame that the gateway does not let pass.
    Refused(FrameError),
}

/// Why a frame does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Against RFC 6455 § 5: reserved bits or opcodes, no mask, a long or fragmented control frame, the
    /// continuation of no message, a close code that no endpoint may send.
    #[error("a frame breaks the WebSocket protocol")]
    Protocol,
    /// Binary or fragmented messages (RFC 7395 § 3.2, § 3.3.3).
    #[error("a frame is binary or a fragment")]
    Unsupported,
    /// The text does not begin with `<` (RFC 7395 § 3.3.3), or that of a close frame is not UTF-8.
    #[error("a message is no XML element, or the reason of a close is not UTF-8")]
    Payload,
    /// A message is longer than Prosody takes.
    #[error("a message is too long")]
    TooLong,
    /// The beginnings of messages take too much memory of the worker.
    #[error("too many messages are incomplete")]
    Busy,
    /// Against the stream's policy.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
}

/// The whole frames at the beginning of some bytes.
#[derive(Debug)]
struct Scan {
    /// Their length.
    whole: usize,
    /// What to forward in their place, if a message was replaced.
    replaced: Option<Vec<u8>>,
    end: Option<ClientEnd>,
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
    /// Frames whose long beginnings take memory of a budget.
    pub(super) fn within(budget: &ByteBudget) -> Self {
        Self {
            partial: Vec::new(),
            taken: budget.take_none(),
        }
    }

    /// Takes the next bytes.
    pub fn accept<'b>(
        &mut self,
        bytes: &'b [u8],
        negotiation: &mut StreamNegotiation,
    ) -> Accepted<'b> {
        let mut accepted = self.scan_next(bytes, negotiation);
        let held = Some(self.partial.capacity()).filter(|bytes| *bytes > USUAL_BYTES);
        if !self.taken.resize(held.unwrap_or_default()) && accepted.end.is_none() {
            accepted.end = Some(ClientEnd::Refused(FrameError::Busy));
        }
        accepted
    }

    fn scan_next<'b>(
        &mut self,
        bytes: &'b [u8],
        negotiation: &mut StreamNegotiation,
    ) -> Accepted<'b> {
        if self.partial.is_empty() {
            let Scan {
                whole,
                replaced,
                end,
            } = scan(bytes, negotiation);
            let (forward, rest) = bytes.split_at(whole);
            if end.is_none() {
                self.partial.extend_from_slice(rest);
            }
            let forward = replaced.map_or(Cow::Borrowed(forward), Cow::Owned);
            return Accepted { forward, end };
        }
        self.partial.extend_from_slice(bytes);
        let Scan {
            whole,
            replaced,
            end,
        } = scan(&self.partial, negotiation);
        if whole == 0 {
            let forward = Cow::Borrowed(&[][..]);
            return Accepted { forward, end };
        }
        let rest = self.partial.split_off(whole);
        let forward = std::mem::replace(&mut self.partial, rest);
        let forward = Cow::Owned(replaced.unwrap_or(forward));
        Accepted { forward, end }
    }
}

/// Above Jitsi's stanzas, of which the largest, source descriptions, have some ten kilobytes. Usual messages are not
/// counted, so that clients which use up the budget end no stream but their own.
const USUAL_BYTES: usize = 64 * 1024;

/// Scans the whole frames at the beginning, up to the one that ends the connection.
fn scan(bytes: &[u8], negotiation: &mut StreamNegotiation) -> Scan {
    let mut scan = Scan {
        whole: 0,
        replaced: None,
        end: None,
    };
    loop {
        let rest = bytes.get(scan.whole..).unwrap_or_default();
        let head = match Head::parse(rest) {
            Ok(Some(head)) => head,
            Ok(None) => return scan,
            Err(error) => return scan.refused(error),
        };
        let length = head.payload + head.length;
        let Some(payload) = rest.get(head.payload..length) else {
            return scan;
        };
        if head.opcode == CLOSE {
            if let Err(error) = check_close(payload, head.mask) {
                return scan.refused(error);
            }
            scan.end = Some(ClientEnd::Close);
            return scan;
        }
        let replacement = if head.opcode == TEXT {
            check_message(payload, head.mask, negotiation)
        } else {
            Ok(None)
        };
        match replacement {
            Ok(None) => {
                if let Some(replaced) = &mut scan.replaced {
                    replaced.extend_from_slice(rest.get(..length).unwrap_or_default());
                }
            }
            Ok(Some(message)) => {
                let before = bytes.get(..scan.whole).unwrap_or_default();
                let replaced = scan.replaced.get_or_insert_with(|| before.to_vec());
                replaced.extend(message_frame::to_server(&message));
            }
            Err(error) => return scan.refused(error),
        }
        scan.whole += length;
    }
}

// === impl Scan ===

impl Scan {
    fn refused(self, error: FrameError) -> Self {
        let end = Some(ClientEnd::Refused(error));
        Self { end, ..self }
    }
}

/// Checks a message; gives the one for Prosody, if it is another.
fn check_message(
    payload: &[u8],
    mask: [u8; 4],
    negotiation: &mut StreamNegotiation,
) -> Result<Option<String>, FrameError> {
    if payload.first().map(|byte| byte ^ mask[0]) != Some(b'<') {
        return Err(FrameError::Payload);
    }
    if !negotiation.is_checked() {
        return Ok(None);
    }
    Ok(negotiation.client_sent(&unmasked(payload, mask))?)
}

/// Checks the content of a close frame: nothing, or a code and a reason (RFC 6455 § 5.5.1).
fn check_close(payload: &[u8], mask: [u8; 4]) -> Result<(), FrameError> {
    let content = unmasked(payload, mask);
    let Some((code, reason)) = content.split_first_chunk() else {
        let is_empty = content.is_empty();
        return is_empty.then_some(()).ok_or(FrameError::Protocol);
    };
    if !is_close_code(u16::from_be_bytes(*code)) {
        return Err(FrameError::Protocol);
    }
    let reason = std::str::from_utf8(reason);
    reason.map(|_| ()).map_err(|_| FrameError::Payload)
}

/// Whether an endpoint may send the code (RFC 6455 § 7.4 and IANA's registry of close codes): the codes of
/// the protocol but 1004 to 1006 and 1015, which stand for ends without a close frame, and those of
/// applications.
const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..)
}

fn unmasked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let masks = mask.iter().cycle();
    payload.iter().zip(masks).map(|(b, m)| b ^ m).collect()
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
            TEXT | BINARY => return Err(FrameError::Unsupported),
            // Of continuations, too: no message has begun, as its first fragment is refused.
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
            // Try again later (IANA's registry of close codes).
            Self::Busy => 1013,
        }
    }
}

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
mod tests;
