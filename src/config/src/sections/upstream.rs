//! `[upstream]`: Jitsi's web server and Prosody.

use http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Reported, visitor_node::RawVisitorNode};
use crate::{
    diagnostics::Section,
    values::{DurationText, HOUR, MINUTE, parse_domain, parse_http_authority, seconds},
};
use cluster::placement::ShardEndpoints;
use proxy::upstream::UpstreamSettings;

/// Jitsi's web server and Prosody; with `[[shard]]`, the keys that all shards have in common.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["xmpp_domain"]))]
pub(super) struct RawUpstream {
    /// The URL of Jitsi's web server; required unless there are shards.
    #[schemars(example = "http://web:8000")]
    web: Option<String>,
    /// The URL of Prosody's HTTP port. Connect to it directly, so that no other proxy sees tokens.
    /// Required unless there are shards.
    #[schemars(example = "http://prosody:5280")]
    xmpp: Option<String>,
    /// The URL of Jicofo's HTTP port, if `config.js` has a `conferenceRequestUrl`: clients then ask
    /// Jicofo there to open their room. Without it the option is removed from the page, and clients ask
    /// over XMPP. With `[[shard]]` it is a key of each shard.
    #[schemars(example = "http://jicofo:8888")]
    jicofo: Option<String>,
    /// Prosody's main `VirtualHost`.
    #[schemars(example = "meet.jitsi")]
    xmpp_domain: Option<String>,
    /// The timeout for connecting.
    connect_timeout: DurationText,
    /// The timeout for the web server's response headers.
    web_timeout: DurationText,
    /// The timeout for Prosody's response to a BOSH request; longer than the longest `wait` of any
    /// client.
    bosh_timeout: DurationText,
    /// How long an idle connection is kept; shorter than the upstream keeps it.
    idle: DurationText,
    /// Prosody instances for view-only occupants.
    visitor: Vec<RawVisitorNode>,
}

/// The role of the section, which decides whether `web` and `xmpp` belong into it.
#[derive(Clone, Copy)]
pub(super) enum UpstreamRole<'p> {
    /// The only upstream.
    Only,
    /// The settings that shards have in common; with the addresses of the first shard, if valid.
    Common(Option<&'p ShardEndpoints>),
}

// === impl RawUpstream ===

impl RawUpstream {
    /// Takes the visitor nodes, which belong to the only shard.
    pub(super) fn take_visitor_nodes(&mut self) -> Vec<RawVisitorNode> {
        std::mem::take(&mut self.visitor)
    }

    pub(super) fn resolve(
        self,
        role: UpstreamRole<'_>,
        section: &mut Section<'_>,
    ) -> Option<UpstreamSettings> {
        let addresses = match role {
            UpstreamRole::Only => only_upstream(self.web, self.xmpp, section),
            UpstreamRole::Common(first) => {
                let set = [
                    ("web", self.web.is_some()),
                    ("xmpp", self.xmpp.is_some()),
                    ("jicofo", self.jicofo.is_some()),
                ];
                for (key, is_set) in set {
                    if is_set {
                        let remedy = "remove it here, or remove the shards";
                        section.reject(key, "conflicts with [[shard]]", remedy);
                    }
                }
                if !self.visitor.is_empty() {
                    let remedy = "move it below its shard, as [[shard.visitor]]";
                    section.reject("visitor", "conflicts with [[shard]]", remedy);
                }
                first.map(|first| (first.web.clone(), first.xmpp.clone()))
            }
        };
        let jicofo = match role {
            UpstreamRole::Only => parse_jicofo(self.jicofo, section),
            UpstreamRole::Common(first) => Ok(first.and_then(|first| first.jicofo.clone())),
        };
        let xmpp_domain = section.parse("xmpp_domain", self.xmpp_domain, parse_domain);
        let mut timeout = |key: &str, text: &DurationText, longest| {
            text.within(seconds(1)..=longest, section, key)
        };
        let connect_timeout = timeout("connect_timeout", &self.connect_timeout, MINUTE);
        let web_timeout = timeout("web_timeout", &self.web_timeout, HOUR);
        let bosh_timeout = timeout("bosh_timeout", &self.bosh_timeout, HOUR);
        let idle = timeout("idle", &self.idle, HOUR);
        let (web, xmpp) = addresses?;
        Some(UpstreamSettings {
            web,
            xmpp,
            jicofo: jicofo.ok()?,
            xmpp_domain: xmpp_domain?,
            connect_timeout: connect_timeout?,
            web_timeout: web_timeout?,
            bosh_timeout: bosh_timeout?,
            idle: idle?,
        })
    }
}

impl Default for RawUpstream {
    fn default() -> Self {
        Self {
            web: None,
            xmpp: None,
            jicofo: None,
            xmpp_domain: None,
            connect_timeout: "5s".into(),
            web_timeout: "60s".into(),
            // Strophe asks for 60 s; other clients may ask for more.
            bosh_timeout: "150s".into(),
            // nginx closes idle connections after 75 s, Prosody after 60 s.
            idle: "50s".into(),
            visitor: Vec::new(),
        }
    }
}

/// The address of Jicofo, which is optional.
pub(super) fn parse_jicofo(
    text: Option<String>,
    section: &mut Section<'_>,
) -> Result<Option<Authority>, Reported> {
    text.map(|text| {
        let address = section.keep("jicofo", parse_http_authority(&text));
        address.ok_or(Reported)
    })
    .transpose()
}

/// The addresses of web server and Prosody, both required.
fn only_upstream(
    web: Option<String>,
    xmpp: Option<String>,
    section: &mut Section<'_>,
) -> Option<(Authority, Authority)> {
    let mut authority = |key: &str, text: Option<String>, example: &str| {
        if text.is_none() {
            let remedy = format!("add for example {key} = {example:?}");
            section.reject(key, "missing", remedy);
        }
        section.parse(key, text, parse_http_authority)
    };
    let web = authority("web", web, "http://web:8000");
    let xmpp = authority("xmpp", xmpp, "http://prosody:5280");
    web.zip(xmpp)
}
