//! The store of a single replica whose uses survive a restart: the memory of this process, and a
//! journal.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use model::clock::Clock;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{
    ListItem, MemoryStore, PutOutcome, Store, StoreError, StoreEvent, StoreState, Topic, UseOutcome,
};
use crate::journal::{Entry, Journal, JournalContent};

/// A [`MemoryStore`] that acknowledges uses when they are on disk. Everything else is lost at the end
/// of the process; revocations are in the journal by themselves.
#[derive(Debug)]
pub struct JournaledStore {
    memory: MemoryStore,
    journal: Journal,
    clock: Clock,
}

// === impl JournaledStore ===

impl JournaledStore {
    /// Creates the store with the uses of an earlier process.
    pub fn new(journal: Journal, content: &JournalContent, clock: Clock) -> Self {
        let memory = MemoryStore::new();
        let now = clock.now();
        for entry in content.entries() {
            match entry {
                Entry::Used { key, used, expires } => {
                    memory.restore_use(key, *used, expires.since(now));
                }
                Entry::Stored {
                    key,
                    value,
                    expires,
                } => memory.restore_value(key, value, expires.since(now)),
                Entry::Revoked { .. } => {}
            }
        }
        Self {
            memory,
            journal,
            clock,
        }
    }

    async fn write(&self, entry: Entry) -> Result<(), StoreError> {
        let written = self.journal.commit(vec![entry]).written().await;
        written.map_err(|error| StoreError::Refused(error.to_string().into()))
    }
}

impl Store for JournaledStore {
    fn consume_use<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<UseOutcome, StoreError>> {
        async move {
            let outcome = self.memory.consume_use(key, limit, lifetime).await?;
            if let UseOutcome::Granted { used } = outcome {
                // If this fails, the use is gone: the disk may have it nevertheless.
                let entry = Entry::Used {
                    key: key.to_owned(),
                    used,
                    expires: self.clock.now().after(lifetime),
                };
                self.write(entry).await?;
            }
            Ok(outcome)
        }
        .boxed()
    }

    fn uses<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.memory.uses(key)
    }

    fn put_once<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        async move {
            let outcome = self.memory.put_if_absent(key, value, lifetime).await?;
            if outcome == PutOutcome::Stored {
                let entry = Entry::Stored {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    expires: self.clock.now().after(lifetime),
                };
                self.write(entry).await?;
            }
            Ok(outcome)
        }
        .boxed()
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        self.memory.put_if_absent(key, value, lifetime)
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.memory.get(key)
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.put(key, value, lifetime)
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.remove(key)
    }

    fn list_add<'a>(
        &'a self,
        list: &'a str,
        items: &'a [ListItem],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.list_add(list, items)
    }

    fn list_remove<'a>(
        &'a self,
        list: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.list_remove(list, texts)
    }

    fn list_members<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        self.memory.list_members(list)
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.publish(topic, text)
    }

    fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.memory.subscribe()
    }

    fn state(&self) -> StoreState {
        self.memory.state()
    }

    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move { stopped.cancelled().await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use observe::metrics::JournalMetrics;

    use super::*;
    use crate::store::testing;

    fn open(directory: &Path) -> JournaledStore {
        let clock = Clock::system();
        let opened = Journal::open(directory, JournalMetrics::default(), clock.clone());
        let (journal, content) = opened.unwrap();
        JournaledStore::new(journal, &content, clock)
    }

    #[tokio::test]
    async fn the_store_with_a_journal_fulfils_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        testing::check_contract(&open(directory.path())).await;
    }

    #[tokio::test]
    async fn uses_survive_and_other_values_do_not() {
        const MINUTE: Duration = Duration::from_mins(1);
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        for used in 1..=2 {
            let outcome = store.consume_use("link", 3, MINUTE).await;
            assert_eq!(outcome, Ok(UseOutcome::Granted { used }));
        }
        let stored = store.put_once("token", "in time", MINUTE).await;
        assert_eq!(stored, Ok(PutOutcome::Stored));
        store.put_if_absent("lease", "", MINUTE).await.unwrap();
        store.put("grant", "sealed", MINUTE).await.unwrap();
        drop(store);
        let store = open(directory.path());
        let outcome = store.consume_use("link", 3, MINUTE).await;
        assert_eq!(outcome, Ok(UseOutcome::Granted { used: 3 }));
        let outcome = store.consume_use("link", 3, MINUTE).await;
        assert_eq!(outcome, Ok(UseOutcome::Exhausted));
        let stored = store.put_once("token", "late", MINUTE).await;
        assert_eq!(stored, Ok(PutOutcome::Existing("in time".to_owned())));
        assert_eq!(store.get("lease").await, Ok(None));
        assert_eq!(store.get("grant").await, Ok(None));
    }
}
