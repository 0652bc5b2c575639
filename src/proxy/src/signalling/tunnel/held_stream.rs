//! A stream at Prosody whose client is away.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::{
    Backlog, Inspection, PendingTakeover,
    stream_end::{self, Reset, discard},
};
use crate::connections::{CloseReason, Registration};

/// The stream of a client that left without closing it. Prosody queues stanzas until the client
/// acknowledges them, whether or not the connection is there (XEP-0198 § 4), and closes it when the
/// stream is resumed over another one.
pub(crate) struct HeldStream<P> {
    /// None if Prosody closed it.
    prosody: Option<P>,
    up: Backlog<Inspection>,
    registration: Registration,
    takeover: PendingTakeover,
}

// === impl HeldStream ===

impl<P> HeldStream<P>
where
    P: AsyncRead + AsyncWrite + Reset + Unpin,
{
    pub(super) fn new(
        prosody: Option<P>,
        up: Backlog<Inspection>,
        registration: Registration,
        takeover: PendingTakeover,
    ) -> Self {
        Self {
            prosody,
            up,
            registration,
            takeover,
        }
    }

    /// Waits until the stream is resumed or ended, and ends it at Prosody if its person may not come
    /// back: after `left`, after a revocation, or when the client stayed away. A stop and a moved room
    /// leave it to Prosody, where the client can resume it through another replica.
    pub(crate) async fn watch(self, left: Duration) -> Option<CloseReason> {
        let Self {
            prosody,
            mut up,
            mut registration,
            takeover,
        } = self;
        let Some(mut prosody) = prosody else {
            let reason = tokio::select! {
                reason = registration.closed() => Some(reason),
                // Prosody ends the stream by itself.
                () = sleep(RESUMPTION) => None,
            };
            if reason.is_some_and(CloseReason::is_for_good) {
                takeover.run().await;
            }
            return reason;
        };
        let reason = tokio::select! {
            () = discard(&mut prosody) => return None,
            reason = registration.closed() => Some(reason),
            () = sleep(left.min(RESUMPTION)) => None,
        };
        if reason.is_none_or(CloseReason::is_for_good) {
            let sent = stream_end::send(&mut prosody, &mut up).await;
            if !(sent && stream_end::wait(&mut prosody).await) {
                takeover.run().await;
                prosody.reset();
                return reason;
            }
        }
        let _ = prosody.shutdown().await;
        reason
    }
}

/// As long as docker-jitsi-meet's Prosody keeps a stream (`smacks_hibernation_time`). Jitsi's client
/// gives up after 40 seconds (lib-jitsi-meet `modules/xmpp/ResumeTask.ts`).
const RESUMPTION: Duration = Duration::from_mins(1);
