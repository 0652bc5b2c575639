//! HTTP/2 as frames: a client that sends what no library would.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection on which frames are written and read one by one.
pub(crate) struct FrameClient<IO> {
    io: IO,
    read: Vec<u8>,
}

// === impl Frame ===

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The error code of `RST_STREAM` and GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload.get(at..at + 4).unwrap_or(&[0; 4]);
        u32::from_be_bytes(code.try_into().unwrap())
    }

    /// The status of the first response of a connection, whose first field it is.
    pub(crate) fn status(&self) -> Option<u16> {
        let mut block = &self.payload[..];
        while let [update, rest @ ..] = block
            && update & 0xe0 == 0x20
        {
            // A size update in one byte, or in several.
            let more = if update & 0x1f == 0x1f {
                1 + rest.iter().position(|byte| byte & 0x80 == 0)?
            } else {
                0
            };
            block = &rest[more..];
        }
        let (first, rest) = block.split_first()?;
        if first & 0x80 != 0 {
            let known = [200, 204, 206, 304, 400, 404, 500];
            return known
                .get(usize::from(first & 0x7f).checked_sub(8)?)
                .copied();
        }
        let (length, value) = rest.split_first()?;
        let value = value.get(..usize::from(length & 0x7f))?;
        if length & 0x80 == 0 {
            return std::str::from_utf8(value).ok()?.parse().ok();
        }
        digits(value)
    }
}

/// Decodes three digits in the Huffman code of RFC 7541, appendix B: of 5 bits up to 2, else of 6.
fn digits(value: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = value
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let take = |at: usize, count: usize| -> Option<u16> {
        let bits = bits.get(at..at + count)?;
        Some(bits.iter().fold(0, |sum, bit| sum << 1 | u16::from(*bit)))
    };
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = take(at, 5)?;
        let (digit, length) = if five <= 2 {
            (five, 5)
        } else {
            (take(at, 6)?.checked_sub(0b01_1001)? + 3, 6)
        };
        number = number * 10 + digit;
        at += length;
    }
    Some(number)
}

// === impl FrameClient ===

impl<IO: AsyncRead + AsyncWrite + Unpin> FrameClient<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self {
            io,
            read: Vec::new(),
        }
    }

    /// A peer that has closed is no failure: what it sent before is still read.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _: io::Result<()> = self.io.write_all(bytes).await;
        let _: io::Result<()> = self.io.flush().await;
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// If neither comes in time.
    pub(crate) async fn next(&mut self, within: Duration) -> Result<Option<Frame>, Silent> {
        timeout(within, self.read_frame()).await.map_err(|_| Silent)
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.io.read_buf(&mut self.read).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.read.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let end = 9 + usize::try_from(length).unwrap();
        let frame = self.read.get(..end)?;
        let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap()) & 0x7fff_ffff;
        let frame = Frame::new(frame[3], frame[4], stream, &frame[9..]);
        self.read.drain(..end);
        Some(frame)
    }
}

/// Nothing came in time.
#[derive(Debug)]
pub(crate) struct Silent;

/// A block of fields without a table and without compression (RFC 7541, section 6.2.2).
pub(crate) fn field_block<'f>(fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The preface of a client, behind which its SETTINGS come.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
