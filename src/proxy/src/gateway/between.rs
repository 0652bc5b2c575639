//! BOSH streams between two requests: nothing is open then that a revocation could end, but the
//! person is in the room until Prosody misses them.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use observe::metrics::{self, WorkerMetrics};

/// The streams of one worker that have a request under way, or wait for their next.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    open: Rc<RefCell<HashMap<String, Stream>>>,
    metrics: Arc<WorkerMetrics>,
}

/// A request of a stream; dropping it takes it out of the books.
#[derive(Debug)]
pub(crate) struct UnderWay {
    streams: Streams,
    sid: String,
}

/// A stream that waits for its next request.
#[derive(Debug)]
pub(crate) struct Waiting {
    streams: Streams,
    sid: String,
    next: oneshot::Receiver<Infallible>,
}

#[derive(Debug)]
struct Stream {
    under_way: usize,
    /// Dropped when the next request comes.
    waiting: Option<oneshot::Sender<Infallible>>,
    /// When it was told last that its person is in the room, and whether that opens it.
    told: Option<(Instant, bool)>,
    _counted: metrics::OpenStream,
}

// === impl Streams ===

impl Streams {
    /// No stream yet.
    pub(crate) fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            open: Rc::default(),
            metrics,
        }
    }

    /// Enters a request, for which nobody has to wait any more.
    pub(crate) fn enter(&self, sid: &str) -> UnderWay {
        let mut streams = self.open.borrow_mut();
        let stream = streams.entry(sid.to_owned());
        let stream = stream.or_insert_with(|| Stream {
            under_way: 0,
            waiting: None,
            told: None,
            _counted: self.metrics.open_stream(metrics::StreamKind::Bosh),
        });
        stream.under_way += 1;
        stream.waiting = None;
        UnderWay {
            streams: self.clone(),
            sid: sid.to_owned(),
        }
    }

    fn forget_if_idle(&self, sid: &str) {
        let mut streams = self.open.borrow_mut();
        let idle = streams.get(sid).is_some_and(|stream| {
            let waits = stream.waiting.as_ref();
            stream.under_way == 0 && waits.is_none_or(oneshot::Sender::is_closed)
        });
        if idle {
            streams.remove(sid);
        }
    }
}

// === impl UnderWay ===

impl UnderWay {
    /// Whether it is time to tell that the person is in the room, which is noted as done. Telling
    /// wakes another thread, so that it would be a good part of what a request costs.
    pub(crate) fn is_to_tell(&self, opens: bool, now: Instant) -> bool {
        let mut streams = self.streams.open.borrow_mut();
        let Some(stream) = streams.get_mut(&self.sid) else {
            return true;
        };
        let recently = stream
            .told
            .is_some_and(|(at, before)| before == opens && now.duration_since(at) < TELL_EVERY);
        if !recently {
            stream.told = Some((now, opens));
        }
        !recently
    }

    /// The request is answered. If it was the stream's only one, somebody should wait for the next.
    pub(crate) fn answered(self) -> Option<Waiting> {
        let mut streams = self.streams.open.borrow_mut();
        let stream = streams.get_mut(&self.sid)?;
        if stream.under_way > 1 {
            return None;
        }
        let (sender, next) = oneshot::channel();
        stream.waiting = Some(sender);
        Some(Waiting {
            streams: self.streams.clone(),
            sid: self.sid.clone(),
            next,
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(stream) = self.streams.open.borrow_mut().get_mut(&self.sid) {
            stream.under_way = stream.under_way.saturating_sub(1);
        }
        self.streams.forget_if_idle(&self.sid);
    }
}

// === impl Waiting ===

impl Waiting {
    /// Waits for the stream's next request.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn next_request(&mut self) {
        let _ = (&mut self.next).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.next.close();
        self.streams.forget_if_idle(&self.sid);
    }
}

/// Often enough for any lease that has to last over a long poll.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn only_the_last_answer_waits_and_only_until_the_next_request() {
        let metrics = Arc::<WorkerMetrics>::default();
        let streams = Streams::new(metrics);
        let (poll, message) = (streams.enter("a"), streams.enter("a"));
        assert!(poll.answered().is_none());
        let mut waiting = message.answered().unwrap();
        assert!(waiting.next_request().now_or_never().is_none());
        let other = streams.enter("b");
        assert!(waiting.next_request().now_or_never().is_none());
        let next = streams.enter("a");
        assert!(waiting.next_request().now_or_never().is_some());
        drop((waiting, other));
        assert_eq!(streams.open.borrow().len(), 1);
        drop(next);
        assert!(streams.open.borrow().is_empty());
    }

    #[test]
    fn who_is_there_is_told_now_and_then_and_when_it_changes() {
        let metrics = Arc::<WorkerMetrics>::default();
        let streams = Streams::new(metrics);
        let request = streams.enter("a");
        let now = Instant::now();
        assert!(request.is_to_tell(true, now));
        assert!(!streams.enter("a").is_to_tell(true, now + TELL_EVERY / 2));
        assert!(streams.enter("b").is_to_tell(true, now), "another stream");
        assert!(request.is_to_tell(true, now + TELL_EVERY));
        assert!(request.is_to_tell(false, now + TELL_EVERY));
    }

    #[test]
    fn what_is_not_waited_for_any_more_is_forgotten() {
        let metrics = Arc::<WorkerMetrics>::default();
        let streams = Streams::new(metrics);
        drop(streams.enter("a").answered());
        assert!(streams.open.borrow().is_empty());
        // A late waiter does not take the place of a newer one.
        let first = streams.enter("a").answered();
        let second = streams.enter("a").answered();
        drop(first);
        assert_eq!(streams.open.borrow().len(), 1);
        drop(second);
        assert!(streams.open.borrow().is_empty());
    }
}
