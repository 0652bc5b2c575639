//! `[[shard]]`: several Jitsi deployments behind one gateway.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    upstream::{RawUpstream, UpstreamRole, parse_jicofo},
    visitor_node::{self, RawVisitorNode},
};
use crate::{diagnostics::Section, problem::Fault, values::parse_http_authority};
use cluster::placement::{PlacementSettings, ShardEndpoints, ShardSettings};
use model::shard::{ShardName, ShardState};
use proxy::upstream;

/// A set of web server, Prosody and Jicofo; each room is on one shard. With shards, `[upstream]` has
/// only the keys that they have in common, without `web` and `xmpp`. A reload adds, changes and
/// removes shards.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "web", "xmpp"]))]
pub(super) struct RawShard {
    /// The name in `X-Jitsi-Shard`, logs and metrics: letters, digits, `-` and `_`. It has to equal
    /// the shard's own `DEPLOYMENTINFO_SHARD`, if that is set.
    #[schemars(example = &"s1")]
    name: Option<String>,
    /// The URL of the web server.
    #[schemars(example = "http://web-1:8000")]
    web: Option<String>,
    /// The URL of Prosody's HTTP port.
    #[schemars(example = "http://prosody-1:5280")]
    xmpp: Option<String>,
    /// The URL of Jicofo's HTTP port, as `upstream.jicofo` of a single Jitsi: each shard has it, or none.
    #[schemars(example = "http://jicofo-1:8888")]
    jicofo: Option<String>,
    /// The share of new rooms, relative to the weights of the other shards.
    #[schemars(range(min = 1, max = 10_000))]
    weight: u32,
    /// `ready` accepts new rooms, `drain` keeps only its current rooms, and the rooms of a shard that
    /// is `down` start again on another shard. A state set on the admin listener takes precedence.
    state: RawState,
    /// Prosody instances for view-only occupants.
    visitor: Vec<RawVisitorNode>,
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawState {
    Ready,
    Drain,
    Down,
}

/// The upstream and its shards.
pub(super) struct Shards {
    /// The common settings, with the addresses of the first shard.
    pub(super) upstream: upstream::UpstreamSettings,
    pub(super) placement: PlacementSettings,
}

/// Resolves `[upstream]` and `[[shard]]` together; without shards, the upstream is the only one.
pub(super) fn resolve(
    upstream: RawUpstream,
    shards: Vec<RawShard>,
    root: &mut Section<'_>,
) -> Option<Shards> {
    if shards.is_empty() && !root.is_reported("shard") {
        resolve_unsharded(upstream, &mut root.table("upstream"))
    } else {
        resolve_sharded(upstream, shards, root)
    }
}

fn resolve_unsharded(mut raw: RawUpstream, section: &mut Section<'_>) -> Option<Shards> {
    let visitors = visitor_node::resolve(raw.take_visitor_nodes(), section);
    let upstream = raw.resolve(UpstreamRole::Only, section)?;
    let shard = ShardSettings {
        // Infallible: five letters are a shard name.
        name: ShardName::parse(UNSHARDED_NAME).expect("a valid shard name"),
        weight: DEFAULT_WEIGHT,
        state: ShardState::Ready,
        endpoints: ShardEndpoints {
            web: upstream.web.clone(),
            xmpp: upstream.xmpp.clone(),
            jicofo: upstream.jicofo.clone(),
            visitors: visitors?,
        },
    };
    Some(Shards {
        upstream,
        placement: PlacementSettings {
            shards: vec![shard],
            sharded: false,
        },
    })
}

fn resolve_sharded(
    raw: RawUpstream,
    shards: Vec<RawShard>,
    root: &mut Section<'_>,
) -> Option<Shards> {
    let mut names = HashSet::new();
    let shards = root.resolve_list("shard", shards, |raw, section| {
        let shard = raw.resolve(section)?;
        if !names.insert(shard.name.clone()) {
            let what = format!("{:?} is the name of another shard", shard.name.as_str());
            section.reject("name", what, "give each shard its own name");
        }
        Some(shard)
    });
    reject_partial_jicofo(shards.as_deref().unwrap_or_default(), root);
    let first = shards.as_ref().and_then(|shards| shards.first());
    let role = UpstreamRole::Common(first.map(|first| &first.endpoints));
    let upstream = raw.resolve(role, &mut root.table("upstream"));
    let placement = PlacementSettings {
        shards: shards?,
        sharded: true,
    };
    Some(Shards {
        upstream: upstream?,
        placement,
    })
}

/// One page serves rooms of all shards, so either all clients ask Jicofo over HTTP or none.
fn reject_partial_jicofo(shards: &[ShardSettings], root: &mut Section<'_>) {
    let has = |shard: &&ShardSettings| shard.endpoints.jicofo.is_some();
    let without = shards.iter().find(|shard| !has(shard));
    if let (Some(with), Some(without)) = (shards.iter().find(has), without) {
        let what = format!(
            "{:?} has jicofo and {:?} has not",
            with.name.as_str(),
            without.name.as_str()
        );
        root.reject("shard", what, "add jicofo to each shard, or remove it");
    }
}

// === impl RawShard ===

impl RawShard {
    fn resolve(self, section: &mut Section<'_>) -> Option<ShardSettings> {
        let name = section.parse("name", self.name, parse_shard_name);
        let web = section.parse("web", self.web, parse_http_authority);
        let xmpp = section.parse("xmpp", self.xmpp, parse_http_authority);
        let jicofo = parse_jicofo(self.jicofo, section);
        let weight = section.keep("weight", check_weight(self.weight));
        let visitors = visitor_node::resolve(self.visitor, section);
        Some(ShardSettings {
            name: name?,
            weight: weight?,
            state: self.state.into(),
            endpoints: ShardEndpoints {
                web: web?,
                xmpp: xmpp?,
                jicofo: jicofo.ok()?,
                visitors: visitors?,
            },
        })
    }
}

impl Default for RawShard {
    fn default() -> Self {
        Self {
            name: None,
            web: None,
            xmpp: None,
            jicofo: None,
            weight: DEFAULT_WEIGHT,
            state: RawState::Ready,
            visitor: Vec::new(),
        }
    }
}

// === impl RawState ===

impl From<RawState> for ShardState {
    fn from(raw: RawState) -> Self {
        match raw {
            RawState::Ready => Self::Ready,
            RawState::Drain => Self::Drain,
            RawState::Down => Self::Down,
        }
    }
}

fn parse_shard_name(text: &str) -> Result<ShardName, Fault> {
    ShardName::parse(text).map_err(|_| {
        let remedy = "write 1 to 64 letters, digits, dashes or underscores";
        Fault::new(format!("{text:?} is not a shard name"), remedy)
    })
}

fn check_weight(weight: u32) -> Result<u32, Fault> {
    if (1..=MAX_WEIGHT).contains(&weight) {
        return Ok(weight);
    }
    let remedy = format!(
        "write a number from 1 to {MAX_WEIGHT}; to accept no new rooms, write state = \"drain\""
    );
    Err(Fault::new(format!("{weight} is out of range"), remedy))
}

/// The internal name of the only upstream; it appears in no header, log or metric.
const UNSHARDED_NAME: &str = "jitsi";

/// In the middle of the range, so that single shards can have less or more.
const DEFAULT_WEIGHT: u32 = 100;

/// Larger weights are assumed to be mistakes.
const MAX_WEIGHT: u32 = 10_000;
