//! A stream at Prosody whose client is away.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::{
    Backlog, Inspection,
    stream_end::{self, discard},
};
use crate::connections::{CloseReason, Registration};

/// The connection to Prosody of a client that left without closing its stream. Prosody queues
/// stanzas until the client acknowledges them, whether or not the connection is there (XEP-0198
/// § 4), and closes it when the stream is resumed over another one.
pub(crate) struct HeldStream<P> {
    prosody: P,
    up: Backlog<Inspection>,
    registration: Registration,
}

// === impl HeldStream ===

impl<P> HeldStream<P>
where
    P: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(prosody: P, up: Backlog<Inspection>, registration: Registration) -> Self {
        Self {
            prosody,
            up,
            registration,
        }
    }

    /// Waits until the stream is resumed or ended, and ends it at Prosody if its person may not come
    /// back: after `left`, after a revocation, or when the client stayed away. A stop and a moved room
    /// leave it to Prosody, where the client can resume it through another replica.
    pub(crate) async fn watch(mut self, left: Duration) -> Option<CloseReason> {
        let reason = tokio::select! {
            () = discard(&mut self.prosody) => return None,
            reason = self.registration.closed() => Some(reason),
            () = sleep(left.min(RESUMPTION)) => None,
        };
        if reason.is_none_or(CloseReason::is_for_good) {
            stream_end::send(&mut self.prosody, &mut self.up).await;
            stream_end::wait(&mut self.prosody).await;
        }
        let _ = self.prosody.shutdown().await;
        reason
    }
}

/// As long as docker-jitsi-meet's Prosody keeps a stream (`smacks_hibernation_time`). Jitsi's client
/// gives up after 40 seconds (lib-jitsi-meet `modules/xmpp/ResumeTask.ts`).
const RESUMPTION: Duration = Duration::from_mins(1);
