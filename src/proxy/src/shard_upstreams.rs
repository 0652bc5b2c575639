//! A worker's connection pools to the shards: web server, Prosody and visitor nodes of each.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Response, uri::Authority};

use crate::upstream::{
    FailureCounter, UpstreamBodyError, UpstreamError, UpstreamPool, UpstreamSettings,
};
use crate::{
    Body, RequestError, request_context::ContextError, respond::terminated,
    signalling::SignallingError, state::JitsiBackend,
};
use cluster::placement::{Move, Placement, Shard};
use model::{headers::X_JITSI_SHARD, query::ForwardedParameters, room::RoomKey, shard::ShardName};
use observe::metrics::{UpstreamKind, WorkerMetrics};

/// One worker's connection pools to one shard.
#[derive(Debug)]
pub(crate) struct ShardUpstreams {
    shard: Arc<Shard>,
    pub(crate) web: UpstreamPool,
    pub(crate) xmpp: UpstreamPool,
    /// None if Jicofo gets conference requests by XMPP only.
    pub(crate) jicofo: Option<UpstreamPool>,
    visitors: Vec<UpstreamPool>,
    /// Whether the deployment has shards; a single Jitsi has no name.
    named: bool,
}

/// One worker's connection pools to the shards that were needed so far.
#[derive(Debug)]
pub(crate) struct ShardPools {
    /// With `JaaS` there are no shards, and the paths of Jitsi do not exist.
    jitsi: Option<Arc<JitsiBackend>>,
    /// Connections in use to each server.
    most: usize,
    metrics: Arc<WorkerMetrics>,
    open: RefCell<Vec<Rc<ShardUpstreams>>>,
}

