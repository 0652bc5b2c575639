//! Places for connections in use to one upstream, of one worker.
//!
//! Requests that find none wait in a queue, which is short in time and length: behind an upstream that
//! is overloaded a long one would only delay the refusal.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The places for connections in use.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    queued: Rc<Cell<usize>>,
    most: usize,
}

/// A place that is taken; free again on drop.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A request in the queue.
struct Queued<'p>(&'p Cell<usize>);

// === impl Places ===

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            queued: Rc::default(),
            most,
        }
    }

    /// The number of places.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Takes a place, after a wait if need be; none if the queue is full or the wait too long.
    pub(super) async fn take(&self) -> Option<Place> {
        let free = Arc::clone(&self.free);
        let permit = match free.try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        Some(Place { _permit: permit })
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        if self.queued.get() >= self.most {
            return None;
        }
        self.queued.set(self.queued.get() + 1);
        let _queued = Queued(&self.queued);
        let waiting = Arc::clone(&self.free).acquire_owned();
        timeout(LONGEST_WAIT, waiting).await.ok()?.ok()
    }
}

// === impl Queued ===

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Long enough for a burst, and short enough that people still wait for their page.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use tokio::{join, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_and_given_up_after_a_while() {
        let places = Places::new(1);
        let taken = places.take().await.unwrap();
        let began = Instant::now();
        assert!(places.take().await.is_none());
        assert_eq!(began.elapsed(), LONGEST_WAIT);
        let (waited, ()) = join!(places.take(), async { drop(taken) });
        assert!(waited.is_some());
        assert_eq!(began.elapsed(), LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_no_longer_than_there_are_places() {
        let places = Places::new(2);
        let _taken = [places.take().await.unwrap(), places.take().await.unwrap()];
        let began = Instant::now();
        let at_once = async {
            let outcome = places.take().await.is_none();
            (outcome, began.elapsed())
        };
        let (_, _, third) = join!(places.take(), places.take(), at_once);
        assert_eq!(third, (true, Duration::ZERO));
        assert_eq!(places.queued.get(), 0);
    }
}
