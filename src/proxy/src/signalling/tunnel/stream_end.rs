//! Ends a client's XMPP stream at Prosody in the client's place.
//!
//! After a broken connection Prosody keeps the stream for resumption (XEP-0198), and the occupant
//! stays in the room that long. A stream that is closed, or ends with an error, leaves at once
//! (Prosody 0.12 `plugins/mod_smacks.lua`, `pre-session-close`).

use std::{io, time::Duration};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Backlog, Inspection, message_frame};

/// A connection that can end at once, whatever its other side has not read yet.
pub(crate) trait Reset {
    /// Resets the connection. Prosody notices that even while it does not read because of the client's
    /// rate, and a close in order only behind what waits to be read (Prosody 0.12
    /// `net/server_epoll.lua`).
    fn reset(self);
}

impl Reset for TokioIo<Upgraded> {
    fn reset(self) {
        if let Ok(parts) = self.into_inner().downcast::<TokioIo<TcpStream>>() {
            let stream = parts.io.into_inner();
            // Without it, closing is all that there is.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

#[cfg(test)]
impl Reset for tokio::io::DuplexStream {
    fn reset(self) {}
}

/// Sends the end of the stream behind the frames that wait already. Gives whether Prosody's side took
/// all of it.
pub(super) async fn send<P>(prosody: &mut P, up: &mut Backlog<Inspection>) -> bool
where
    P: AsyncWrite + Unpin,
{
    let sending = async {
        std::future::poll_fn(|cx| up.poll_write_backlog(cx, prosody)).await?;
        write(prosody).await
    };
    matches!(timeout(SEND_TIMEOUT, sending).await, Ok(Ok(())))
}

/// Writes the end of the stream.
pub(in crate::signalling) async fn write<P>(prosody: &mut P) -> io::Result<()>
where
    P: AsyncWrite + Unpin,
{
    for message in END {
        prosody
            .write_all(&message_frame::to_server(message))
            .await?;
    }
    prosody.flush().await
}

/// Waits until Prosody has closed the connection, and gives whether it has. A connection that is closed
/// before, with answers unread, is reset, and Prosody might not read the end of the stream.
pub(in crate::signalling) async fn wait<P: AsyncRead + Unpin>(prosody: &mut P) -> bool {
    timeout(CLOSE_TIMEOUT, discard(prosody)).await.is_ok()
}

/// Reads and drops bytes until the stream ends.
pub(super) async fn discard<R: AsyncRead + Unpin>(reader: &mut R) {
    let mut buffer = [0; 2048];
    while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// The messages that end a stream, whatever the client said before.
const END: [&str; 3] = [
    // The occupant leaves its rooms, even if the stream would stay.
    "<presence xmlns='jabber:client' type='unavailable'/>",
    // RFC 7395 § 3.6.
    "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
    // If the client left a construct of XML open, both of the above are text in it. This ends a CDATA
    // section, a comment and a processing instruction, and is malformed anywhere else. XMPP allows no
    // comment and no processing instruction, so Prosody ends the stream.
    "<]]>-->?></stream:stream>",
];

/// Prosody reads at once, unless it limits the client's rate (`mod_limits`).
const SEND_TIMEOUT: Duration = Duration::from_millis(150);

/// Prosody closes a connection as soon as it has read the end of the stream. With the two times a
/// takeover begins in time for the client to be gone within a second.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_millis(150);
