//! BOSH streams and their requests, across all workers.
//!
//! A stream's requests arrive on any of a client's connections, and each connection belongs to one
//! worker; so all workers share this registry. Between two requests nothing is open that a revocation
//! could end, but the occupant stays in the room until Prosody's inactivity limit. The worker that
//! answers a stream's last in-flight request therefore holds an [`IdleWatch`] until the next request,
//! which any worker may get.
//!
//! To end a stream at Prosody takes the request id that Prosody expects next. The registry therefore
//! follows the ids as Prosody does: an id counts when Prosody's answer confirms it.
//!
//! The registry is striped by stream id. A lock is held for a few instructions and never across an
//! await; two workers meet at one only when they handle requests of streams of the same stripe in the
//! same moment.

mod request_ids;

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::BuildHasher,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use observe::metrics::{self, WorkerMetrics};
use tokio::sync::oneshot;

use self::request_ids::RequestIds;
use crate::{
    limits::StreamPermit,
    stream_directory::{StreamListing, StreamRecord},
};

/// A stream that the gateway has to end at Prosody.
#[derive(Debug)]
pub(crate) struct EndedStream {
    /// The request ids of which Prosody may expect one.
    pub(crate) next: RangeInclusive<u64>,
    /// None if the stream's end is recorded already.
    pub(crate) listing: Option<StreamListing>,
}

/// The streams that have a request in flight, or an [`IdleWatch`].
#[derive(Clone, Debug, Default)]
pub(crate) struct BoshStreams(Arc<Registry>);

/// A request of a stream; deregisters on drop.
#[derive(Debug)]
pub(crate) struct InFlight {
    streams: BoshStreams,
    sid: String,
    rid: u64,
    is_listed: bool,
}

/// A stream without a request in flight; deregisters on drop. While it is held, requests of a stream
/// that the gateway ended are refused.
#[derive(Debug)]
pub(crate) struct IdleWatch {
    streams: BoshStreams,
    sid: String,
    next: oneshot::Receiver<Infallible>,
}

#[derive(Debug)]
struct Registry {
    stripes: [Mutex<HashMap<String, BoshStream>>; STRIPES],
    hasher: std::hash::RandomState,
}

#[derive(Debug)]
struct BoshStream {
    in_flight: usize,
    /// Dropped when the next request comes.
    idle: Option<oneshot::Sender<Infallible>>,
    /// The last renewal of the presence lease, and whether it opens the room.
    refreshed: Option<(Instant, bool)>,
    ids: RequestIds,
    /// None once the gateway has ended the stream.
    open: Option<metrics::OpenStream>,
    permit: Option<StreamPermit>,
    /// None if the stream began at another replica, until its first request here, and once its end is recorded.
    listing: Option<StreamListing>,
}

// === impl BoshStreams ===

impl BoshStreams {
    /// Registers a request that goes to Prosody, and cancels the stream's idle watch. None for a
    /// client that leaves one request after another unanswered.
    pub(crate) fn register(
        &self,
        sid: &str,
        rid: u64,
        metrics: &Arc<WorkerMetrics>,
    ) -> Option<InFlight> {
        let mut streams = self.0.stripe(sid);
        let stream = streams.entry(sid.to_owned());
        let stream = stream.or_insert_with(|| BoshStream {
            in_flight: 0,
            idle: None,
            refreshed: None,
            ids: RequestIds::starting_with(rid),
            open: Some(metrics.open_stream(metrics::StreamKind::Bosh)),
            permit: None,
            listing: None,
        });
        stream.ids.send(rid);
        if stream.open.is_none() || stream.ids.is_lost() {
            return None;
        }
        stream.in_flight += 1;
        stream.idle = None;
        Some(InFlight {
            streams: self.clone(),
            sid: sid.to_owned(),
            rid,
            is_listed: stream.listing.is_some(),
        })
    }

    /// Marks a stream as ended by the gateway. The first caller is to end it at Prosody; several requests of a stream
    /// may find out at once.
    pub(crate) fn end(&self, sid: &str) -> Option<EndedStream> {
        let mut streams = self.0.stripe(sid);
        let stream = streams.get_mut(sid)?;
        stream.open.take()?;
        Some(EndedStream {
            next: stream.ids.next(),
            listing: stream.listing.take(),
        })
    }

    /// Gives the listing of a stream that ended at Prosody, or whose process stops, to the first caller, who is to
    /// record the end.
    pub(crate) fn unlist(&self, sid: &str) -> Option<StreamListing> {
        self.0.stripe(sid).get_mut(sid)?.listing.take()
    }

