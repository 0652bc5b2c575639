//! A BOSH session at Prosody, as one of its requests sees it: whose it is, how long it may last, and
//! how the gateway ends it.

use std::{rc::Rc, time::Duration};

use cluster::presence::Presence;
use http::HeaderMap;
use model::{
    bosh::{self, BoshSessionId},
    clock::Timestamp,
    query::ForwardedParameters,
    room::RoomKey,
    route::Transport,
    session::{Principal, SessionCodec, SessionId},
};
use observe::metrics::CutReason;
use tokio::time::sleep;
use tracing::debug;

use crate::{
    GuestSettings, RequestContext, Worker,
    authorize::{Admitted, Privilege},
    connections::{CloseReason, Registration},
    credentials::hash,
    signalling::bosh_streams::{BoshStreams, EndedStream, IdleWatch},
    stream_directory::Departure,
    upstream::{ProsodyHead, UpstreamPool},
};

/// A BOSH session at Prosody.
pub(super) struct LiveStream {
    /// The id that Prosody knows.
    pub(super) sid: String,
    pub(super) principal: Rc<Principal>,
    pub(super) room: RoomKey,
    pub(super) began: Timestamp,
    /// The end of the visit, if it is limited.
    pub(super) visit_ends: Option<Timestamp>,
    /// Whether the person's presence opens the room; none for recorders, who are not counted.
    opens: Option<bool>,
    xmpp: UpstreamPool,
}

// === impl LiveStream ===

impl LiveStream {
    pub(super) fn new(
        guests: &GuestSettings,
        admitted: &Admitted<'_>,
        room: &RoomKey,
        bound: BoshSessionId,
        xmpp: UpstreamPool,
    ) -> Self {
        Self {
            sid: bound.sid,
            principal: Rc::clone(&admitted.principal),
            room: room.clone(),
            began: bound.began,
            visit_ends: visit_ends(guests, admitted, bound.began),
            opens: match admitted.privilege {
                Privilege::Granted(_) | Privilege::Anonymous(_) => Some(admitted.opens()),
                Privilege::Recorder => None,
            },
            xmpp,
        }
    }

    /// Renews the presence lease: a stream counts until its next request is overdue, or it ends.
    pub(super) fn refresh_presence(&self, presence: &Presence, is_due: impl FnOnce(bool) -> bool) {
        let (room, id) = (&self.room, self.principal.id());
        match self.opens {
            // Another stream of the same person may have ended the lease.
            Some(opens) if is_due(opens) || !presence.is_present(room, id) => {
                presence.renew_lease(room, id, opens, PRESENCE_LEASE);
            }
            Some(_) | None => {}
        }
    }

    /// Records that Prosody ended the stream.
    pub(super) fn end(&self, presence: &Presence, streams: &BoshStreams, context: &RequestContext) {
        presence.end_lease(&self.room, self.principal.id());
        if let Some(listing) = streams.unlist(&self.sid) {
            listing.left(Departure::Closed, context);
        }
    }

    /// Records that the stream leaves this process, which stops. The client may go on with it at another replica.
    pub(super) fn leave_process(&self, streams: &BoshStreams, context: &RequestContext) {
        if let Some(listing) = streams.unlist(&self.sid) {
            listing.cut(CutReason::Shutdown, context);
        }
    }

    /// Ends the stream if its person may not go on, until its next request comes.
    pub(super) async fn watch(
        self,
        worker: Rc<Worker>,
        mut idle: IdleWatch,
        mut registration: Registration,
        context: RequestContext,
    ) {
        let sessions = &worker.state.authenticator.sessions;
        let left = time_left(sessions, &self.principal, self.visit_ends);
        let reason = tokio::select! {
            () = idle.next_request() => return,
            reason = registration.closed() => reason,
            () = sleep(left.min(INACTIVITY)) => {
                if left > INACTIVITY {
                    // None if its last request broke off: that is recorded.
                    if let Some(listing) = idle.unlist() {
                        listing.left(Departure::Vanished, &context);
                    }
                    return;
                }
                CloseReason::Expired
            }
        };
        if reason == CloseReason::Shutdown {
            if let Some(listing) = idle.unlist() {
                listing.cut(reason.reason(), &context);
            }
            return;
        }
        self.cut(&worker, reason.reason(), &context);
        drop((self, registration));
        // Prosody needs a moment to end the stream, and the client's next request may come first.
        sleep(INACTIVITY).await;
        drop(idle);
    }

