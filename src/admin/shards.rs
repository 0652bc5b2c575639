//! `/shards`: what shards there are, and an operator's word on their states.
//!
//! Whoever reads the admin listener may see the states. Only somebody on this machine may set them
//! (which is what `kubectl port-forward` is, too), and no page in a browser, which always says
//! where it comes from: a word here moves meetings.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, PLAIN, text};
use crate::{
    placement::{Listed, Placement, View},
    shard::State,
};

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
        let Some(placement) = placement.filter(|placement| placement.view().is_sharded()) else {
            return refused(StatusCode::NOT_FOUND, "there are no shards");
        };
        let path = request.uri().path().to_owned();
        let name = path.strip_prefix("/shards").unwrap_or_default();
        match (request.method().clone(), name.strip_prefix('/')) {
            (Method::GET | Method::HEAD, None) => told(&placement.view()),
            (Method::POST, Some(name)) => set(placement, name, request, peer).await,
            _ => refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /shards or POST /shards/NAME",
            ),
        }
    }
}

/// What `/readyz` says of shards, and the reasons not to be content.
pub(super) fn readiness(view: &View) -> (Value, Vec<String>) {
    let states = view.shards().iter();
    let states = states.map(|listed| (listed.shard.name.to_string(), listed.state.as_str().into()));
    let lost = view.shards().iter().filter(|listed| listed.lost);
    let reason = |listed: &Listed| {
        format!(
            "shard {}: no replica reaches its Prosody at {}",
            listed.shard.name, listed.shard.place.xmpp
        )
    };
    let shards = json!({
        "ring": view.ring().fingerprint(),
        "states": Value::Object(states.collect()),
    });
    (shards, lost.map(reason).collect())
}

fn told(view: &View) -> Response<Full<Bytes>> {
    let shards: Vec<Value> = view.shards().iter().map(describe).collect();
    let body = json!({ "ring": view.ring().fingerprint(), "shards": shards });
    text(StatusCode::OK, "application/json", format!("{body:#}\n"))
}

fn describe(listed: &Listed) -> Value {
    json!({
        "name": listed.shard.name,
        "weight": listed.weight,
        "state": listed.state,
        "configured": listed.configured,
        "ordered": listed.ordered,
        "reached": !listed.lost,
    })
}

async fn set(
    placement: &Placement,
    name: &str,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Full<Bytes>> {
    if !peer.to_canonical().is_loopback() {
        let why = "states are set from this machine only; kubectl port-forward will do";
        return refused(StatusCode::FORBIDDEN, why);
    }
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return refused(StatusCode::FORBIDDEN, "states are not set by pages");
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return refused(
            StatusCode::BAD_REQUEST,
            "the body is too large or did not come",
        );
    };
    let wanted = serde_json::from_slice(&body.to_bytes()).ok();
    let state = match wanted.as_ref().map(|Wanted { state }| state.as_str()) {
        Some(CONFIGURED) => None,
        Some(word) if State::parse(word).is_some() => State::parse(word),
        _ => return refused(StatusCode::BAD_REQUEST, HOW),
    };
    match placement.order(name, state) {
        Ok(()) => told(&placement.view()),
        Err(error) => refused(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    text(status, PLAIN, format!("{why}\n"))
}

/// Back to what the configuration says.
const CONFIGURED: &str = "configured";

const HOW: &str = r#"write {"state": "ready"}, "drain", "down" or "configured""#;

const MAX_BODY: usize = 1024;
