//! `[[shard]]`: several Jitsis behind one gateway.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::upstream::{Meant, RawUpstream};
use crate::{
    problem::{Fault, Section},
    values::http_authority,
};
use cluster::placement::{Place, Settings, ShardSettings, VisitorNode};
use model::shard::{ShardName, State};
use proxy::upstream;

/// One of several sets of web server, Prosody and Jicofo: each room is on one of them. Instead of
/// `web` and `xmpp` in `[upstream]`, which says what they have in common. A reload adds, changes and
/// removes shards.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "web", "xmpp"]))]
pub(super) struct RawShard {
    /// Its name in `X-Jitsi-Shard`, logs and metrics: letters, digits, `-` and `_`. The same as what
    /// this set says itself (`DEPLOYMENTINFO_SHARD`), if it says something.
    #[schemars(example = &"s1")]
    name: Option<String>,
    /// Its web server.
    #[schemars(example = "http://web-1:8000")]
    web: Option<String>,
    /// Its Prosody's HTTP port.
    #[schemars(example = "http://prosody-1:5280")]
    xmpp: Option<String>,
    /// Its share of new rooms, relative to the others'.
    #[schemars(range(min = 1, max = 10_000))]
    weight: u32,
    /// `ready` for new rooms, `drain` for those that are there only, or `down`: what is there begins
    /// again elsewhere. What an operator sets on the admin listener counts more.
    state: RawState,
    /// Its Prosodys for people who only watch.
    visitor: Vec<RawVisitor>,
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawState {
    Ready,
    Drain,
    Down,
}

/// A Prosody for people who only watch, to which Jicofo sends them by name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "xmpp"]))]
pub(super) struct RawVisitor {
    /// What Jicofo calls it (`vnode`); signalling that names another goes to the main Prosody.
    #[schemars(example = &"v0")]
    name: Option<String>,
    /// Its HTTP port.
    #[schemars(example = "http://visitors-1:5280")]
    xmpp: Option<String>,
}

/// Reads what Jitsi there is, in one set or several.
pub(super) fn resolve(
    mut raw: RawUpstream,
    shards: Vec<RawShard>,
    root: &mut Section<'_>,
) -> Option<(upstream::UpstreamSettings, Settings)> {
    if shards.is_empty() && !root.is_settled("shard") {
        let visitors = raw.visitors();
        let mut section = root.table("upstream");
        let visitors = visitor_nodes(visitors, &mut section);
        let upstream = raw.resolve(Meant::Whole, &mut section)?;
        let shard = ShardSettings {
            name: ShardName::parse(ONLY).expect("the name is one"),
            weight: WEIGHT,
            state: State::Ready,
            place: Place {
                web: upstream.web.clone(),
                xmpp: upstream.xmpp.clone(),
                visitors: visitors?,
            },
        };
        let settings = Settings {
            shards: vec![shard],
            sharded: false,
        };
        return Some((upstream, settings));
    }
    let mut names = HashSet::new();
    let mut resolve = |(position, raw): (usize, RawShard)| {
        let mut section = root.entry("shard", position);
        let settings = raw.resolve(&mut section)?;
        if !names.insert(settings.name.clone()) {
            let remedy = "give each shard a name of its own";
            section.reject(
                "name",
                format!("{:?} is there twice", settings.name.as_str()),
                remedy,
            );
        }
        Some(settings)
    };
    let shards: Vec<_> = (1..).zip(shards).map(&mut resolve).collect();
    let shards: Option<Vec<ShardSettings>> = shards.into_iter().collect();
    let first = shards.as_ref().and_then(|shards| shards.first());
    let upstream = raw.resolve(
        Meant::Shared(first.map(|first| &first.place)),
        &mut root.table("upstream"),
    );
    let shards = shards?;
    Some((
        upstream?,
        Settings {
            shards,
            sharded: true,
        },
    ))
}

// === impl RawShard ===

impl RawShard {
    fn resolve(self, section: &mut Section<'_>) -> Option<ShardSettings> {
        let name = self.name.and_then(|text| {
            let name = ShardName::parse(&text);
            let remedy = "write 1 to 64 letters, digits, dashes or underscores";
            let fault = |_| Fault::new(format!("{text:?} is not a shard's name"), remedy);
            section.keep("name", name.map_err(fault))
        });
        let mut origin = |key: &str, text: Option<String>| {
            text.and_then(|text| section.keep(key, http_authority(&text)))
        };
        let web = origin("web", self.web);
        let xmpp = origin("xmpp", self.xmpp);
        let weight = if (1..=MAX_WEIGHT).contains(&self.weight) {
            Some(self.weight)
        } else {
            let remedy = format!(
                "write a number from 1 to {MAX_WEIGHT}; to keep rooms away, write state = \"drain\""
            );
            section.reject("weight", format!("{} is out of range", self.weight), remedy);
            None
        };
        let visitors = visitor_nodes(self.visitor, section);
        Some(ShardSettings {
            name: name?,
            weight: weight?,
            state: match self.state {
                RawState::Ready => State::Ready,
                RawState::Drain => State::Drain,
                RawState::Down => State::Down,
            },
            place: Place {
                web: web?,
                xmpp: xmpp?,
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
            weight: WEIGHT,
            state: RawState::Ready,
            visitor: Vec::new(),
        }
    }
}

fn visitor_nodes(raw: Vec<RawVisitor>, section: &mut Section<'_>) -> Option<Vec<VisitorNode>> {
    let nodes: Vec<_> = (1..)
        .zip(raw)
        .map(|(position, raw)| {
            let mut section = section.entry("visitor", position);
            let name = raw.name.and_then(|text| {
                let remedy = "write letters, digits, dashes or underscores, as v0";
                let fault = |_| Fault::new(format!("{text:?} is not a node's name"), remedy);
                section.keep("name", ShardName::parse(&text).map_err(fault))
            });
            let xmpp = raw.xmpp;
            let xmpp = xmpp.and_then(|text| section.keep("xmpp", http_authority(&text)));
            Some(VisitorNode {
                name: String::from(name?),
                xmpp: xmpp?,
            })
        })
        .collect();
    nodes.into_iter().collect()
}

/// The name of the one Jitsi where there are no shards; nobody sees it.
const ONLY: &str = "jitsi";

/// So that shards can be made lighter and heavier.
const WEIGHT: u32 = 100;

/// Beyond this a weight is a mistake.
const MAX_WEIGHT: u32 = 10_000;
