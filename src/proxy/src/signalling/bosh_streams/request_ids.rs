//! The request ids of a BOSH stream, followed as Prosody follows them.

use std::ops::RangeInclusive;

/// The request ids of a stream (XEP-0124 § 14), as far as Prosody may have taken them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestIds {
    /// The first id that was seen. It may be any: another replica had the stream before.
    first: u64,
    /// The highest id that an answer confirmed.
    confirmed: Option<u64>,
    /// The end of the sequence of ids that were sent to Prosody since.
    sent: u64,
    /// An id that overtook its predecessor; Prosody keeps the request until that comes.
    ahead: Option<u64>,
}

// === impl RequestIds ===

impl RequestIds {
    pub(super) fn starting_with(rid: u64) -> Self {
        Self {
            first: rid,
            confirmed: None,
            sent: rid,
            ahead: None,
        }
    }

    /// The id that Prosody has taken for certain, or the one before the first.
    fn base(&self) -> u64 {
        self.confirmed.unwrap_or(self.first.saturating_sub(1))
    }

    /// Notes an id that goes to Prosody. Any other than the next two is repeated or out of Prosody's
    /// window, and changes nothing there.
    pub(super) fn send(&mut self, rid: u64) {
        if rid == self.sent + 1 {
            self.sent = rid;
            if self.ahead == Some(rid + 1) {
                self.sent = rid + 1;
                self.ahead = None;
            }
        } else if rid == self.sent + 2 {
            self.ahead = Some(rid);
        }
    }

    /// Records an id that an answer of Prosody confirms. The first confirmed id replaces a first id that
    /// does not precede it.
    pub(super) fn confirm(&mut self, rid: u64) {
        let follows = self.sent.saturating_sub(rid) <= MAX_UNCONFIRMED;
        if self.confirmed.is_none() && !follows {
            (self.sent, self.ahead) = (rid, None);
        }
        self.confirmed = self.confirmed.max(Some(rid));
        self.sent = self.sent.max(rid);
    }

    /// Whether so many requests are unanswered that nothing is known of the next id.
    pub(super) fn is_lost(&self) -> bool {
        self.sent.saturating_sub(self.base()) > MAX_UNCONFIRMED
    }

    /// The ids of which one is the next at Prosody. One more than was sent: another replica may have
    /// sent it.
    pub(super) fn next(&self) -> RangeInclusive<u64> {
        self.base() + 1..=self.sent + 2
    }
}

/// A client that loses its network sends the same request again, and so adds no id.
pub(super) const MAX_UNCONFIRMED: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_followed_as_prosody_does() {
        // Ids that were sent and confirmed; the ids that Prosody may expect.
        let cases: [(&[u64], &[u64], RangeInclusive<u64>); 9] = [
            (&[10], &[], 10..=12),
            (&[10], &[10], 11..=12),
            (&[10, 11], &[10], 11..=13),
            (&[10, 12], &[10], 11..=12),
            (&[10, 12, 11], &[10], 11..=14),
            // Repeated, far ahead, far behind: nothing changes.
            (&[10, 11, 11, 5, 400], &[11, 11], 12..=13),
            (&[10, u64::MAX >> 11], &[10], 11..=12),
            // The first id was made up.
            (&[5000, 11, 12], &[11, 12], 13..=14),
            // Another replica sent some; the answer tells.
            (&[10, 20], &[10, 20], 21..=22),
        ];
        for (sent, confirmed, expected) in cases {
            let mut ids = RequestIds::starting_with(sent[0]);
            for rid in sent {
                ids.send(*rid);
            }
            for rid in confirmed {
                ids.confirm(*rid);
            }
            assert_eq!(ids.next(), expected, "{sent:?} {confirmed:?}");
        }
    }
}
