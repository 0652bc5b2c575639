//! The operations of [`RedisStore`], each one command or one script.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{Link, RedisStore, milliseconds};
use crate::store::{
    ListItem, PutOutcome, Store, StoreError, StoreEvent, StoreState, Topic, UseOutcome, bounded,
};

impl Store for RedisStore {
    fn consume_use<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<UseOutcome, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(key);
            let used = self
                .scripts
                .consume_use(&mut connection, &key, limit, bounded(lifetime))
                .await;
            Ok(match self.finish(used)? {
                Some(used) => UseOutcome::Granted { used },
                None => UseOutcome::Exhausted,
            })
        }
        .boxed()
    }

    fn uses<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<u32, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("GET");
            let command = command.arg(self.key(key));
            let used: Option<u32> = self.finish(command.query_async(&mut connection).await)?;
            Ok(used.unwrap_or(0))
        }
        .boxed()
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<PutOutcome, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(key);
            let existing = self
                .scripts
                .put_if_absent(&mut connection, &key, value, bounded(lifetime))
                .await;
            Ok(self
                .finish(existing)?
                .map_or(PutOutcome::Stored, PutOutcome::Existing))
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("GET");
            let command = command.arg(self.key(key));
            self.finish(command.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("SET");
            let command = command.arg(self.key(key)).arg(value);
            let command = command.arg("PX").arg(milliseconds(bounded(lifetime)));
            self.finish(command.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("DEL");
            let command = command.arg(self.key(key));
            self.finish(command.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn list_add<'a>(
        &'a self,
        list: &'a str,
        items: &'a [ListItem],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(list);
            // A script blocks the server for all clients.
            for items in items.chunks(ITEMS_PER_SCRIPT) {
                let added = self.scripts.list_add(&mut connection, &key, items).await;
                self.finish(added)?;
            }
            Ok(())
        }
        .boxed()
    }

    fn list_remove<'a>(
        &'a self,
        list: &'a str,
        texts: &'a [String],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(list);
            for texts in texts.chunks(ITEMS_PER_SCRIPT) {
                let mut command = redis::cmd("ZREM");
                let command = command.arg(&key).arg(texts);
                let removed: Result<(), _> = command.query_async(&mut connection).await;
                self.finish(removed)?;
            }
            Ok(())
        }
        .boxed()
    }

    fn list_members<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(list);
            let members = self.scripts.list_members(&mut connection, &key).await;
            self.finish(members)
        }
        .boxed()
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("PUBLISH");
            let command = command.arg(self.channel(topic)).arg(text);
            self.finish(command.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.events.subscribe()
    }

    fn state(&self) -> StoreState {
        match &**self.link.load() {
            Link::Up(_) => StoreState::Ready,
            Link::Down(reason) => StoreState::Unreachable {
                reason: Arc::clone(reason),
            },
        }
    }

    /// The connection outlives the task, so that the final writes can be sent during the stop.
    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move {
            stopped.run_until_cancelled(self.keep_connected()).await;
        }
        .boxed()
    }
}

/// Items that one script adds, in about a millisecond; the server runs no other command meanwhile.
const ITEMS_PER_SCRIPT: usize = 500;
