//! Prosody's messages during the negotiation: the client gets some of them with other content.
//!
//! Bytes pass as they come but for messages that the negotiation awaits, which pass when they are
//! whole, and beginnings that are too short to tell. Once the negotiation is settled, nothing is
//! looked at any more ([`server_frames`](super::server_frames)).

use std::borrow::Cow;

use model::negotiation::{NegotiationError, StreamNegotiation};

use super::{message_frame, server_frames::BEGINNING};

/// Prosody's frames until the negotiation is settled.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The beginning of a frame that does not pass yet.
    withheld: Vec<u8>,
    /// The rest of a frame that passes.
    passing: usize,
}

/// What may go to the client of the bytes that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reviewed<'b> {
    pub(super) forward: Cow<'b, [u8]>,
    /// How many of the bytes follow the last message that mattered; they are part of `forward`.
    pub(super) unread: usize,
    pub(super) error: Option<NegotiationError>,
}

/// The bytes of one review, and what became of them.
struct Review<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Set when a message was replaced: what to forward instead of the bytes before `at`.
    replaced: Option<Vec<u8>>,
}

// === impl Answers ===

impl Answers {
    /// Whether the bytes so far end with a whole frame.
    pub(super) fn is_whole(&self) -> bool {
        self.withheld.is_empty() && self.passing == 0
    }

    /// Takes the next bytes.
    pub(super) fn review<'b>(
        &mut self,
        bytes: &'b [u8],
        negotiation: &mut StreamNegotiation,
    ) -> Reviewed<'b> {
        if self.withheld.is_empty() {
            return self.review_all(bytes, negotiation);
        }
        let mut all = std::mem::take(&mut self.withheld);
        all.extend_from_slice(bytes);
        let Reviewed {
            forward,
            unread,
            error,
        } = self.review_all(&all, negotiation);
        Reviewed {
            forward: Cow::Owned(forward.into_owned()),
            unread,
            error,
        }
    }

    fn review_all<'b>(
        &mut self,
        bytes: &'b [u8],
        negotiation: &mut StreamNegotiation,
    ) -> Reviewed<'b> {
        let mut review = Review {
            bytes,
            at: 0,
            replaced: None,
        };
        let mut error = None;
        while !negotiation.is_settled() {
            if self.passing > 0 {
                self.passing -= review.pass(self.passing);
                if self.passing > 0 {
                    break;
                }
            }
            match review.next(negotiation) {
                Ok(Some(length)) => self.passing = length,
                Ok(None) => {
                    self.withheld.extend_from_slice(review.rest());
                    break;
                }
                Err(refused) => {
                    error = Some(refused);
                    break;
                }
            }
        }
        let settled = negotiation.is_settled();
        let unread = if settled { review.rest().len() } else { 0 };
        review.pass(unread);
        Reviewed {
            forward: review.forward(),
            unread,
            error,
        }
    }
}

// === impl Review ===

impl<'b> Review<'b> {
    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Lets at most so many bytes pass; gives how many there were.
    fn pass(&mut self, most: usize) -> usize {
        let passed = self.rest().get(..most).unwrap_or(self.rest());
        if let Some(replaced) = &mut self.replaced {
            replaced.extend_from_slice(passed);
        }
        self.at += passed.len();
        passed.len()
    }

    /// Gives the length of the next frame that passes as it comes, 0 for one that was passed
    /// already; `None` if there is too little of it.
    fn next(
        &mut self,
        negotiation: &mut StreamNegotiation,
    ) -> Result<Option<usize>, NegotiationError> {
        let rest = self.rest();
        let Some((head, length)) = message_frame::head_and_payload(rest) else {
            return Ok(None);
        };
        let payload = rest.get(head..).unwrap_or_default();
        if rest.first() != Some(&message_frame::FINAL_TEXT)
            || !(BEGINNING..=MAX_MESSAGE).contains(&length)
        {
            return Ok(Some(head + length));
        }
        match payload.get(..BEGINNING) {
            None => return Ok(None),
            Some(beginning) if negotiation.awaits(beginning) => {}
            Some(_) => return Ok(Some(head + length)),
        }
        let Some(message) = payload.get(..length) else {
            return Ok(None);
        };
        if let Some(message) = negotiation.server_sent(message)? {
            let before = self.bytes.get(..self.at).unwrap_or_default();
            let replaced = self.replaced.get_or_insert_with(|| before.to_vec());
            replaced.extend(message_frame::to_client(&message));
            self.at += head + length;
        } else {
            self.pass(head + length);
        }
        Ok(Some(0))
    }

