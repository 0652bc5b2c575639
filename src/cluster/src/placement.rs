//! Which shard each room is on.
//!
//! A room that lives is pinned to its shard; where one begins, the ring says (`shard`). Pins are in
//! the store for five minutes, and longer while the room lives; each replica has a copy of all of
//! them, which the request path reads without waiting. Only a room that is not known yet waits for
//! the store, so that of two replicas one decides. Without the store known rooms stay where they
//! are, others begin where every replica would guess them, and nobody is refused.
//!
//! One task on the control plane ([`Placement::run`]) writes pins, tells the other replicas of
//! them, and probes the shards.

mod copies;
mod health;
mod message;
mod probe;
mod settle;
mod speak;
mod talk;
mod view;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use http::uri::Authority;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::view::{Listed, Shard, View};
use self::{
    copies::Copies,
    message::{Order, Pin},
    talk::Talk,
    view::Sources,
};
use crate::store::Store;
use model::{
    clock::Clock,
    random::Random,
    room::RoomKey,
    shard::{ShardEntry, ShardName, ShardSet, ShardState},
};
use observe::metrics::{ShardMetrics, ShardStateLabels};

/// The shards of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At least one.
    pub shards: Vec<ShardSettings>,
    /// Whether they are called shards; else there is one Jitsi and nothing to place.
    pub sharded: bool,
}

/// One shard of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSettings {
    /// Its name.
    pub name: ShardName,
    /// Its share of the rooms, relative to the others'.
    pub weight: u32,
    /// What it is good for.
    pub state: ShardState,
    /// Where it is.
    pub place: Place,
}

/// Where a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its web server.
    pub web: Authority,
    /// Its Prosody.
    pub xmpp: Authority,
    /// More Prosodys, for people who only watch.
    pub visitors: Vec<VisitorNode>,
}

/// A Prosody for people who only watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitorNode {
    /// What clients call it, in `vnode`.
    pub name: String,
    /// Its HTTP port.
    pub xmpp: Authority,
}

/// Which shard each room is on; shared by all workers.
pub struct Placement {
    view: ArcSwap<View>,
    /// Written by the control plane only.
    sources: Mutex<Sources>,
    copies: Copies,
    notices: mpsc::UnboundedSender<Notice>,
    /// For the task, which takes it.
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
    moves: broadcast::Sender<Move>,
    store: Arc<dyn Store>,
    /// The `Host` of probes.
    xmpp_domain: Arc<str>,
    /// This replica's random name.
    replica: String,
    clock: Clock,
    metrics: ShardMetrics,
}

/// What must not stay where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// All that is on this shard.
    From(ShardName),
    /// Of this room, all that is not on this shard.
    Room(RoomKey, ShardName),
}

/// Somebody's WebSocket in a room; while there is one, the room stays on its shard.
#[derive(Debug)]
pub struct Stay {
    notices: mpsc::UnboundedSender<Notice>,
    room: RoomKey,
}

/// An operator named a shard that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such shard")]
pub struct UnknownShard;

/// What the task is told.
#[derive(Debug)]
enum Notice {
    /// A room was placed; `told` if another replica did it.
    Placed {
        room: RoomKey,
        pin: Pin,
        told: bool,
    },
    Came(RoomKey),
    Went(RoomKey),
    Ordered(Order),
    Replaced,
}

// === impl Settings ===

impl Settings {
    /// The ring of the configuration, as long as no operator says otherwise and all is reached.
    pub fn ring(&self) -> ShardSet {
        let member = |shard: &ShardSettings| ShardEntry {
            name: shard.name.clone(),
            weight: shard.weight,
            state: shard.state,
        };
        ShardSet::new(self.shards.iter().map(member).collect())
    }
}

// === impl Placement ===

impl Placement {
    /// Nothing is placed yet.
    pub fn new(
        settings: Settings,
        xmpp_domain: &str,
        (clock, random, store): (Clock, Random, Arc<dyn Store>),
        metrics: ShardMetrics,
    ) -> Self {
        let (notices, inbox) = mpsc::unbounded_channel();
        let sources = Sources::new(settings);
        let placement = Self {
            view: ArcSwap::from_pointee(sources.view()),
            sources: Mutex::new(sources),
            copies: Copies::new(),
            notices,
            inbox: Mutex::new(Some(inbox)),
            moves: broadcast::Sender::new(MOVES_KEPT),
            store,
            xmpp_domain: xmpp_domain.into(),
            replica: random.text::<9>(),
            clock,
            metrics,
        };
        placement.show();
        placement
    }

    /// The shards as they are now.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The shard of a room that somebody enters, or is in.
    pub async fn place(&self, room: &RoomKey) -> Arc<Shard> {
        let view = self.view();
        if !view.is_sharded() {
            return Arc::clone(view.common());
        }
        if let Some(known) = self.copies.used(room)
            && let Some(shard) = view.usable(known.pin.shard.as_str())
        {
            return Arc::clone(shard);
        }
        drop(view);
        self.settle(room).await
    }

    /// Where a room is or would begin; nothing is pinned. None if it is on a shard that is not
    /// configured any more: whoever is there may stay.
    pub fn locate(&self, room: &RoomKey) -> Option<Arc<Shard>> {
        let view = self.view();
        let Some(known) = self.copies.get(room).filter(|_| view.is_sharded()) else {
            return Some(Arc::clone(view.place(room)));
        };
        view.named(known.pin.shard.as_str())?;
        let shard = view.usable(known.pin.shard.as_str());
        Some(Arc::clone(shard.unwrap_or_else(|| view.place(room))))
    }

