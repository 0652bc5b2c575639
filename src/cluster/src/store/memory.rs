//! The store of a single replica, in the memory of this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    EVENT_CAPACITY, ListItem, PutOutcome, Store, StoreError, StoreEvent, StoreState, Topic,
    UseOutcome, bounded,
};

/// A store that is lost at the end of this process.
#[derive(Debug)]
pub struct MemoryStore {
    content: Mutex<Content>,
    events: broadcast::Sender<StoreEvent>,
}

#[derive(Debug, Default)]
struct Content {
    counts: HashMap<String, Expiring<u32>>,
    values: HashMap<String, Expiring<String>>,
    lists: HashMap<String, HashMap<String, Instant>>,
    /// The number of entries at which the next sweep runs.
    sweep_at: usize,
}

#[derive(Debug)]
struct Expiring<T> {
    value: T,
    expires: Instant,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self {
            content: Mutex::default(),
            events: broadcast::Sender::new(EVENT_CAPACITY),
        }
    }

    /// Counts the uses of an earlier process.
    pub(super) fn restore_use(&self, key: &str, used: u32, lifetime: Duration) {
        let count = Expiring::new(used, lifetime);
        self.content().counts.insert(key.to_owned(), count);
    }

    /// Stores a value of an earlier process.
    pub(super) fn restore_value(&self, key: &str, value: &str, lifetime: Duration) {
        let value = Expiring::new(value.to_owned(), lifetime);
        self.content().values.insert(key.to_owned(), value);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.sweep();
        content
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn consume_use<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<UseOutcome, StoreError>> {
        let mut content = self.content();
        let used = live(&content.counts, key).copied().unwrap_or(0);
        if used >= limit {
            return done(UseOutcome::Exhausted);
        }
        let used = used + 1;
        let count = Expiring::new(used, lifetime);
        content.counts.insert(key.to_owned(), count);
        done(UseOutcome::Granted { used })
    }

    fn uses<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<u32, StoreError>> {
        done(live(&self.content().counts, key).copied().unwrap_or(0))
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        let mut content = self.content();
        if let Some(existing) = live(&content.values, key) {
            return done(PutOutcome::Existing(existing.clone()));
        }
        let value = Expiring::new(value.to_owned(), lifetime);
        content.values.insert(key.to_owned(), value);
        done(PutOutcome::Stored)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        done(live(&self.content().values, key).cloned())
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let value = Expiring::new(value.to_owned(), lifetime);
        self.content().values.insert(key.to_owned(), value);
        done(())
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.content().values.remove(key);
        done(())
    }

    fn list_add<'a>(
        &'a self,
        list: &'a str,
        items: &'a [ListItem],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let now = Instant::now();
        let mut content = self.content();
        let list = content.lists.entry(list.to_owned()).or_default();
        for item in items {
            let expires = now + bounded(item.lifetime);
            let entry = list.entry(item.text.clone()).or_insert(expires);
            *entry = expires.max(*entry);
        }
        done(())
    }

    fn list_remove<'a>(
        &'a self,
        list: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if let Some(list) = self.content().lists.get_mut(list) {
            for text in texts {
                list.remove(text);
            }
        }
        done(())
    }

    fn list_members<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let now = Instant::now();
        let content = self.content();
        let items = content.lists.get(list).into_iter().flatten();
        let live = items.filter(|(_, expires)| now < **expires);
        done(live.map(|(text, _)| text.clone()).collect())
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let text = text.into();
        // Fails without subscribers.
        let _ = self.events.send(StoreEvent::Message { topic, text });
        done(())
    }

    fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.events.subscribe()
    }

    fn state(&self) -> StoreState {
        StoreState::Memory
    }

    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move { stopped.cancelled().await }.boxed()
    }
}

// === impl Content ===

impl Content {
    /// Removes expired entries whenever the number of entries has doubled: memory stays within
    /// twice the live entries, at a constant cost per entry.
    fn sweep(&mut self) {
        if self.len() < self.sweep_at.max(MIN_SWEEP) {
            return;
        }
        let now = Instant::now();
        self.counts.retain(|_, entry| now < entry.expires);
        self.values.retain(|_, entry| now < entry.expires);
        self.lists.retain(|_, list| {
            list.retain(|_, expires| now < *expires);
            !list.is_empty()
        });
        self.sweep_at = self.len() * 2;
    }

    fn len(&self) -> usize {
        let items: usize = self.lists.values().map(HashMap::len).sum();
        self.counts.len() + self.values.len() + items
    }
}

// === impl Expiring ===

impl<T> Expiring<T> {
    fn new(value: T, lifetime: Duration) -> Self {
        Self {
            value,
            expires: Instant::now() + bounded(lifetime),
        }
    }
}

fn live<'a, T>(entries: &'a HashMap<String, Expiring<T>>, key: &str) -> Option<&'a T> {
    let entry = entries.get(key)?;
    (Instant::now() < entry.expires).then_some(&entry.value)
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, StoreError>> {
    std::future::ready(Ok(value)).boxed()
}

/// Below this number of entries a sweep saves no relevant memory.
const MIN_SWEEP: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn memory_store_fulfils_the_contract() {
        testing::check_contract(&MemoryStore::new()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn counters_values_and_list_items_expire() {
        let store = MemoryStore::new();
        let minute = Duration::from_mins(1);
        let item = ListItem {
            text: "a".to_owned(),
            lifetime: minute,
        };
        assert!(store.consume_use("k", 1, minute).await.is_ok());
        store.put("k", "v", minute).await.unwrap();
        store.list_add("k", &[item]).await.unwrap();
        tokio::time::advance(minute).await;
        let outcome = store.consume_use("k", 1, minute).await;
        assert_eq!(outcome, Ok(UseOutcome::Granted { used: 1 }));
        assert_eq!(store.get("k").await, Ok(None));
        assert_eq!(store.list_members("k").await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn expired_entries_do_not_accumulate() {
        let store = MemoryStore::new();
        for n in 0..100 * MIN_SWEEP {
            let lifetime = Duration::from_secs(1);
            store.put(&n.to_string(), "", lifetime).await.unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let count = store.content.lock().unwrap().values.len();
        assert!(count <= MIN_SWEEP, "{count}");
    }
}
