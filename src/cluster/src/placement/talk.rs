//! The task that keeps pins, states and probes, and talks with the other replicas.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use super::{
    Move, Notice, PIN_LIFETIME, Placement,
    copies::Merged,
    health::{Finding, Health},
    message::{Message, Order, Pin, Pinned, Said, read, write},
    probe,
    speak::{Kept, Line, read_all, speak},
    view::Shard,
};
use crate::store::{Event, State as StoreState, StoreError, Topic};
use model::{room::RoomKey, shard::ShardName};
use observe::metrics::ShardLabel;

/// Between the request path, the shards and the store.
pub(super) struct Talk<'a> {
    placement: &'a Placement,
    health: Health,
    /// Rooms with open WebSockets here, and how many.
    sockets: HashMap<RoomKey, usize>,
    probes: HashMap<ShardName, (Arc<Shard>, DropGuard)>,
    found: mpsc::UnboundedSender<(ShardName, Finding)>,
    lines: mpsc::Sender<Line>,
}

// === impl Talk ===

impl<'a> Talk<'a> {
    /// Runs until told to stop.
    pub(super) async fn run(
        placement: &'a Placement,
        inbox: mpsc::UnboundedReceiver<Notice>,
        stopped: CancellationToken,
    ) {
        let (lines, queue) = mpsc::channel(LINES);
        let (greater, contradictions) = mpsc::unbounded_channel();
        let (found, findings) = mpsc::unbounded_channel();
        let talk = Self {
            placement,
            health: Health::default(),
            sockets: HashMap::new(),
            probes: HashMap::new(),
            found,
            lines,
        };
        let speaking = speak(Arc::clone(&placement.store), queue, greater);
        let keeping = async {
            talk.keep(inbox, findings, contradictions, stopped).await;
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
        mut inbox: mpsc::UnboundedReceiver<Notice>,
        mut findings: mpsc::UnboundedReceiver<(ShardName, Finding)>,
        mut contradictions: mpsc::UnboundedReceiver<Pinned>,
        stopped: CancellationToken,
    ) {
        let mut events = self.placement.store.subscribe();
        let mut beats = interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewals = interval(RENEW_EVERY);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading: OptionFuture<_> = None.into();
        if !matches!(self.placement.store.state(), StoreState::Unreachable { .. }) {
            reading = Some(self.read()).into();
        }
        self.probe();
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = inbox.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    if batch.iter().any(|notice| matches!(notice, Notice::Replaced)) {
                        // Operators may have said something of a shard before it was known here.
                        reading = Some(self.read()).into();
                    }
                    self.take_notice(batch.drain(..));
                }
                Some((shard, finding)) = findings.recv() => {
                    match finding {
                        Finding::Reached => info!(%shard, "a shard answers probes"),
                        Finding::Lost => warn!(%shard, "a shard does not answer probes"),
                    }
                    self.health.found(shard, finding);
                    self.weigh();
                    self.say(Said::Reach(self.health.reach()));
                }
                Some(Pinned { room, pin }) = contradictions.recv() => {
                    self.take_over(vec![(room, pin)]);
                }
                event = events.recv() => match event {
                    Ok(Event::Said { topic: Topic::Shard, text }) => self.hear(&text),
                    Ok(Event::Said { .. }) => {}
                    Ok(Event::Lost) => {
                        self.health.deafen();
                        self.weigh();
                    }
                    Ok(Event::Connected) | Err(RecvError::Lagged(_)) => {
                        reading = Some(self.read()).into();
                        self.say(Said::Who);
                    }
                    Err(RecvError::Closed) => return,
                },
                Some(read) = &mut reading => {
                    reading = None.into();
                    self.compare(read);
                }
                _ = beats.tick() => self.beat(),
                _ = renewals.tick() => {
                    self.renew(RENEW_EVERY * 2);
                    self.repeat_orders();
                }
                () = stopped.cancelled() => {
                    self.say(Said::Bye);
                    return;
                }
            }
        }
    }

    fn take_notice(&mut self, notices: impl Iterator<Item = Notice>) {
        let mut placed = Vec::new();
        let mut unsaid = Vec::new();
        for notice in notices {
            match notice {
                Notice::Placed { room, pin, told } => {
                    if !told {
                        let (room, pin) = (room.clone(), pin.clone());
                        unsaid.push(Pinned { room, pin });
                    }
                    placed.push((room, pin));
                }
                Notice::Came(room) => *self.sockets.entry(room).or_default() += 1,
                Notice::Went(room) => {
                    if let Some(count) = self.sockets.get_mut(&room) {
                        *count -= 1;
                        if *count == 0 {
                            self.sockets.remove(&room);
                        }
                    }
                }
                Notice::Ordered(order) => self.order(order),
                Notice::Replaced => {
                    self.probe();
                    self.weigh();
                }
            }
        }
        if !placed.is_empty() {
            self.merge(placed, true);
        }
        if !unsaid.is_empty() {
            self.save(&unsaid);
        }
    }

    /// Takes in what a replica said.
    fn hear(&mut self, text: &str) {
        let Some(Message { replica, said }) = read(text) else {
            debug!("a replica of another release said something of shards");
            return;
        };
        if replica == self.placement.replica {
            return;
        }
        match said {
            Said::Pins(pins) => {
                let pins = pins.into_iter().map(|Pinned { room, pin }| (room, pin));
                self.take_over(pins.collect());
            }
            Said::Order(order) => {
                self.placement.sources().order(order);
                self.placement.show();
            }
            Said::Reach(reach) => {
                self.health.hear(replica, reach, Instant::now());
                self.weigh();
            }
            Said::Who => self.say(Said::Reach(self.health.reach())),
            Said::Bye => {
                self.health.bye(&replica);
                self.weigh();
            }
        }
    }

    /// Takes over pins that are not of this replica's making.
    fn take_over(&self, pins: Vec<(RoomKey, Pin)>) {
        self.merge(pins, false);
    }

    fn merge(&self, pins: Vec<(RoomKey, Pin)>, used: bool) {
        let copies = &self.placement.copies;
        for (room, shard, merged) in copies.merge(pins, used) {
            let Some(now) = copies.get(&room) else {
                continue;
            };
            let now = now.pin.shard.clone();
            // Whoever was sent to the other shard has to move: a meeting is in one place.
            if merged == Merged::Elsewhere || used && now != shard {
                debug!(%room, shard = %now, "a room moves");
                // Nobody may be listening.
                let _ = self.placement.moves.send(Move::Room(room, now));
            }
        }
    }

    /// Compares with what is in the store.
    fn compare(&mut self, read: Result<Kept, StoreError>) {
        let Kept { pins, orders } = match read {
            Ok(read) => read,
            Err(error) => {
                debug!(%error, "pins could not be read");
                return;
            }
        };
        debug!(pins = pins.len(), "pins were read from the store");
        self.take_over(pins);
        let mut sources = self.placement.sources();
        for order in &orders {
            sources.order(order.clone());
        }
        let unsaid: Vec<Order> = sources
            .orders()
            .filter(|order| !orders.contains(order))
            .cloned()
            .collect();
        drop(sources);
        self.placement.show();
        for order in unsaid {
            self.order(order);
        }
        // Whatever was placed while the store was away.
        self.renew(PIN_LIFETIME);
        self.say(Said::Reach(self.health.reach()));
    }

    fn read(&self) -> BoxFuture<'static, Result<Kept, StoreError>> {
        let sources = self.placement.sources();
        let names = sources.probed().map(|shard| shard.name.clone()).collect();
        read_all(Arc::clone(&self.placement.store), names).boxed()
    }

    /// Tells that this replica lives, and forgets what does not.
    fn beat(&mut self) {
        self.health.look(Instant::now());
        self.weigh();
        let mut rooms: HashMap<String, i64> = HashMap::new();
        let sockets = &self.sockets;
        let kept = |room: &RoomKey| sockets.contains_key(room);
        self.placement.copies.sweep(kept, |_, pin, _| {
            *rooms.entry(pin.shard.to_string()).or_default() += 1;
        });
        let view = self.placement.view();
        if view.is_sharded() {
            for listed in view.shards() {
                let shard = listed.shard.name.to_string();
                let count = rooms.get(&shard).copied().unwrap_or(0);
                let gauges = &self.placement.metrics.rooms;
                gauges.get_or_create(&ShardLabel { shard }).set(count);
            }
            self.say(Said::Reach(self.health.reach()));
        }
    }

    /// Writes and says anew the pins of rooms in which this replica's people were within this time,
    /// or are.
    fn renew(&self, within: Duration) {
        let copies = &self.placement.copies;
        for room in self.sockets.keys() {
            copies.used(room);
        }
        let mut living = Vec::new();
        copies.sweep(
            |room| self.sockets.contains_key(room),
            |room, pin, used| {
                if used.is_some_and(|ago| u128::from(ago) < within.as_millis()) {
                    let (room, pin) = (room.clone(), pin.clone());
                    living.push(Pinned { room, pin });
                }
            },
        );
        self.save(&living);
    }

    /// Says anew what operators want: a store that is slow may not have taken it, and says nothing of
    /// that later.
    fn repeat_orders(&self) {
        let orders: Vec<Order> = self.placement.sources().orders().cloned().collect();
        for order in orders {
            self.order(order);
        }
    }

    /// Shows which shards are lost.
    fn weigh(&self) {
        let lost = self.health.lost();
        let mut sources = self.placement.sources();
        let changed = sources.lost != lost;
        sources.lost = lost;
        drop(sources);
        if changed {
            self.placement.show();
        }
    }

    /// Begins to probe shards that are new, and ends it for those that are gone.
    fn probe(&mut self) {
        let sources = self.placement.sources();
        let wanted: Vec<_> = sources.probed().cloned().collect();
        drop(sources);
        let health = &mut self.health;
        self.probes.retain(|name, (shard, _)| {
            let stays = wanted.iter().any(|wanted| Arc::ptr_eq(wanted, shard));
            if !stays {
                health.forget(name);
            }
            stays
        });
        for shard in wanted {
            if self.probes.contains_key(&shard.name) {
                continue;
            }
            let stop = CancellationToken::new();
            let (found, metrics) = (self.found.clone(), self.placement.metrics.clone());
            let watching = probe::watch(
                Arc::clone(&shard),
                probe::by_http(Arc::clone(&self.placement.xmpp_domain)),
                move |shard| {
                    let shard = shard.name.to_string();
                    metrics
                        .probe_failures
                        .get_or_create(&ShardLabel { shard })
                        .inc();
                },
                move |shard, finding| {
                    // The task is gone only when everything stops.
                    let _ = found.send((shard.name.clone(), finding));
                },
            );
            let stopped = stop.clone();
            tokio::spawn(async move { stopped.run_until_cancelled(watching).await });
            self.probes
                .insert(shard.name.clone(), (shard, stop.drop_guard()));
        }
    }

    fn save(&self, pins: &[Pinned]) {
        for pins in pins.chunks(AT_ONCE) {
            let said = write(&self.message(Said::Pins(pins.to_vec())));
            self.put(Line::Save(pins.to_vec(), said));
        }
    }

    fn order(&self, order: Order) {
        let said = write(&self.message(Said::Order(order.clone())));
        self.put(Line::Order(order, said));
    }

    fn say(&self, said: Said) {
        self.put(Line::Say(write(&self.message(said))));
    }

    fn message(&self, said: Said) -> Message {
        Message {
            replica: self.placement.replica.clone(),
            said,
        }
    }

    fn put(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            debug!("the store is too slow to tell other replicas of shards");
        }
    }
}

/// How often each replica says that it lives: three times within the silence after which it counts
/// as gone.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// How often pins of living rooms are renewed: four times within their lifetime.
const RENEW_EVERY: Duration = Duration::from_mins(1);

/// How many notices are taken at once.
const BATCH: usize = 1024;

/// How many pins one message carries.
const AT_ONCE: usize = 500;

/// How many lines may wait for the store.
const LINES: usize = 1024;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);