    /// The shard of a stream that was made there for a room, if it may go on. A room that nobody
    /// remembers lives where its streams are.
    pub fn again(&self, shard: &str, room: &RoomKey) -> Option<Arc<Shard>> {
        let view = self.view();
        let shard = view.usable(shard)?;
        match self.copies.used(room) {
            Some(known) if known.pin.shard == shard.name => {}
            // The room was moved, and the stream with it.
            Some(known) if view.usable(known.pin.shard.as_str()).is_some() => return None,
            _ => self.notice(Notice::Placed {
                room: room.clone(),
                pin: Pin {
                    number: 0,
                    shard: shard.name.clone(),
                },
                told: false,
            }),
        }
        Some(Arc::clone(shard))
    }

    /// The shard for what belongs to no room.
    pub fn common(&self) -> Arc<Shard> {
        Arc::clone(self.view().common())
    }

    /// Keeps a room where it is until the answer is dropped.
    pub fn stay(&self, room: &RoomKey) -> Option<Stay> {
        self.view().is_sharded().then(|| {
            self.notice(Notice::Came(room.clone()));
            Stay {
                notices: self.notices.clone(),
                room: room.clone(),
            }
        })
    }

    /// Somebody could not connect to a shard: it is looked at now.
    pub fn doubt(&self, shard: &Shard) {
        shard.doubt.notify_one();
    }

    /// Hears of what has to move. Whoever lags looks at all that they have.
    pub fn moves(&self) -> broadcast::Receiver<Move> {
        self.moves.subscribe()
    }

    /// Takes over other shards. What is on one whose Prosody has another address now moves there, else
    /// those who are in a room and those who come would not meet.
    pub fn replace(&self, settings: Settings) {
        let before = Guard::into_inner(self.view());
        self.sources().replace(settings);
        // Those of shards that are gone.
        self.metrics.rooms.clear();
        self.show();
        for Listed { shard, .. } in self.view().shards() {
            let was = before.named(shard.name.as_str());
            if was.is_some_and(|was| was.shard.place.xmpp != shard.place.xmpp) {
                // Nobody may be listening.
                let _ = self.moves.send(Move::From(shard.name.clone()));
            }
        }
        self.notice(Notice::Replaced);
    }

    /// Sets a state over the configured one, on all replicas, until another is set; none to go back
    /// to the configured one.
    pub fn order(&self, shard: &str, state: Option<ShardState>) -> Result<(), UnknownShard> {
        let name = self
            .view()
            .named(shard)
            .map(|listed| listed.shard.name.clone());
        let name = name
            .filter(|_| self.view().is_sharded())
            .ok_or(UnknownShard)?;
        info!(shard = %name, state = state.map(ShardState::as_str), "an operator sets a shard's state");
        let mut sources = self.sources();
        let before = sources.orders().find(|order| order.shard == name);
        let now = self.clock.now().as_unix();
        let order = Order {
            number: before.map_or(now, |before| now.max(before.number.saturating_add(1))),
            shard: name,
            state,
        };
        sources.order(order.clone());
        drop(sources);
        self.show();
        self.notice(Notice::Ordered(order));
        Ok(())
    }

    /// Keeps pins and probes shards until told to stop.
    pub async fn run(self: Arc<Self>, stopped: CancellationToken) {
        let inbox = self
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(inbox) = inbox else { return };
        Talk::run(&self, inbox, stopped).await;
    }

    fn notice(&self, notice: Notice) {
        // The task is gone only when everything stops.
        let _ = self.notices.send(notice);
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the sources as they are, and moves what is on shards that went down.
    fn show(&self) {
        let sources = self.sources();
        let view = Arc::new(sources.view());
        let before = self.view.swap(Arc::clone(&view));
        drop(sources);
        self.count_states(&view);
        for listed in view.shards() {
            let name = &listed.shard.name;
            let was = before.named(name.as_str()).map(|listed| listed.state);
            if was.is_some_and(|was| was != listed.state) {
                let (fingerprint, state) = (view.ring().fingerprint(), listed.state.as_str());
                info!(shard = %name, state, ring = fingerprint, "a shard changed its state");
            }
            let gone = view.usable(name.as_str()).is_none();
            if gone && was.is_some_and(|was| was != ShardState::Down) {
                // Nobody may be listening.
                let _ = self.moves.send(Move::From(name.clone()));
            }
        }
    }
}

impl Placement {
    /// What the metrics say of states; nothing of shards that are gone.
    fn count_states(&self, view: &View) {
        let metrics = &self.metrics;
        metrics.states.clear();
        for listed in view.shards().iter().filter(|_| view.is_sharded()) {
            for state in ShardState::ALL {
                let shard = listed.shard.name.to_string();
                let labels = ShardStateLabels {
                    shard,
                    state: state.as_str(),
                };
                let is = i64::from(state == listed.state);
                metrics.states.get_or_create(&labels).set(is);
            }
        }
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

// === impl Stay ===

impl Drop for Stay {
    fn drop(&mut self) {
        let _ = self.notices.send(Notice::Went(self.room.clone()));
    }
}

fn pin_key(room: &RoomKey) -> String {
    format!("pin:{room}")
}

/// How long a room without a sign of life keeps its shard; what Jitsi's own balancers have.
const PIN_LIFETIME: Duration = Duration::from_mins(5);

/// How many moves a listener may be behind: all rooms of a small deployment.
const MOVES_KEPT: usize = 4096;

#[cfg(test)]
mod tests;
