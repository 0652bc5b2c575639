//! A request of a BOSH session that waits for Prosody's answer.

use std::{rc::Rc, time::Duration};

use tokio::time::sleep;

use super::stream::LiveStream;
use crate::{
    RequestContext, Worker,
    connections::{CloseReason, Registration},
    signalling::bosh_streams::InFlight,
    stream_directory::Departure,
};

/// A request that waits for Prosody's answer. If its client breaks it off, the stream is still at
/// Prosody and is watched from then on.
pub(super) struct Poll {
    worker: Rc<Worker>,
    context: RequestContext,
    parts: Option<PollParts>,
}

pub(super) type PollParts = (LiveStream, InFlight, Registration);

// === impl Poll ===

impl Poll {
    pub(super) fn new(worker: &Rc<Worker>, context: RequestContext, parts: PollParts) -> Self {
        Self {
            worker: Rc::clone(worker),
            context,
            parts: Some(parts),
        }
    }

    pub(super) fn registration(&mut self) -> Option<&mut Registration> {
        self.parts.as_mut().map(|(_, _, registration)| registration)
    }

    /// Prosody answered, or the gateway ended the stream. None only if called twice.
    pub(super) fn finish(mut self) -> Option<PollParts> {
        self.parts.take()
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let Some((stream, in_flight, registration)) = self.parts.take() else {
            return;
        };
        // Other requests of the stream may be under way.
        if let Some(idle) = in_flight.over() {
            if let Some(listing) = idle.unlist() {
                listing.left(Departure::Broken, &self.context);
            }
            let worker = Rc::clone(&self.worker);
            let watching = stream.watch(worker, idle, registration, self.context);
            tokio::task::spawn_local(watching);
        }
    }
}

/// Waits for Prosody's answer, unless the gateway ends the stream first.
pub(super) async fn answered<T>(
    sending: impl Future<Output = T>,
    registration: &mut Registration,
    left: Duration,
) -> Result<T, CloseReason> {
    tokio::select! {
        answer = sending => Ok(answer),
        reason = registration.closed() => Err(reason),
        () = sleep(left) => Err(CloseReason::Expired),
    }
}
