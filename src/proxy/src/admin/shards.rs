//! `/shards`: what shards there are, and an operator's word on their states.
//!
//! Whoever reads the admin listener may see the states; setting one moves meetings and is an order.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin,
    order::{self, refused},
    text,
};
use cluster::placement::{Placement, ShardMap, ShardStatus};
use model::shard::ShardState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: String,
}

// === impl Admin ===

impl Admin {
    /// Answers a request below `/shards`.
    pub(super) async fn shards(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        let placement = self.placement.as_ref();
        let Some(placement) = placement.filter(|placement| placement.shard_map().is_sharded())
        else {
            return refused(StatusCode::NOT_FOUND, "there are no shards");
        };
        let path = request.uri().path().to_owned();
        let name = path.strip_prefix("/shards").unwrap_or_default();
        match (request.method().clone(), name.strip_prefix('/')) {
            (Method::GET | Method::HEAD, None) => told(&placement.shard_map()),
            (Method::POST, Some(name)) => set(placement, name, request, peer).await,
            _ => refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /shards or POST /shards/NAME",
            ),
        }
    }
}

/// What `/readyz` says of shards, and the reasons not to be content.
pub(super) fn readiness(view: &ShardMap) -> (Value, Vec<String>) {
    let states = view.shards().iter();
    let states = states.map(|listed| (listed.shard.name.to_string(), listed.state.as_str().into()));
    let lost = view.shards().iter().filter(|listed| listed.lost);
    let reason = |listed: &ShardStatus| {
        format!(
            "shard {}: no replica reaches its Prosody at {}",
            listed.shard.name, listed.shard.endpoints.xmpp
        )
    };
    let shards = json!({
        "ring": view.ring().fingerprint(),
        "states": Value::Object(states.collect()),
    });
    (shards, lost.map(reason).collect())
}

fn told(view: &ShardMap) -> Response<Full<Bytes>> {
    let shards: Vec<Value> = view.shards().iter().map(describe).collect();
    let body = json!({ "ring": view.ring().fingerprint(), "shards": shards });
    text(StatusCode::OK, "application/json", format!("{body:#}\n"))
}

fn describe(listed: &ShardStatus) -> Value {
    json!({
        "name": listed.shard.name,
        "weight": listed.weight,
        "state": listed.state,
        "configured": listed.configured,
        "ordered": listed.override_state,
        "reached": !listed.lost,
    })
}

async fn set(
    placement: &Placement,
    name: &str,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Full<Bytes>> {
    let wanted: Wanted = match order::read(request, peer, HOW).await {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    let state = match ShardState::parse(&wanted.state) {
        None if wanted.state != CONFIGURED => return refused(StatusCode::BAD_REQUEST, HOW),
        state => state,
    };
    match placement.set_override(name, state) {
        Ok(()) => told(&placement.shard_map()),
        Err(error) => refused(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

/// Back to what the configuration says.
const CONFIGURED: &str = "configured";

const HOW: &str = r#"write {"state": "ready"}, "drain", "down" or "configured""#;