/// Why a server behind the gateway has no answer for a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardingError {
    /// It gave none.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// It gave one that makes no sense.
    #[error("the upstream answered with {0}")]
    Answer(&'static str),
    /// Its response, which is needed whole, broke off.
    #[error(transparent)]
    Body(#[from] UpstreamBodyError),
}

/// The room and the shard of an open connection.
#[derive(Clone, Debug)]
pub(crate) struct RoomShard {
    room: RoomKey,
    shard: ShardName,
}

// === impl ShardPools ===

impl ShardPools {
    pub(crate) fn new(
        jitsi: Option<Arc<JitsiBackend>>,
        most: usize,
        metrics: Arc<WorkerMetrics>,
    ) -> Self {
        Self {
            jitsi,
            most,
            metrics,
            open: RefCell::default(),
        }
    }

    /// Upstream for a room that the visitor may enter; pins the room to a shard.
    pub(crate) async fn of_room(&self, room: &RoomKey) -> Result<Rc<ShardUpstreams>, RequestError> {
        let shard = self.jitsi()?.placement.place(room).await;
        Ok(self.open(shard)?)
    }

    /// Upstream for the shard that has the room, or would get it; does not pin. None if its shard is
    /// no longer configured.
    pub(crate) fn locate(
        &self,
        room: &RoomKey,
    ) -> Result<Option<Rc<ShardUpstreams>>, ContextError> {
        let shard = self.jitsi()?.placement.locate(room);
        shard.map(|shard| self.open(shard)).transpose()
    }

    /// Upstream for requests that belong to no room.
    pub(crate) fn default_shard(&self) -> Result<Rc<ShardUpstreams>, ContextError> {
        let shard = self.jitsi()?.placement.default_shard();
        self.open(shard)
    }

    /// Whether Jicofo gets conference requests over HTTP: that of each shard does, or none.
    pub(crate) fn has_jicofo(&self) -> bool {
        self.default_shard()
            .is_ok_and(|upstreams| upstreams.jicofo.is_some())
    }

    /// Upstream for the shard where a BOSH stream was created; for the room's, if it was created
    /// before there were shards.
    pub(crate) async fn of_stream(
        &self,
        shard: Option<&str>,
        room: &RoomKey,
    ) -> Result<Rc<ShardUpstreams>, RequestError> {
        let Some(name) = shard else {
            return self.of_room(room).await;
        };
        let shard = self.jitsi()?.placement.shard_for_stream(name, room);
        let shard = shard.ok_or_else(|| SignallingError::Moved { room: room.clone() })?;
        Ok(self.open(shard)?)
    }

    /// The answer to a stream whose room has moved: Jitsi's client reconnects when the response names
    /// another shard than its own.
    pub(crate) fn start_again(&self, room: &RoomKey) -> Response<Body> {
        let mut answer = terminated("item-not-found");
        if let Ok(Some(upstreams)) = self.locate(room) {
            upstreams.set_shard_header(answer.headers_mut());
        }
        answer
    }

    /// Passes an upstream's outcome on; an error requests a probe of the shard.
    pub(crate) fn note_outcome<T>(
        &self,
        upstreams: &ShardUpstreams,
        answer: Result<T, UpstreamError>,
    ) -> Result<T, ForwardingError> {
        let is_busy = matches!(answer, Err(UpstreamError::Busy(_)));
        if let (Err(_), Ok(jitsi), false) = (&answer, self.jitsi(), is_busy) {
            jitsi.placement.request_probe(&upstreams.shard);
        }
        answer.map_err(ForwardingError::from)
    }

    fn jitsi(&self) -> Result<&JitsiBackend, ContextError> {
        self.jitsi.as_deref().ok_or(ContextError::NotFound)
    }

    fn open(&self, shard: Arc<Shard>) -> Result<Rc<ShardUpstreams>, ContextError> {
        let mut all = self.open.borrow_mut();
        if let Some(upstreams) = all
            .iter()
            .find(|upstreams| Arc::ptr_eq(&upstreams.shard, &shard))
        {
            return Ok(Rc::clone(upstreams));
        }
        let JitsiBackend {
            upstream,
            placement,
            ..
        } = self.jitsi()?;
        let view = placement.shard_map();
        // In-flight requests keep their `Rc` to a removed shard.
        all.retain(|upstreams| {
            let mut shards = view.shards().iter();
            shards.any(|listed| Arc::ptr_eq(&listed.shard, &upstreams.shard))
        });
        let upstreams = Rc::new(ShardUpstreams::new(
            shard,
            upstream,
            view.is_sharded(),
            self.most,
            &self.metrics,
        ));
        all.push(Rc::clone(&upstreams));
        Ok(upstreams)
    }
}

// === impl RoomShard ===

impl RoomShard {
    /// Whether a move affects the connection.
    pub(crate) fn is_left(&self, moved: &Move) -> bool {
        match moved {
            Move::From(from) => *from == self.shard,
            Move::Room(room, to) => *room == self.room && *to != self.shard,
        }
    }

    /// Whether the room is no longer on the shard.
    pub(crate) fn is_stale(&self, placement: &Placement) -> bool {
        let shard = placement.shard_for_stream(self.shard.as_str(), &self.room);
        shard.is_none()
    }
}

// === impl ShardUpstreams ===

impl ShardUpstreams {
    fn new(
        shard: Arc<Shard>,
        settings: &UpstreamSettings,
        named: bool,
        most: usize,
        metrics: &Arc<WorkerMetrics>,
    ) -> Self {
        let (connect_timeout, idle) = (settings.connect_timeout, settings.idle);
        let pool = |to: &Authority, kind| {
            let failures = FailureCounter::new(Arc::clone(metrics), kind);
            UpstreamPool::new(to.clone(), connect_timeout, idle, most, failures)
        };
        let place = &shard.endpoints;
        Self {
            web: pool(&place.web, UpstreamKind::Web),
            xmpp: pool(&place.xmpp, UpstreamKind::Xmpp),
            jicofo: place
                .jicofo
                .as_ref()
                .map(|jicofo| pool(jicofo, UpstreamKind::Jicofo)),
            visitors: place
                .visitors
                .iter()
                .map(|node| pool(&node.xmpp, UpstreamKind::Xmpp))
                .collect(),
            named,
            shard,
        }
    }

    /// The Prosody for a request: the visitor node that it names, if there is one of that name; else
    /// `vnode` is dropped.
    pub(crate) fn prosody_for(&self, query: &mut ForwardedParameters) -> &UpstreamPool {
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

    /// The address of Jitsi's web server.
    pub(crate) fn web_authority(&self) -> &Authority {
        &self.shard.endpoints.web
    }

    /// The name of the shard, if the deployment has shards.
    pub(crate) fn name(&self) -> Option<&ShardName> {
        self.named.then_some(&self.shard.name)
    }

    /// The room and shard of a connection over this upstream.
    pub(crate) fn room_shard(&self, room: &RoomKey) -> Option<RoomShard> {
        self.name().map(|shard| RoomShard {
            room: room.clone(),
            shard: shard.clone(),
        })
    }

    /// Names the room's shard to Jitsi's client, which reconnects when it changes.
    pub(crate) fn set_shard_header(&self, headers: &mut HeaderMap<HeaderValue>) {
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
            PlacementContext, PlacementSettings, ShardEndpoints, ShardSettings, VisitorNode,
        },
        store::MemoryStore,
    };
    use model::query::SignallingQuery;
    use model::{clock::Clock, random::Random, shard::ShardState};
    use observe::metrics::ShardMetrics;

    fn upstreams() -> ShardUpstreams {
        let at = |address: &str| address.parse().unwrap();
        let shard = ShardSettings {
            name: ShardName::parse("s1").unwrap(),
            weight: 100,
            state: ShardState::Ready,
            endpoints: ShardEndpoints {
                web: at("web:80"),
                jicofo: None,
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
        let settings = UpstreamSettings {
            web: at("web:80"),
            xmpp: at("prosody:5280"),
            jicofo: None,
            xmpp_domain: "meet.jitsi".to_owned(),
            connect_timeout: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            web_timeout: Duration::from_secs(1),
            bosh_timeout: Duration::from_secs(1),
        };
        let shard = placement.default_shard();
        ShardUpstreams::new(shard, &settings, true, 8, &Arc::default())
    }

    #[test]
    fn a_move_affects_connections_of_its_room_or_of_its_old_shard() {
        let name = |name: &str| ShardName::parse(name).unwrap();
        let room = |name: &str| RoomKey::from_text(name).unwrap();
        let room_shard = upstreams().room_shard(&room("x")).unwrap();
        for (moved, left) in [
            (Move::From(name("s1")), true),
            (Move::From(name("s2")), false),
            (Move::Room(room("x"), name("s2")), true),
            (Move::Room(room("x"), name("s1")), false),
            (Move::Room(room("y"), name("s2")), false),
        ] {
            assert_eq!(room_shard.is_left(&moved), left, "{moved:?}");
        }
    }

    #[test]
    fn only_a_visitor_node_that_there_is_leads_to_another_prosody() {
        let upstreams = upstreams();
        for (raw, sent, at) in [
            ("room=x&vnode=v0", "room=x&vnode=v0", "visitors:5280"),
            ("room=x&vnode=v1", "room=x", "prosody:5280"),
            ("room=x", "room=x", "prosody:5280"),
        ] {
            let query = SignallingQuery::parse(None, raw).unwrap();
            let mut parameters = query.forwarded;
            let pool = upstreams.prosody_for(&mut parameters);
            assert!(format!("{pool:?}").contains(at), "{raw}: {pool:?}");
            assert_eq!(parameters.with_room(&query.room), sent);
        }
    }
}