    fn remove_if_unused(&self, sid: &str) {
        let mut streams = self.0.stripe(sid);
        let unused = streams.get(sid).is_some_and(|stream| {
            let idle = stream.idle.as_ref();
            stream.in_flight == 0 && idle.is_none_or(oneshot::Sender::is_closed)
        });
        let removed = unused.then(|| streams.remove(sid));
        drop(streams);
        // A listing that is left writes an audit line, outside of the lock.
        drop(removed);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let lengths = self
            .0
            .stripes
            .iter()
            .map(|stripe| stripe.lock().unwrap().len());
        lengths.sum()
    }
}

// === impl Registry ===

impl Registry {
    fn stripe(&self, sid: &str) -> MutexGuard<'_, HashMap<String, BoshStream>> {
        let hash = usize::try_from(self.hasher.hash_one(sid) % STRIPES as u64).unwrap_or_default();
        let stripe = self.stripes.get(hash).expect("the hash is below STRIPES");
        // No code that can panic runs under the lock.
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            hasher: std::hash::RandomState::new(),
        }
    }
}

// === impl InFlight ===

impl InFlight {
    /// Whether the presence lease of the stream's person is to be renewed now; if so, notes that it
    /// was. A renewal wakes the control runtime, which costs about as much as the request itself.
    pub(crate) fn presence_refresh_due(&self, opens: bool, now: Instant) -> bool {
        let mut streams = self.streams.0.stripe(&self.sid);
        let Some(stream) = streams.get_mut(&self.sid) else {
            return true;
        };
        let recently = stream.refreshed.is_some_and(|(at, before)| {
            before == opens && now.duration_since(at) < PRESENCE_REFRESH
        });
        if !recently {
            stream.refreshed = Some((now, opens));
        }
        !recently
    }

    /// Keeps the permit and the listing of the stream as long as the stream.
    pub(crate) fn keep(&self, permit: Option<StreamPermit>, listing: Option<StreamListing>) {
        if let Some(stream) = self.streams.0.stripe(&self.sid).get_mut(&self.sid) {
            stream.permit = permit;
            stream.listing = listing;
        }
    }

    /// Lists the stream if it is not listed yet. Gives a copy of the record then.
    pub(crate) fn ensure_listed(
        &self,
        list: impl FnOnce() -> StreamListing,
    ) -> Option<Arc<StreamRecord>> {
        if self.is_listed {
            return None;
        }
        let mut streams = self.streams.0.stripe(&self.sid);
        let stream = streams.get_mut(&self.sid)?;
        if stream.open.is_none() || stream.listing.is_some() {
            return None;
        }
        let listing = stream.listing.insert(list());
        Some(listing.record())
    }

    /// Prosody's answer says that it took the request.
    pub(crate) fn confirm(&self) {
        if let Some(stream) = self.streams.0.stripe(&self.sid).get_mut(&self.sid) {
            stream.ids.confirm(self.rid);
        }
    }

    /// The request is over. Gives an idle watch if it was the stream's only request in flight.
    pub(crate) fn over(self) -> Option<IdleWatch> {
        let mut streams = self.streams.0.stripe(&self.sid);
        let stream = streams.get_mut(&self.sid)?;
        if stream.in_flight > 1 || stream.open.is_none() {
            return None;
        }
        let (sender, next) = oneshot::channel();
        stream.idle = Some(sender);
        Some(IdleWatch {
            streams: self.streams.clone(),
            sid: self.sid.clone(),
            next,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(stream) = self.streams.0.stripe(&self.sid).get_mut(&self.sid) {
            stream.in_flight -= 1;
        }
        self.streams.remove_if_unused(&self.sid);
    }
}

// === impl IdleWatch ===

impl IdleWatch {
    /// Waits for the stream's next request, at whatever worker.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn next_request(&mut self) {
        let _ = (&mut self.next).await;
    }

    /// Gives the listing of the stream, to record its end, unless its next request came meanwhile.
    pub(crate) fn unlist(&self) -> Option<StreamListing> {
        let mut streams = self.streams.0.stripe(&self.sid);
        let stream = streams.get_mut(&self.sid)?;
        let is_idle = stream.in_flight == 0 && stream.idle.is_some();
        if is_idle { stream.listing.take() } else { None }
    }
}

impl Drop for IdleWatch {
    fn drop(&mut self) {
        self.next.close();
        self.streams.remove_if_unused(&self.sid);
    }
}

/// Several times the number of cores of any machine that this runs on, so that two workers rarely
/// want the same lock.
const STRIPES: usize = 64;

/// Often enough for a lease that has to outlive a long poll.
const PRESENCE_REFRESH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use model::{clock::Timestamp, route::Transport};
    use observe::metrics::EntryRole;

    use super::{request_ids::MAX_UNCONFIRMED, *};
    use crate::{
        stream_directory::{StreamDirectory, StreamPerson},
        testing::{context, key, principal},
    };

    fn listing() -> StreamListing {
        let record = StreamRecord {
            room: key("room"),
            role: EntryRole::Participant,
            transport: Transport::Bosh,
            client: Some([192, 0, 2, 1].into()),
            since: Timestamp::from_unix(7),
            person: StreamPerson::of(&principal()),
        };
        Arc::<StreamDirectory>::default().list(record, &context(1))
    }

