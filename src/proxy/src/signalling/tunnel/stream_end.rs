//! Ends a client's XMPP stream at Prosody in the client's place.
//!
//! After a broken connection Prosody keeps the stream for resumption (XEP-0198), and the occupant
//! stays in the room that long. A stream that is closed, or ends with an error, leaves at once
//! (Prosody 0.12 `plugins/mod_smacks.lua`, `pre-session-close`).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{Backlog, Inspection};

/// Sends the end of the stream behind the frames that wait already.
pub(super) async fn send<P>(prosody: &mut P, up: &mut Backlog<Inspection>)
where
    P: AsyncWrite + Unpin,
{
    let sending = async {
        std::future::poll_fn(|cx| up.poll_write_backlog(cx, prosody)).await?;
        for message in END {
            prosody.write_all(&text_frame(message)).await?;
        }
        prosody.flush().await
    };
    let _: Result<io::Result<()>, _> = timeout(SEND_TIMEOUT, sending).await;
}

/// Waits until Prosody has closed the connection. A connection that is closed before, with answers
/// unread, is reset, and Prosody might not read the end of the stream.
pub(super) async fn wait<P: AsyncRead + Unpin>(prosody: &mut P) {
    let _: Result<(), _> = timeout(CLOSE_TIMEOUT, discard(prosody)).await;
}

/// Reads and drops bytes until the stream ends.
pub(super) async fn discard<R: AsyncRead + Unpin>(reader: &mut R) {
    let mut buffer = [0; 2048];
    while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// A masked text frame of a short message. The mask is zero: masking protects against chosen payloads
/// (RFC 6455 § 10.3), and these are fixed.
fn text_frame(message: &str) -> Vec<u8> {
    let length = u8::try_from(message.len()).expect("the messages of END are short");
    debug_assert!(length < 126, "longer frames have another head");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat()
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

/// Prosody reads at once or not at all.
const SEND_TIMEOUT: Duration = Duration::from_millis(500);

/// Prosody closes a connection as soon as it has read the end of the stream.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
