//! A worker's ways to the Jitsis behind the gateway, one for each shard.

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Response};

use super::{Body, Failure, Worker, failure::terminated, shared::Behind};
use crate::upstream::{self, Pool, SendError};
use cluster::placement::{Move, Shard};
use model::{headers::X_JITSI_SHARD, query::SignallingQuery, room::RoomKey, shard::ShardName};

/// One worker's connections to one shard.
#[derive(Debug)]
pub(super) struct Ways {
    shard: Arc<Shard>,
    pub(super) web: Pool,
    pub(super) xmpp: Pool,
    visitors: Vec<Pool>,
    /// There are shards; else there is one Jitsi, which has no name here.
    named: bool,
}

/// Where something is open: in which room, on which shard.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    room: RoomKey,
    shard: ShardName,
}

// === impl Worker ===

impl Worker {
    /// The way to the shard of a room in which somebody was let.
    pub(super) async fn way_to(&self, room: &RoomKey) -> Result<Rc<Ways>, Failure> {
        let shard = self.jitsi()?.placement.place(room).await;
        self.ways(shard)
    }

    /// The way to where a room is or would begin, of which nothing is known but the address; none
    /// if its shard is not configured any more.
    pub(super) fn way_towards(&self, room: &RoomKey) -> Result<Option<Rc<Ways>>, Failure> {
        let shard = self.jitsi()?.placement.locate(room);
        shard.map(|shard| self.ways(shard)).transpose()
    }

    /// The way for what belongs to no room.
    pub(super) fn common_way(&self) -> Result<Rc<Ways>, Failure> {
        let shard = self.jitsi()?.placement.default_shard();
        self.ways(shard)
    }

    /// The way to where a stream was made; to the room's, if there were no shards then.
    pub(super) async fn way_of_stream(
        &self,
        shard: Option<&str>,
        room: &RoomKey,
    ) -> Result<Rc<Ways>, Failure> {
        let Some(name) = shard else {
            return self.way_to(room).await;
        };
        let shard = self.jitsi()?.placement.shard_for_stream(name, room);
        self.ways(shard.ok_or_else(|| Failure::Moved { room: room.clone() })?)
    }

    /// The answer to a stream whose room is elsewhere now: Jitsi's client begins again when it reads
    /// another shard than its own with it.
    pub(super) fn start_again(&self, room: &RoomKey) -> Response<Body> {
        let mut answer = terminated("item-not-found");
        if let Ok(Some(ways)) = self.way_towards(room) {
            ways.mark(answer.headers_mut());
        }
        answer
    }

    /// What an upstream answered; one that cannot be reached is looked at now.
    pub(super) fn heard<T>(&self, ways: &Ways, answer: Result<T, SendError>) -> Result<T, Failure> {
        if let (Err(_), Ok(Behind { placement, .. })) = (&answer, self.jitsi()) {
            placement.request_probe(&ways.shard);
        }
        answer.map_err(Failure::from)
    }

    /// Ends what is open where it may not stay.
    pub fn end_moved(&self, moved: &Move) {
        self.live.end_moved(|spot| spot.is_left(moved));
    }

    /// The same, when it is not known what has moved.
    pub fn end_all_moved(&self) {
        let Ok(Behind { placement, .. }) = self.jitsi() else {
            return;
        };
        self.live.end_moved(|spot| {
            placement
                .shard_for_stream(spot.shard.as_str(), &spot.room)
                .is_none()
        });
    }

    fn ways(&self, shard: Arc<Shard>) -> Result<Rc<Ways>, Failure> {
        let mut all = self.ways.borrow_mut();
        if let Some(ways) = all.iter().find(|ways| Arc::ptr_eq(&ways.shard, &shard)) {
            return Ok(Rc::clone(ways));
        }
        let Behind {
            upstream,
            placement,
            ..
        } = self.jitsi()?;
        let view = placement.shard_map();
        // Whoever is under way to a shard that is gone has its ways.
        all.retain(|ways| {
            let mut shards = view.shards().iter();
            shards.any(|listed| Arc::ptr_eq(&listed.shard, &ways.shard))
        });
        let ways = Rc::new(Ways::new(shard, upstream, view.is_sharded()));
        all.push(Rc::clone(&ways));
        Ok(ways)
    }
}

// === impl Spot ===

impl Spot {
    /// Whether what is open there may not stay.
    fn is_left(&self, moved: &Move) -> bool {
        match moved {
            Move::From(from) => *from == self.shard,
            Move::Room(room, to) => *room == self.room && *to != self.shard,
        }
    }
}

// === impl Ways ===

