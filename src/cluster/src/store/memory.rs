//! The store of a single replica: this process's memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Claim, EVENTS_KEPT, Event, Note, Remembered, State, Store, StoreError, Topic, bounded,
};

/// Keeps everything in this process, until it ends.
#[derive(Debug)]
pub struct Memory {
    kept: Mutex<Kept>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct Kept {
    counts: HashMap<String, Lasting<u32>>,
    values: HashMap<String, Lasting<String>>,
    lists: HashMap<String, HashMap<String, Instant>>,
    /// When to look for what is over next, by the number of entries.
    sweep_at: usize,
}

#[derive(Debug)]
struct Lasting<T> {
    value: T,
    until: Instant,
}

// === impl Memory ===

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            kept: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep();
        kept
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let mut kept = self.kept();
        let used = live(&kept.counts, key).copied().unwrap_or(0);
        let claim = if used < limit {
            let used = used + 1;
            kept.counts
                .insert(key.to_owned(), Lasting::new(used, lifetime));
            Claim::Granted { used }
        } else {
            Claim::Exhausted
        };
        done(claim)
    }

    fn remember<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Remembered, StoreError>> {
        let mut kept = self.kept();
        if let Some(before) = live(&kept.values, key) {
            return done(Remembered::Before(before.clone()));
        }
        let lasting = Lasting::new(value.to_owned(), lifetime);
        kept.values.insert(key.to_owned(), lasting);
        done(Remembered::New)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        done(live(&self.kept().values, key).cloned())
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let lasting = Lasting::new(value.to_owned(), lifetime);
        self.kept().values.insert(key.to_owned(), lasting);
        done(())
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.kept().values.remove(key);
        done(())
    }

    fn note<'a>(
        &'a self,
        list: &'a str,
        notes: &'a [Note],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let now = Instant::now();
        let mut kept = self.kept();
        let list = kept.lists.entry(list.to_owned()).or_default();
        for note in notes {
            let until = now + bounded(note.lifetime);
            let entry = list.entry(note.text.clone()).or_insert(until);
            *entry = until.max(*entry);
        }
        done(())
    }

    fn notes<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let now = Instant::now();
        let kept = self.kept();
        let notes = kept.lists.get(list).into_iter().flatten();
        done(
            notes
                .filter(|(_, until)| now < **until)
                .map(|(text, _)| text.clone())
                .collect(),
        )
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let text = text.into();
        // Nobody may be listening.
        let _ = self.events.send(Event::Said { topic, text });
        done(())
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn state(&self) -> State {
        State::Memory
    }

    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move { stopped.cancelled().await }.boxed()
    }
}

// === impl Kept ===

impl Kept {
    /// Throws out what is over whenever the store has doubled, so that it holds at most twice what
    /// it has to and sweeping costs each entry a constant.
    fn sweep(&mut self) {
        let entries = |kept: &Self| {
            let noted: usize = kept.lists.values().map(HashMap::len).sum();
            kept.counts.len() + kept.values.len() + noted
        };
        if entries(self) < self.sweep_at.max(SWEEP_AT_LEAST) {
            return;
        }
        let now = Instant::now();
        self.counts.retain(|_, lasting| now < lasting.until);
        self.values.retain(|_, lasting| now < lasting.until);
        self.lists.retain(|_, list| {
            list.retain(|_, until| now < *until);
            !list.is_empty()
        });
        self.sweep_at = entries(self) * 2;
    }
}

// === impl Lasting ===

impl<T> Lasting<T> {
    fn new(value: T, lifetime: Duration) -> Self {
        let until = Instant::now() + bounded(lifetime);
        Self { value, until }
    }
}

fn live<'a, T>(kept: &'a HashMap<String, Lasting<T>>, key: &str) -> Option<&'a T> {
    let lasting = kept.get(key)?;
    (Instant::now() < lasting.until).then_some(&lasting.value)
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, StoreError>> {
    std::future::ready(Ok(value)).boxed()
}

/// Below this many entries nothing is thrown out: it is not worth the look.
const SWEEP_AT_LEAST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn it_keeps_the_promises_of_a_store() {
        testing::keeps_promises(&Memory::new()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn everything_ends() {
        let store = Memory::new();
        let minute = Duration::from_mins(1);
        let note = Note {
            text: "a".to_owned(),
            lifetime: minute,
        };
        assert!(store.claim("k", 1, minute).await.is_ok());
        store.put("k", "v", minute).await.unwrap();
        store.note("k", &[note]).await.unwrap();
        tokio::time::advance(minute).await;
        let again = store.claim("k", 1, minute).await;
        assert_eq!(again, Ok(Claim::Granted { used: 1 }));
        assert_eq!(store.get("k").await, Ok(None));
        assert_eq!(store.notes("k").await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_does_not_pile_up() {
        let store = Memory::new();
        for n in 0..100 * SWEEP_AT_LEAST {
            let lifetime = Duration::from_secs(1);
            store.put(&n.to_string(), "", lifetime).await.unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let kept = store.kept.lock().unwrap().values.len();
        assert!(kept <= SWEEP_AT_LEAST, "{kept}");
    }
}
