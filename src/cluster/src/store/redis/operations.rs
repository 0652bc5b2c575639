//! What the store promises, each as one command or one script.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{Link, Redis, milliseconds};
use crate::store::{Claim, Event, Note, Remembered, State, Store, StoreError, Topic, bounded};

impl Store for Redis {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        limit: u32,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(key);
            let used = self
                .scripts
                .claim(&mut connection, &key, limit, bounded(lifetime))
                .await;
            Ok(match self.finish(used)? {
                Some(used) => Claim::Granted { used },
                None => Claim::Exhausted,
            })
        }
        .boxed()
    }

    fn remember<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Remembered, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(key);
            let before = self
                .scripts
                .remember(&mut connection, &key, value, bounded(lifetime))
                .await;
            Ok(self
                .finish(before)?
                .map_or(Remembered::New, Remembered::Before))
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("GET");
            let asked = command.arg(self.key(key));
            self.finish(asked.query_async(&mut connection).await)
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
            let asked = command.arg(self.key(key)).arg(value);
            let asked = asked.arg("PX").arg(milliseconds(bounded(lifetime)));
            self.finish(asked.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("DEL");
            let asked = command.arg(self.key(key));
            self.finish(asked.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn note<'a>(
        &'a self,
        list: &'a str,
        notes: &'a [Note],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(list);
            // A script keeps everybody else waiting.
            for notes in notes.chunks(NOTES_AT_ONCE) {
                let noted = self.scripts.note(&mut connection, &key, notes).await;
                self.finish(noted)?;
            }
            Ok(())
        }
        .boxed()
    }

    fn notes<'a>(&'a self, list: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let key = self.key(list);
            let notes = self.scripts.notes(&mut connection, &key).await;
            self.finish(notes)
        }
        .boxed()
    }

    fn publish<'a>(&'a self, topic: Topic, text: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let mut connection = self.connection()?;
            let mut command = redis::cmd("PUBLISH");
            let asked = command.arg(self.channel(topic)).arg(text);
            self.finish(asked.query_async(&mut connection).await)
        }
        .boxed()
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn state(&self) -> State {
        match &**self.link.load() {
            Link::Up(_) => State::Ready,
            Link::Down(reason) => State::Unreachable {
                reason: Arc::clone(reason),
            },
        }
    }

    /// The connection outlives the task, so that others can say goodbye while everything stops.
    fn run(self: Arc<Self>, stopped: CancellationToken) -> BoxFuture<'static, ()> {
        async move {
            stopped.run_until_cancelled(self.keep_connected()).await;
        }
        .boxed()
    }
}

/// How many notes one script writes: a millisecond's worth.
const NOTES_AT_ONCE: usize = 500;