impl Ways {
    fn new(shard: Arc<Shard>, settings: &upstream::Settings, named: bool) -> Self {
        let pool = |to: &http::uri::Authority| {
            Pool::new(to.clone(), settings.connect_timeout, settings.idle)
        };
        let place = &shard.endpoints;
        Self {
            web: pool(&place.web),
            xmpp: pool(&place.xmpp),
            visitors: place.visitors.iter().map(|node| pool(&node.xmpp)).collect(),
            named,
            shard,
        }
    }

    /// The Prosody for a query: a visitor node, if it names one that there is; else what it names
    /// is dropped.
    pub(super) fn prosody_for(&self, query: &mut SignallingQuery) -> &Pool {
        let nodes = self.shard.endpoints.visitors.iter().zip(&self.visitors);
        let named = query.visitor_node();
        let known = nodes
            .filter(|(node, _)| named.is_some_and(|named| node.name == named))
            .map(|(_, pool)| pool)
            .next();
        if known.is_none() {
            query.drop_visitor_node();
        }
        known.unwrap_or(&self.xmpp)
    }

    /// The name of the shard, where there are shards.
    pub(super) fn name(&self) -> Option<&ShardName> {
        self.named.then_some(&self.shard.name)
    }

    /// Where something of a room is open that goes this way.
    pub(super) fn spot(&self, room: &RoomKey) -> Option<Spot> {
        self.name().map(|shard| Spot {
            room: room.clone(),
            shard: shard.clone(),
        })
    }

    /// Tells Jitsi's client which shard its room is on: when that changes, it connects anew.
    pub(super) fn mark(&self, headers: &mut HeaderMap<HeaderValue>) {
        if self.named {
            headers.insert(X_JITSI_SHARD, self.shard.header.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use cluster::{
        placement::{
            Placement, PlacementContext, PlacementSettings, ShardEndpoints, ShardSettings,
            VisitorNode,
        },
        store::MemoryStore,
    };
    use model::{clock::Clock, random::Random, shard::State};
    use observe::metrics::ShardMetrics;

    fn ways() -> Ways {
        let at = |address: &str| address.parse().unwrap();
        let shard = ShardSettings {
            name: ShardName::parse("s1").unwrap(),
            weight: 100,
            state: State::Ready,
            endpoints: ShardEndpoints {
                web: at("web:80"),
                xmpp: at("prosody:5280"),
                visitors: vec![VisitorNode {
                    name: "v0".to_owned(),
                    xmpp: at("visitors:5280"),
                }],
            },
        };
        let settings = PlacementSettings {
            shards: vec![shard],
            sharded: true,
        };
        let context = PlacementContext {
            clock: Clock::system(),
            random: Random::system(),
            store: Arc::new(MemoryStore::new()),
            metrics: ShardMetrics::default(),
        };
        let (placement, _sync) = Placement::new(settings, "meet.jitsi", context);
        let settings = upstream::Settings {
            web: at("web:80"),
            xmpp: at("prosody:5280"),
            xmpp_domain: "meet.jitsi".to_owned(),
            connect_timeout: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            web_timeout: Duration::from_secs(1),
            bosh_timeout: Duration::from_secs(1),
        };
        Ways::new(placement.default_shard(), &settings, true)
    }

    #[test]
    fn what_moves_is_what_is_elsewhere_in_the_room_or_on_the_shard_that_is_left() {
        let name = |name: &str| ShardName::parse(name).unwrap();
        let room = |name: &str| RoomKey::from_text(name).unwrap();
        let spot = ways().spot(&room("x")).unwrap();
        for (moved, left) in [
            (Move::From(name("s1")), true),
            (Move::From(name("s2")), false),
            (Move::Room(room("x"), name("s2")), true),
            (Move::Room(room("x"), name("s1")), false),
            (Move::Room(room("y"), name("s2")), false),
        ] {
            assert_eq!(spot.is_left(&moved), left, "{moved:?}");
        }
    }

    #[test]
    fn only_a_visitor_node_that_there_is_leads_to_another_prosody() {
        let ways = ways();
        for (raw, sent, at) in [
            ("room=x&vnode=v0", "room=x&vnode=v0", "visitors:5280"),
            ("room=x&vnode=v1", "room=x", "prosody:5280"),
            ("room=x", "room=x", "prosody:5280"),
        ] {
            let mut query = SignallingQuery::parse(raw).unwrap();
            let pool = ways.prosody_for(&mut query);
            assert!(format!("{pool:?}").contains(at), "{raw}: {pool:?}");
            assert_eq!(query.for_prosody(None), sent);
        }
    }
}
