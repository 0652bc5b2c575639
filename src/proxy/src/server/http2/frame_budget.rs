//! Bounds on the frames by which a client keeps the gateway busy without asking for anything.
//!
//! The HTTP library answers PING and SETTINGS, resets streams, and updates windows, however often a
//! client wants it. Frames are counted as they arrive, by the heads alone (RFC 9113 § 4.1).

use std::{io, time::Duration};

use observe::metrics::LimitKind;
use tokio::time::Instant;

/// Counts the frames of one connection.
#[derive(Debug)]
pub(super) struct FrameBudget {
    /// The beginning of a frame's head.
    head: [u8; HEAD_BYTES],
    have: usize,
    /// Bytes of a frame's content that are still to come.
    content: usize,
    counts: Counts,
    since: Instant,
}

/// Frames since the budget was new.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    resets: u32,
    pings: u32,
    settings: u32,
    windows: u32,
    others: u32,
    /// Bytes that were sent to the client, for which it updates windows.
    sent: u64,
}

// === impl FrameBudget ===

impl FrameBudget {
    pub(super) fn new() -> Self {
        Self {
            head: [0; HEAD_BYTES],
            have: 0,
            content: 0,
            counts: Counts::default(),
            since: Instant::now(),
        }
    }

    /// Notes bytes that were sent to the client.
    pub(super) const fn sent(&mut self, bytes: usize) {
        self.counts.sent += bytes as u64;
    }

    /// Follows the frames in what was received; the limit that the client exceeds, if it does.
    pub(super) fn received(&mut self, mut bytes: &[u8]) -> Result<(), LimitKind> {
        loop {
            let skipped = self.content.min(bytes.len());
            self.content -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            let missing = HEAD_BYTES - self.have;
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            if let Some(head) = self.head.get_mut(self.have..self.have + now.len()) {
                head.copy_from_slice(now);
            }
            self.have += now.len();
            bytes = later;
            if self.have == HEAD_BYTES {
                self.have = 0;
                let [high, middle, low, kind, ..] = self.head;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.content = usize::try_from(length).unwrap_or(usize::MAX);
                self.count(kind)?;
            }
        }
    }

    fn count(&mut self, kind: u8) -> Result<(), LimitKind> {
        let exceeded = self.counts.count(kind);
        if exceeded.is_some() && self.since.elapsed() >= PERIOD {
            self.since = Instant::now();
            self.counts = Counts::default();
            return Ok(());
        }
        exceeded.map_or(Ok(()), Err)
    }
}

// === impl Counts ===

impl Counts {
    fn count(&mut self, kind: u8) -> Option<LimitKind> {
        let (count, most, limit) = match kind {
            DATA | HEADERS | CONTINUATION => return None,
            RST_STREAM => (&mut self.resets, MAX_RESETS, LimitKind::StreamResets),
            PING => (&mut self.pings, MAX_PINGS, LimitKind::Pings),
            SETTINGS => (&mut self.settings, MAX_SETTINGS, LimitKind::Settings),
            WINDOW_UPDATE => {
                let earned = u32::try_from(self.sent / BYTES_PER_UPDATE).unwrap_or(u32::MAX);
                let most = MAX_WINDOWS.saturating_add(earned);
                (&mut self.windows, most, LimitKind::WindowUpdates)
            }
            _ => (&mut self.others, MAX_OTHERS, LimitKind::OtherFrames),
        };
        *count += 1;
        (*count > most).then_some(limit)
    }
}

/// The error by which the connection ends.
pub(super) fn flood(limit: LimitKind) -> io::Error {
    let text = format!("too many HTTP/2 frames: {}", limit.as_str());
    io::Error::other(text)
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const HEAD_BYTES: usize = 9;

/// The time for which the numbers below count.
const PERIOD: Duration = Duration::from_mins(1);

/// A page that is left while it loads resets some forty streams.
const MAX_RESETS: u32 = 500;

/// Browsers ask every few seconds at most; the answers to the gateway's own are two a minute.
const MAX_PINGS: u32 = 100;

/// Clients send theirs once, and acknowledge the gateway's once.
const MAX_SETTINGS: u32 = 50;

/// Besides those for what was sent: one for each stream and for the connection, at the beginning.
const MAX_WINDOWS: u32 = 1000;

/// The most frugal clients update both windows for each four kilobytes that they read.
const BYTES_PER_UPDATE: u64 = 1024;

/// Priorities (RFC 9218, one or two for each request), and what clients send to test that it is ignored.
const MAX_OTHERS: u32 = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, 1][..], content].concat()
    }

    /// How many frames pass.
    fn passed(kind: u8, budget: &mut FrameBudget) -> u32 {
        let frame = frame(kind, b"12345678");
        let passed = (0..10_000).take_while(|_| budget.received(&frame).is_ok());
        u32::try_from(passed.count()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_frame_has_its_number_a_minute() {
        for (kind, most) in [
            (RST_STREAM, MAX_RESETS),
            (SETTINGS, MAX_SETTINGS),
            (PING, MAX_PINGS),
            (WINDOW_UPDATE, MAX_WINDOWS),
            (2, MAX_OTHERS),
            (0x10, MAX_OTHERS),
            (DATA, 10_000),
            (HEADERS, 10_000),
        ] {
            let mut budget = FrameBudget::new();
            assert_eq!(passed(kind, &mut budget), most, "{kind}");
            tokio::time::advance(PERIOD).await;
            assert!(passed(kind, &mut budget) >= most, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn windows_are_updated_for_what_was_sent() {
        let mut budget = FrameBudget::new();
        budget.sent(1024 * 1024);
        assert_eq!(passed(WINDOW_UPDATE, &mut budget), MAX_WINDOWS + 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_followed_across_reads_of_any_size() {
        let pings = frame(PING, b"12345678").repeat(60);
        // Content that looks like frames is not counted.
        let data = frame(DATA, &frame(PING, b"12345678"));
        let bytes = [pings, data.repeat(100)].concat();
        for size in [1, 2, 5, 9, 10, 17, 100, bytes.len()] {
            let mut budget = FrameBudget::new();
            for piece in bytes.chunks(size) {
                assert_eq!(budget.received(piece), Ok(()), "{size}");
            }
            assert_eq!(budget.counts.pings, 60, "{size}");
        }
    }
}
