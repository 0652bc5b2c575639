//! WebSocket frames from Prosody to a client: where they end, and with which element they begin.
//!
//! They pass as they come. The gateway's own close frame must not land inside of one, and the names of
//! elements tell how many stanzas passed.

/// Follows a stream of WebSocket frames, any cut of it (RFC 6455 § 5.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerFrames {
    /// The head's bytes so far; two bytes, up to eight of length, up to four of mask.
    head: [u8; MAX_HEAD],
    have: usize,
    payload_left: u64,
    /// The frame is text. Prosody's pongs repeat the client's payload, and are no messages.
    is_text: bool,
    beginning: Beginning,
}

/// The first bytes of a message, at most as many as the longest name that is looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    bytes: [u8; BEGINNING],
    have: usize,
}

// === impl ServerFrames ===

impl ServerFrames {
    /// Whether the bytes so far end with a whole frame.
    pub(super) fn is_whole(&self) -> bool {
        self.have == 0 && self.payload_left == 0
    }

    /// Takes the next bytes of the stream, and gives the first [`BEGINNING`] bytes of each message
    /// that has as many.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut message: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let (payload, rest) = bytes.split_at(skipped);
                if self.is_text && self.beginning.extend(payload) {
                    message(&self.beginning.bytes);
                }
                self.payload_left -= skipped as u64;
                bytes = rest;
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = byte;
            }
            self.have += 1;
            if let Some(payload) = self.payload() {
                self.payload_left = payload;
                self.is_text = self.head[0] & 0x0f == TEXT;
                self.beginning.have = 0;
                self.have = 0;
            }
        }
    }

    /// The payload's length, once the head is whole.
    fn payload(&self) -> Option<u64> {
        let [_, second, rest @ ..] = &self.head;
        if self.have < 2 {
            return None;
        }
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (extended, length) = match second & 0x7f {
            126 => (2, be(rest.get(..2)?)),
            127 => (8, be(rest.get(..8)?)),
            short => (0, u64::from(short)),
        };
        (self.have == 2 + extended + mask).then_some(length)
    }
}

// === impl Beginning ===

impl Beginning {
    /// Takes bytes until there are enough; true when they become enough.
    fn extend(&mut self, bytes: &[u8]) -> bool {
        let free = self.bytes.get_mut(self.have..).unwrap_or_default();
        let taken = free.len().min(bytes.len());
        for (slot, byte) in free.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        self.have += taken;
        taken > 0 && self.have == BEGINNING
    }
}

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

const MAX_HEAD: usize = 14;

/// The opcode of a text frame.
const TEXT: u8 = 1;

/// As long as `<success`, `<failure`, `<enabled`, `<resumed` and `<message`.
pub(super) const BEGINNING: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask_bit = u8::from(masked) << 7;
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(mask_bit | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(mask_bit | 0x7e);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask_bit | 0x7f);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.extend(std::iter::repeat_n(0x88, length));
        frame
    }

    #[test]
    fn a_pong_is_no_message() {
        let mut frames = ServerFrames::default();
        let mut messages = 0;
        frames.pass(b"\x8a\x08<success\x81\x08<success", |_| messages += 1);
        assert_eq!(messages, 1);
    }

    proptest! {
        #[test]
        fn boundaries_are_found_in_any_cut(
            lengths in prop::collection::vec((prop_oneof![0usize..130, 65_530usize..65_540], any::<bool>()), 1..4),
            cut in 1usize..5000,
        ) {
            let (mut boundary, mut messages) = (ServerFrames::default(), 0);
            let long = lengths.iter().filter(|(length, _)| *length >= BEGINNING).count();
            for (length, masked) in lengths {
                let frame = frame(length, masked);
                for (index, chunk) in frame.chunks(cut).enumerate() {
                    boundary.pass(chunk, |beginning| {
                        assert_eq!(beginning, [0x88; BEGINNING]);
                        messages += 1;
                    });
                    let whole = (index + 1) * cut >= frame.len();
                    prop_assert_eq!(boundary.is_whole(), whole);
                }
            }
            prop_assert_eq!(messages, long);
        }
    }
}
