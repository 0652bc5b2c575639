//! The task that keeps the book, shows it to readers and talks with the other replicas.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{
        broadcast::error::RecvError,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Happening, Presence,
    book::{Book, Errand, SILENCE},
    message::{List, Message, Said},
};
use crate::store::{Event, State, Store, StoreError, Topic};

/// Between the book, the readers and the store.
pub(super) struct Talk<'a> {
    presence: &'a Presence,
    store: Arc<dyn Store>,
    book: Book,
    readings: FuturesUnordered<BoxFuture<'static, Read>>,
}

/// A replica's list as it was read.
struct Read {
    replica: String,
    list: Result<Option<String>, StoreError>,
}

/// What goes to the store, in order.
enum Line {
    Say(String),
    Tell { list: String, beat: String },
}

// === impl Talk ===

impl<'a> Talk<'a> {
    pub(super) fn new(presence: &'a Presence, store: Arc<dyn Store>, book: Book) -> Self {
        Self {
            presence,
            store,
            book,
            readings: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(
        self,
        inbox: mpsc::UnboundedReceiver<Happening>,
        stopped: CancellationToken,
    ) {
        let (lines, queue) = mpsc::channel(LINES);
        let speaking = speak(
            Arc::clone(&self.store),
            list_key(&self.presence.replica),
            queue,
        );
        let keeping = async {
            self.keep(inbox, lines, stopped).await;
            sleep(FAREWELL).await;
        };
        // The speaker ends when all is said, unless the store takes too long to hear it.
        tokio::select! {
            () = speaking => {}
            () = keeping => {}
        }
    }

    async fn keep(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Happening>,
        lines: mpsc::Sender<Line>,
        stopped: CancellationToken,
    ) {
        let mut events = self.store.subscribe();
        let mut beats = interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        // Whoever is there already says so; a store that is not reached yet will tell when it is.
        if !matches!(self.store.state(), State::Unreachable { .. }) {
            self.say(&lines, Said::Who);
        }
        loop {
            let due: OptionFuture<_> = self.book.next_due().map(sleep_until).into();
            tokio::select! {
                count = inbox.recv_many(&mut batch, BATCH) => if count == 0 {
                    return;
                },
                event = events.recv() => match event {
                    Ok(Event::Said { topic: Topic::Presence, text }) => if self.hear(&text) {
                        // Several may ask at once, and one answer is for all.
                        beats.reset_after(ANSWER_AFTER);
                    },
                    Ok(Event::Said { .. } | Event::Lost) => {}
                    Ok(Event::Connected) | Err(RecvError::Lagged(_)) => {
                        self.say(&lines, Said::Who);
                        beats.reset_immediately();
                    }
                    Err(RecvError::Closed) => return,
                },
                Some(read) = self.readings.next() => self.read(read),
                Some(()) = due => {}
                _ = beats.tick() => self.tell(&lines),
                () = stopped.cancelled() => {
                    self.say(&lines, Said::Bye);
                    return;
                }
            }
            let now = Instant::now();
            for happening in batch.drain(..) {
                self.book.happened(happening, now);
            }
            self.book.look(now);
            if let Some(changes) = self.book.take_changes() {
                self.say(&lines, Said::Changes(changes));
            }
            self.presence.show(&mut self.book);
        }
    }

    /// Takes in what a replica said; tells whether it asks for this replica's list.
    fn hear(&mut self, text: &str) -> bool {
        let Some(message) = Message::read(text) else {
            debug!("a replica of another release said something of presence");
            return false;
        };
        if message.replica == self.presence.replica {
            return false;
        }
        let errand = self
            .book
            .hear(&message.replica, message.said, Instant::now());
        match errand {
            Some(Errand::Tell) => true,
            Some(Errand::Read(replica)) => {
                let store = Arc::clone(&self.store);
                let reading = async move {
                    let list = store.get(&list_key(&replica)).await;
                    Read { replica, list }
                };
                self.readings.push(reading.boxed());
                false
            }
            None => false,
        }
    }

    fn read(&mut self, Read { replica, list }: Read) {
        let list = match list {
            Ok(text) => text.and_then(|text| List::read(&text)),
            Err(error) => {
                debug!(%error, "a replica's list of who is where could not be read");
                None
            }
        };
        self.book.read(&replica, list, Instant::now());
    }

    fn say(&self, lines: &mpsc::Sender<Line>, said: Said) {
        put(
            lines,
            Line::Say(Message::write(&self.presence.replica, said)),
        );
    }

    fn tell(&self, lines: &mpsc::Sender<Line>) {
        let list = self.book.list();
        let beat = Message::write(&self.presence.replica, Said::Beat(list.number));
        let list = list.write();
        put(lines, Line::Tell { list, beat });
    }
}

/// Says things in order, so that the book never waits for the store. What the store does not take
/// is dropped: the next beat makes good for it.
async fn speak(store: Arc<dyn Store>, key: String, mut lines: mpsc::Receiver<Line>) {
    while let Some(line) = lines.recv().await {
        let spoken = match line {
            Line::Say(text) => store.publish(Topic::Presence, &text).await,
            Line::Tell { list, beat } => match store.put(&key, &list, SILENCE).await {
                Ok(()) => store.publish(Topic::Presence, &beat).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = spoken {
            debug!(%error, "other replicas were not told who is where");
        }
    }
}

fn put(lines: &mpsc::Sender<Line>, line: Line) {
    if let Err(TrySendError::Full(_)) = lines.try_send(line) {
        debug!("the store is too slow to tell other replicas who is where");
    }
}

fn list_key(replica: &str) -> String {
    format!("here:{replica}")
}

/// How often each replica writes its list and says that it lives: three times within [`SILENCE`].
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// How long the answer to a question waits for others to ask the same.
const ANSWER_AFTER: Duration = Duration::from_millis(20);

/// How many happenings are taken at once before views are shown.
const BATCH: usize = 1024;

/// How many lines may wait for the store.
const LINES: usize = 1024;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);