    #[test]
    fn the_end_of_a_stream_is_recorded_once() {
        let (streams, [first, second]) = registry();
        let create = streams.register("a", 1, &first).unwrap();
        create.keep(None, Some(listing()));
        let idle = create.over().unwrap();
        let next = streams.register("a", 2, &second).unwrap();
        assert!(idle.unlist().is_none(), "the stream goes on");
        assert!(next.ensure_listed(listing).is_none(), "listed before");
        let idle = next.over().unwrap();
        assert!(idle.unlist().is_some());
        assert!(idle.unlist().is_none());

        let again = streams.register("a", 3, &first).unwrap();
        assert!(again.ensure_listed(listing).is_some(), "continued");
        assert!(streams.end("a").unwrap().listing.is_some());
        assert!(streams.unlist("a").is_none());
        assert!(again.ensure_listed(listing).is_none(), "ended");
    }

    /// The registry, with the metrics of two workers.
    fn registry() -> (BoshStreams, [Arc<WorkerMetrics>; 2]) {
        (BoshStreams::default(), [Arc::default(), Arc::default()])
    }

    #[test]
    fn only_the_last_request_in_flight_gives_an_idle_watch() {
        let (streams, [first, second]) = registry();
        let poll = streams.register("a", 1, &first).unwrap();
        let message = streams.register("a", 2, &second).unwrap();
        assert!(poll.over().is_none());
        assert!(message.over().is_some());
    }

    #[test]
    fn a_request_at_another_worker_ends_the_idle_watch() {
        let (streams, [first, second]) = registry();
        let mut idle = streams.register("a", 1, &first).unwrap().over().unwrap();
        let other = streams.register("b", 1, &second).unwrap();
        assert!(
            idle.next_request().now_or_never().is_none(),
            "another stream"
        );
        let next = streams.register("a", 1, &second).unwrap();
        assert!(idle.next_request().now_or_never().is_some());
        drop((idle, other, next));
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn a_stream_is_counted_once_however_many_workers_see_it() {
        let (streams, [first, second]) = registry();
        let requests = [
            streams.register("a", 1, &first).unwrap(),
            streams.register("a", 1, &second).unwrap(),
        ];
        assert_eq!(streams.len(), 1);
        drop(requests);
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn only_the_first_end_counts() {
        let (streams, [first, second]) = registry();
        let requests = [
            streams.register("a", 7, &first).unwrap(),
            streams.register("a", 8, &second).unwrap(),
        ];
        assert_eq!(streams.end("a").unwrap().next, 7..=10);
        assert!(streams.end("a").is_none());
        let [poll, message] = requests;
        drop(poll);
        assert!(message.over().is_none(), "nothing to watch any more");
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn a_stream_that_ended_between_two_requests_refuses_the_next_one() {
        let (streams, [first, second]) = registry();
        let idle = streams.register("a", 1, &first).unwrap().over().unwrap();
        assert_eq!(streams.end("a").unwrap().next, 1..=3);
        for rid in 2..5 {
            assert!(streams.register("a", rid, &second).is_none(), "{rid}");
            assert!(streams.end("a").is_none(), "ended once");
        }
        drop(idle);
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn a_client_that_waits_for_no_answer_is_refused() {
        let (streams, [first, _]) = registry();
        let poll = streams.register("a", 1, &first).unwrap();
        let refused = (2..100).find(|rid| streams.register("a", *rid, &first).is_none());
        assert_eq!(refused, Some(MAX_UNCONFIRMED + 1));
        drop(poll);
    }

    #[test]
    fn presence_is_refreshed_now_and_then_and_when_it_changes() {
        let (streams, [first, second]) = registry();
        let request = streams.register("a", 1, &first).unwrap();
        let now = Instant::now();
        assert!(request.presence_refresh_due(true, now));
        let elsewhere = streams.register("a", 1, &second).unwrap();
        assert!(!elsewhere.presence_refresh_due(true, now + PRESENCE_REFRESH / 2));
        let other = streams.register("b", 1, &first).unwrap();
        assert!(other.presence_refresh_due(true, now), "another stream");
        assert!(request.presence_refresh_due(true, now + PRESENCE_REFRESH));
        assert!(request.presence_refresh_due(false, now + PRESENCE_REFRESH));
    }

    #[test]
    fn a_late_watch_does_not_take_the_place_of_a_newer_one() {
        let (streams, [first, _]) = registry();
        let earlier = streams.register("a", 1, &first).unwrap().over();
        let later = streams.register("a", 1, &first).unwrap().over();
        drop(earlier);
        assert_eq!(streams.len(), 1);
        drop(later);
        assert_eq!(streams.len(), 0);
    }
}
