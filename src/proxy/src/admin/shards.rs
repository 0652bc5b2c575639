//! `/shards`: the states of shards, and overrides of them by operators.
//!
//! `GET` is open to any client of the admin listener. `POST /shards/NAME` moves meetings, so it is a
//! request of an operator.

use bytes::Bytes;
use cluster::placement::{Placement, ShardMap, ShardStatus};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use model::{headers::PeerAddr, shard::ShardState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AdminServer, JSON,
    operator_request::{self, refusal},
    text,
};

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardRequest {
    /// A state, or [`CONFIGURED`].
    state: String,
}

// === impl AdminServer ===

impl AdminServer {
    /// Answers a request to `/shards` or below.
    pub(super) async fn shards(
        &self,
        request: Request<Incoming>,
        peer: PeerAddr,
    ) -> Response<Full<Bytes>> {
        let placement = self.placement.as_ref();
        let Some(placement) = placement.filter(|placement| placement.shard_map().is_sharded())
        else {
            return refusal(StatusCode::NOT_FOUND, "no shards are configured");
        };
        let path = request.uri().path().to_owned();
        let name = path.strip_prefix("/shards").unwrap_or_default();
        match (request.method().clone(), name.strip_prefix('/')) {
            (Method::GET | Method::HEAD, None) => list(&placement.shard_map()),
            (Method::POST, Some(name)) => override_state(placement, name, request, peer).await,
            _ => refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /shards or POST /shards/NAME",
            ),
        }
    }
}

/// The part of `/readyz` about shards, and a reason for each unreachable one.
pub(super) fn readiness(view: &ShardMap) -> (Value, Vec<String>) {
    let states = view
        .shards()
        .iter()
        .map(|listed| (listed.shard.name.to_string(), listed.state.as_str().into()))
        .collect();
    let unreachable = view
        .shards()
        .iter()
        .filter(|listed| listed.lost)
        .map(|listed| {
            let (name, address) = (&listed.shard.name, &listed.shard.endpoints.xmpp);
            format!("shard {name}: no replica reaches its Prosody at {address}")
        })
        .collect();
    let shards = json!({
        "ring": view.ring().fingerprint(),
        "states": Value::Object(states),
    });
    (shards, unreachable)
}

fn list(view: &ShardMap) -> Response<Full<Bytes>> {
    let shards: Vec<Value> = view.shards().iter().map(to_json).collect();
    let body = json!({ "ring": view.ring().fingerprint(), "shards": shards });
    text(StatusCode::OK, JSON, format!("{body:#}\n"))
}

fn to_json(listed: &ShardStatus) -> Value {
    json!({
        "name": listed.shard.name,
        "weight": listed.weight,
        "state": listed.state,
        "configured": listed.configured,
        "ordered": listed.override_state,
        "reached": !listed.lost,
    })
}

async fn override_state(
    placement: &Placement,
    name: &str,
    request: Request<Incoming>,
    peer: PeerAddr,
) -> Response<Full<Bytes>> {
    let ShardRequest { state } = match operator_request::parse(request, peer, USAGE).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let state = match ShardState::parse(&state) {
        None if state != CONFIGURED => return refusal(StatusCode::BAD_REQUEST, USAGE),
        state => state,
    };
    match placement.set_override(name, state) {
        Ok(()) => list(&placement.shard_map()),
        Err(error) => refusal(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

/// Removes the override.
const CONFIGURED: &str = "configured";

const USAGE: &str = r#"the body is {"state": "ready"}, "drain", "down" or "configured""#;
