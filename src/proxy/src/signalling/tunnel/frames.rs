//! Where WebSocket frames end.

/// Follows a stream of WebSocket frames, any cut of it, to know when one is whole (RFC 6455 § 5.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameBoundary {
    /// The head's bytes so far; two bytes, up to eight of length, up to four of mask.
    head: [u8; MAX_HEAD],
    have: usize,
    payload_left: u64,
}

// === impl FrameBoundary ===

impl FrameBoundary {
    /// Whether the bytes so far end with a whole frame.
    pub(crate) fn is_whole(&self) -> bool {
        self.have == 0 && self.payload_left == 0
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
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

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

const MAX_HEAD: usize = 14;

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

    proptest! {
        #[test]
        fn boundaries_are_found_in_any_cut(
            lengths in prop::collection::vec((prop_oneof![0usize..130, 65_530usize..65_540], any::<bool>()), 1..4),
            cut in 1usize..5000,
        ) {
            let mut boundary = FrameBoundary::default();
            for (length, masked) in lengths {
                let frame = frame(length, masked);
                for (index, chunk) in frame.chunks(cut).enumerate() {
                    boundary.pass(chunk);
                    let whole = (index + 1) * cut >= frame.len();
                    prop_assert_eq!(boundary.is_whole(), whole);
                }
            }
        }
    }
}
