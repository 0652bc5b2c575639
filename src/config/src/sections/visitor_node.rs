//! `[[upstream.visitor]]` and `[[shard.visitor]]`: Prosody instances for Jitsi's visitors.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault, values::parse_http_authority};
use cluster::placement::VisitorNode;
use model::shard::ShardName;

/// A Prosody for view-only occupants, to which Jicofo redirects clients by name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "xmpp"]))]
pub(super) struct RawVisitorNode {
    /// The name that Jicofo gives it (`vnode`). Signalling requests with an unknown `vnode` go to
    /// the main Prosody.
    #[schemars(example = &"v0")]
    name: Option<String>,
    /// The URL of its HTTP port.
    #[schemars(example = "http://visitors-1:5280")]
    xmpp: Option<String>,
}

/// Resolves the list `visitor` of a section.
pub(super) fn resolve(
    nodes: Vec<RawVisitorNode>,
    section: &mut Section<'_>,
) -> Option<Vec<VisitorNode>> {
    section.resolve_list("visitor", nodes, |raw, section| {
        let name = section.parse("name", raw.name, parse_node_name);
        let xmpp = section.parse("xmpp", raw.xmpp, parse_http_authority);
        Some(VisitorNode {
            name: String::from(name?),
            xmpp: xmpp?,
        })
    })
}

fn parse_node_name(text: &str) -> Result<ShardName, Fault> {
    ShardName::parse(text).map_err(|_| {
        let remedy = "write letters, digits, dashes or underscores, as v0";
        Fault::new(format!("{text:?} is not a node name"), remedy)
    })
}