    fn forward(self) -> Cow<'b, [u8]> {
        match self.replaced {
            Some(replaced) => Cow::Owned(replaced),
            None => Cow::Borrowed(self.bytes.get(..self.at).unwrap_or_default()),
        }
    }
}

/// The stream features, the longest message of a negotiation, have two kilobytes.
const MAX_MESSAGE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::tunnel::testing::{BOUND, OPEN, SUCCESS, binding, negotiation};

    const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' id='abc' resume='true'/>";

    /// The messages of a client in between do not matter here.
    fn ready(with_binding: bool) -> StreamNegotiation {
        let mut stream = negotiation(with_binding);
        for message in [OPEN, SUCCESS, OPEN] {
            if message == SUCCESS {
                stream.server_sent(message.as_bytes()).unwrap();
            } else {
                stream.client_sent(message.as_bytes()).unwrap();
            }
        }
        stream
    }

    /// What the client gets, and whether the negotiation is settled.
    fn reviewed(sent: &[u8], cut: usize) -> (Vec<u8>, usize, bool) {
        let (mut answers, mut stream) = (Answers::default(), ready(true));
        let (mut forwarded, mut unread) = (Vec::new(), 0);
        for chunk in sent.chunks(cut) {
            if stream.is_settled() {
                forwarded.extend_from_slice(chunk);
                unread += chunk.len();
                continue;
            }
            let reviewed = answers.review(chunk, &mut stream);
            assert_eq!(reviewed.error, None);
            forwarded.extend_from_slice(&reviewed.forward);
            unread += reviewed.unread;
        }
        assert!(answers.is_whole());
        (forwarded, unread, stream.is_settled())
    }

    #[test]
    fn the_id_is_replaced_in_any_cut() {
        let long = format!("<message>{}</message>", "x".repeat(70_000));
        let before = [
            message_frame::to_client("<features/>"),
            message_frame::to_client(BOUND),
            // A pong with the client's payload.
            [&[0x8a, 60][..], &ENABLED.as_bytes()[..55], b"     "].concat(),
            message_frame::to_client("<r/>"),
            message_frame::to_client(&long),
            message_frame::to_client(&long[..300]),
        ]
        .concat();
        let after = [
            message_frame::to_client(ENABLED),
            message_frame::to_client(&long),
        ]
        .concat();
        let sent = [&before[..], &message_frame::to_client(ENABLED), &after].concat();
        let bound = ENABLED.replace("abc", &binding().bind("abc"));
        let expected = [&before[..], &message_frame::to_client(&bound), &after].concat();
        for cut in (1..200).chain([1000, 66_000, sent.len()]) {
            let (forwarded, unread, settled) = reviewed(&sent, cut);
            assert!(forwarded == expected, "{cut}");
            assert!(settled && unread == after.len(), "{cut}: {unread}");
        }
    }

    #[test]
    fn nothing_is_copied_when_nothing_is_replaced() {
        let (mut answers, mut stream) = (Answers::default(), ready(true));
        stream.server_sent(BOUND.as_bytes()).unwrap();
        let message = message_frame::to_client("<message xmlns='jabber:client'/>");
        let sent = message.repeat(3);
        // The last one is not whole, and it is no message that matters.
        let reviewed = answers.review(&sent[..sent.len() - 9], &mut stream);
        assert!(matches!(reviewed.forward, Cow::Borrowed(all) if all.len() == sent.len() - 9));
        let reviewed = answers.review(&sent[sent.len() - 9..], &mut stream);
        assert!(matches!(reviewed.forward, Cow::Borrowed(rest) if rest.len() == 9));
        assert_eq!(answers.withheld.capacity(), 0);
    }

    #[test]
    fn an_id_without_an_owner_never_passes() {
        let mut stream = ready(false);
        let sent = [BOUND, ENABLED].map(message_frame::to_client).concat();
        let reviewed = Answers::default().review(&sent, &mut stream);
        assert_eq!(reviewed.error, Some(NegotiationError::StreamManagement));
        assert_eq!(*reviewed.forward, *message_frame::to_client(BOUND));
        let mut stream = ready(false);
        let answer = message_frame::to_client("<resumed previd='abc' xmlns='urn:xmpp:sm:3'/>");
        let reviewed = Answers::default().review(&answer, &mut stream);
        assert_eq!(reviewed.error, Some(NegotiationError::StreamManagement));
        assert!(reviewed.forward.is_empty());
    }
}