    /// Ends the stream: in audit and presence, and at Prosody, so that the others in the room see it
    /// at once.
    pub(super) fn cut(&self, worker: &Worker, reason: CutReason, context: &RequestContext) {
        let Some(EndedStream { next, listing }) = worker.state.bosh_streams.end(&self.sid) else {
            return;
        };
        if let Some(listing) = listing {
            listing.cut(reason, context);
        }
        worker.metrics.count_cut(Transport::Bosh, reason);
        let presence = &worker.state.authorizer.presence;
        presence.end_lease(&self.room, self.principal.id());
        for rid in next {
            self.terminate(worker, rid, context);
        }
    }

    /// Ends the stream at Prosody if it expects this request id. It answers other ids from its cache,
    /// or with an error, and keeps one that is too high by one until its predecessor comes.
    fn terminate(&self, worker: &Worker, rid: u64, context: &RequestContext) {
        let Ok(jitsi) = worker.jitsi() else { return };
        let head = ProsodyHead {
            xmpp_domain: &jitsi.xmpp_domain,
            room: &self.room,
            parameters: &ForwardedParameters::default(),
            client: context.client,
            region: None,
            client_headers: &HeaderMap::new(),
        };
        let request = head.bosh(None, bosh::terminate_request(&self.sid, rid));
        let xmpp = self.xmpp.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = xmpp.send(request, TERMINATE_TIMEOUT, true).await {
                debug!(%error, "cannot terminate a BOSH session at Prosody; it will time out");
            }
        });
    }
}

/// The time that a principal may still stay.
pub(super) fn time_left(
    sessions: &SessionCodec,
    principal: &Principal,
    visit_ends: Option<Timestamp>,
) -> Duration {
    let left = sessions.time_left(principal);
    visit_ends.map_or(left, |ends| left.min(sessions.until(ends)))
}

/// Names a principal without credentials of its own by its stream, so that each of its requests is
/// found by what the audit log says of the first. The stream's id itself is what Prosody takes as a
/// credential, so a digest of it is used.
pub(super) fn name_anonymous(admitted: &mut Admitted<'_>, sid: &str) {
    let Principal::Pass(pass) = &*admitted.principal else {
        return;
    };
    if !matches!(admitted.privilege, Privilege::Granted(_)) {
        let id = SessionId::from(hash(&[sid.as_bytes()]).as_str());
        admitted.principal = Rc::new(Principal::Pass(pass.clone().of_stream(id)));
    }
}

/// The end of a visit that began at `began`. A guest, or the holder of another system's token, gets
/// a pass with each request, whose own end always lies ahead. Recorders have no limit.
fn visit_ends(
    guests: &GuestSettings,
    admitted: &Admitted<'_>,
    began: Timestamp,
) -> Option<Timestamp> {
    let grant = admitted.grant()?;
    let as_guest = (!admitted.principal.is_member()).then_some(guests.lifetime);
    let longest = grant.lifetime().into_iter().chain(as_guest).min()?;
    Some(began.after(longest))
}

/// After this long without a request Prosody ends a stream by itself (`bosh_max_inactivity`, 60 s
/// unless configured, and some more for its own pace).
const INACTIVITY: Duration = Duration::from_secs(90);

/// A poll lasts a minute, and the next one follows at once unless the network is bad.
pub(super) const PRESENCE_LEASE: Duration = Duration::from_secs(100);

/// For a request that needs no answer.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(5);
