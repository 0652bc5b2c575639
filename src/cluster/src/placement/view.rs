//! The shards as they are now: what is configured, what operators said, what is reached; swapped
//! whole when one of these changes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::HeaderValue;
use tokio::sync::Notify;

use super::{Place, Settings, ShardSettings, message::Order};
use model::{
    room::RoomKey,
    shard::{ShardEntry, ShardName, ShardSet, ShardState},
};

/// One web server, Prosody and focus, for as long as its addresses are configured.
#[derive(Debug)]
pub struct Shard {
    /// Its name.
    pub name: ShardName,
    /// What `X-Jitsi-Shard` says, where there are shards.
    pub header: HeaderValue,
    /// Where it is.
    pub place: Place,
    /// Somebody could not connect to it.
    pub(super) doubt: Notify,
}

/// All shards, as one request sees them.
#[derive(Debug)]
pub struct View {
    shards: Vec<Listed>,
    ring: ShardSet,
    sharded: bool,
}

/// A shard, and why it is in its state.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The shard.
    pub shard: Arc<Shard>,
    /// Its share of rooms.
    pub weight: u32,
    /// What the configuration says.
    pub configured: ShardState,
    /// What an operator said over it.
    pub ordered: Option<ShardState>,
    /// No replica reaches it.
    pub lost: bool,
    /// What comes of it.
    pub state: ShardState,
}

/// What a view is made of.
#[derive(Debug)]
pub(super) struct Sources {
    shards: Vec<Configured>,
    sharded: bool,
    orders: HashMap<ShardName, Order>,
    pub(super) lost: HashSet<ShardName>,
}

#[derive(Debug)]
struct Configured {
    shard: Arc<Shard>,
    weight: u32,
    state: ShardState,
}

// === impl Shard ===

impl Shard {
    pub(super) fn new(name: ShardName, place: Place) -> Self {
        Self {
            header: HeaderValue::from_str(name.as_str())
                .expect("a shard's name is letters, digits, dashes and underscores"),
            name,
            place,
            doubt: Notify::new(),
        }
    }
}

// === impl View ===

impl View {
    /// Whether rooms have to be placed; else there is one Jitsi, and no name for it.
    pub fn is_sharded(&self) -> bool {
        self.sharded
    }

    /// The shards, by name.
    pub fn shards(&self) -> &[Listed] {
        &self.shards
    }

    /// Names, weights and states.
    pub fn ring(&self) -> &ShardSet {
        &self.ring
    }

    /// The shard of a name, whatever its state.
    pub fn named(&self, name: &str) -> Option<&Listed> {
        let mut shards = self.shards.iter();
        shards.find(|listed| listed.shard.name.as_str() == name)
    }

    /// The shard of a name, if rooms may be there.
    pub fn usable(&self, name: &str) -> Option<&Arc<Shard>> {
        self.named(name)
            .filter(|listed| listed.state != ShardState::Down || self.is_all_down())
            .map(|listed| &listed.shard)
    }

    pub(super) fn place(&self, room: &RoomKey) -> &Arc<Shard> {
        self.of(self.ring.place(room))
    }

    pub(super) fn guess(&self, room: &RoomKey) -> &Arc<Shard> {
        self.of(self.ring.guess(room))
    }

    pub(super) fn common(&self) -> &Arc<Shard> {
        self.of(self.ring.common())
    }

    /// If there is nothing else, what is down has to do.
    fn is_all_down(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|listed| listed.state == ShardState::Down)
    }

    fn of(&self, name: Option<&ShardName>) -> &Arc<Shard> {
        let named = name.and_then(|name| self.named(name.as_str()));
        let listed = named.or(self.shards.first());
        &listed.expect("there is at least one shard").shard
    }
}

// === impl Sources ===

impl Sources {
    pub(super) fn new(settings: Settings) -> Self {
        let mut sources = Self {
            shards: Vec::new(),
            sharded: false,
            orders: HashMap::new(),
            lost: HashSet::new(),
        };
        sources.replace(settings);
        sources
    }

    /// Takes over other shards; one that stays where it is keeps its connections.
    pub(super) fn replace(&mut self, Settings { shards, sharded }: Settings) {
        let before = std::mem::take(&mut self.shards);
        let configured = |settings: ShardSettings| {
            let ShardSettings {
                name,
                weight,
                state,
                place,
            } = settings;
            let mut known = before.iter().map(|configured| &configured.shard);
            let shard = known.find(|shard| shard.name == name && shard.place == place);
            let shard = shard.cloned();
            Configured {
                shard: shard.unwrap_or_else(|| Arc::new(Shard::new(name, place))),
                weight,
                state,
            }
        };
        self.shards = shards.into_iter().map(configured).collect();
        self.shards
            .sort_unstable_by(|a, b| a.shard.name.cmp(&b.shard.name));
        self.sharded = sharded;
    }

    /// The shards that are to be probed.
    pub(super) fn probed(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let probed = self.shards.iter().filter(|_| self.sharded);
        probed.map(|configured| &configured.shard)
    }

    /// Takes over what an operator wants, unless something later is known.
    pub(super) fn order(&mut self, order: Order) {
        let known = self.orders.get(&order.shard);
        if known.is_none_or(|known| known.number < order.number) {
            self.orders.insert(order.shard.clone(), order);
        }
    }

    /// What operators want.
    pub(super) fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    pub(super) fn view(&self) -> View {
        let ordered =
            |of: &Configured| -> Option<ShardState> { self.orders.get(&of.shard.name)?.state };
        let wanted = |of: &Configured| ordered(of).unwrap_or(of.state);
        let is_lost = |of: &Configured| self.lost.contains(&of.shard.name);
        // If nothing is reached, the fault is more likely here than everywhere else: rooms stay
        // where they are, and requests are sent all the same.
        let reached = |of: &Configured| wanted(of) != ShardState::Down && !is_lost(of);
        let any_reached = self.shards.iter().any(reached);
        let listed = |of: &Configured| Listed {
            shard: Arc::clone(&of.shard),
            weight: of.weight,
            configured: of.state,
            ordered: ordered(of),
            lost: is_lost(of),
            state: if is_lost(of) && any_reached {
                ShardState::Down
            } else {
                wanted(of)
            },
        };
        let shards: Vec<Listed> = self.shards.iter().map(listed).collect();
        let member = |listed: &Listed| ShardEntry {
            name: listed.shard.name.clone(),
            weight: listed.weight,
            state: listed.state,
        };
        View {
            ring: ShardSet::new(shards.iter().map(member).collect()),
            shards,
            sharded: self.sharded,
        }
    }
}
