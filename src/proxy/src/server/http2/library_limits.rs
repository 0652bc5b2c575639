//! The limits that the HTTP library itself has for what a client sends by HTTP/2, and ends the connection for.
//!
//! The library has one code for most of them. Its GOAWAY has a text besides, which its error lacks. GOAWAY is the
//! last frame of a connection, so the last bytes that were sent name the limit.

use std::{cell::Cell, error::Error, rc::Rc};

use observe::metrics::LimitKind;

/// The limit that the GOAWAY of a connection names; none, if it has sent none, or another one.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedLimit(Rc<Cell<Option<LimitKind>>>);

// === impl NamedLimit ===

impl NamedLimit {
    /// Notes bytes that were sent.
    pub(super) fn sent(&self, bytes: &[u8]) {
        let ends = |(text, _): &&(&str, LimitKind)| ends_with_goaway(bytes, text);
        if let Some((_, limit)) = TEXTS.iter().find(ends) {
            self.0.set(Some(*limit));
        }
    }

    /// The limit for which the library ended the connection with an error; none, if it has another reason.
    pub(super) fn of(&self, error: &hyper::Error) -> Option<LimitKind> {
        let error: &h2::Error = error.source()?.downcast_ref()?;
        match error.reason()? {
            // A client that reads nothing gets no GOAWAY.
            h2::Reason::ENHANCE_YOUR_CALM => self.0.get().or(Some(LimitKind::StreamResets)),
            // A head that goes on for another `SETTINGS_MAX_HEADER_LIST_SIZE` behind one that is too large.
            // Blocks that cannot be decoded have PROTOCOL_ERROR.
            h2::Reason::COMPRESSION_ERROR => Some(LimitKind::Head),
            _ => None,
        }
    }
}

/// Whether the last frame is a GOAWAY with this text (RFC 9113 § 6.8).
fn ends_with_goaway(bytes: &[u8], text: &str) -> bool {
    let Some(rest) = bytes.strip_suffix(text.as_bytes()) else {
        return false;
    };
    let Some((_, frame)) = rest.split_last_chunk::<GOAWAY_BYTES>() else {
        return false;
    };
    let [high, middle, low, kind, ..] = *frame;
    let length = u32::from_be_bytes([0, high, middle, low]);
    kind == GOAWAY && u32::try_from(text.len() + 8) == Ok(length)
}

/// The texts of `h2` 0.4; a test of each is in `tests.rs` beside this module.
const TEXTS: [(&str, LimitKind); 3] = [
    ("too_many_continuations", LimitKind::Head),
    ("header_list_way_too_large", LimitKind::Head),
    ("too_many_data_frames", LimitKind::SmallData),
];

const GOAWAY: u8 = 7;

/// The head of the frame, the last stream and the code.
const GOAWAY_BYTES: usize = 9 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn goaway(text: &[u8]) -> Vec<u8> {
        let length = u8::try_from(8 + text.len()).unwrap();
        let head = [0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
        [&head[..], &[0, 0, 0, 1, 0, 0, 0, 11], text].concat()
    }

    #[test]
    fn only_the_text_of_a_goaway_names_a_limit() {
        let named = |bytes: &[u8]| {
            let named = NamedLimit::default();
            named.sent(bytes);
            named.0.get()
        };
        let frame = goaway(b"too_many_data_frames");
        assert_eq!(named(&frame), Some(LimitKind::SmallData));
        let behind = [b"the end of an answer", &frame[..]].concat();
        assert_eq!(named(&behind), Some(LimitKind::SmallData));
        let text = b"an answer about too_many_data_frames";
        for other in [
            &text[..],
            &frame[1..],
            &frame[17..],
            &goaway(b"too_many_resets"),
        ] {
            assert_eq!(named(other), None, "{}", other.escape_ascii());
        }
    }
}
