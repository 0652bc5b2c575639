//! `[upstream]`: where Jitsi is.

use http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;

use super::shard::RawVisitor;
use crate::{
    problem::Section,
    values::{DurationText, domain, http_authority, seconds},
};
use cluster::placement::Place;
use proxy::upstream::UpstreamSettings;

/// Where Jitsi's web server and Prosody are; with `[[shard]]`, what these have in common.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["xmpp_domain"]))]
pub(super) struct RawUpstream {
    /// Jitsi's web server; required unless there are shards.
    #[schemars(example = "http://web:8000")]
    web: Option<String>,
    /// Prosody's HTTP port, reached directly so that no other proxy sees tokens; required unless there
    /// are shards.
    #[schemars(example = "http://prosody:5280")]
    xmpp: Option<String>,
    /// Prosody's XMPP domain, its `VirtualHost`.
    #[schemars(example = "meet.jitsi")]
    xmpp_domain: Option<String>,
    /// How long connecting may take.
    connect_timeout: DurationText,
    /// How long the web server may take to begin an answer.
    web_timeout: DurationText,
    /// How long Prosody may hold a BOSH request; longer than the longest `wait` of a client.
    bosh_timeout: DurationText,
    /// How long an unused connection is kept; shorter than the upstream keeps it.
    idle: DurationText,
    /// Prosodys for people who only watch.
    visitor: Vec<RawVisitor>,
}

/// What the section says.
#[derive(Clone, Copy)]
pub(super) enum Meant<'s> {
    /// All of it.
    Whole,
    /// What shards have in common; with the place of the first, if it is a good one.
    Shared(Option<&'s Place>),
}

// === impl RawUpstream ===

impl RawUpstream {
    /// Takes the visitor nodes out.
    pub(super) fn visitors(&mut self) -> Vec<RawVisitor> {
        std::mem::take(&mut self.visitor)
    }

    /// The settings of the one Jitsi, or of the first shard.
    pub(super) fn resolve(
        self,
        meant: Meant<'_>,
        section: &mut Section<'_>,
    ) -> Option<UpstreamSettings> {
        let mut origin = |key: &str, text: Option<String>, example: &str| -> Option<Authority> {
            match (text, meant) {
                (Some(text), Meant::Whole) => section.keep(key, http_authority(&text)),
                (Some(_), Meant::Shared(_)) => {
                    let remedy = "remove it here, or the shards";
                    section.reject(key, "stands beside [[shard]]", remedy);
                    None
                }
                (None, Meant::Whole) => {
                    section.reject(
                        key,
                        "missing",
                        format!("add for example {key} = {example:?}"),
                    );
                    None
                }
                (None, Meant::Shared(_)) => None,
            }
        };
        let web = origin("web", self.web, "http://web:8000");
        let xmpp = origin("xmpp", self.xmpp, "http://prosody:5280");
        let (web, xmpp) = match meant {
            Meant::Shared(Some(place)) => (Some(place.web.clone()), Some(place.xmpp.clone())),
            _ => (web, xmpp),
        };
        if matches!(meant, Meant::Shared(_)) && !self.visitor.is_empty() {
            let remedy = "write it below its shard, as [[shard.visitor]]";
            section.reject("visitor", "stands beside [[shard]]", remedy);
        }
        let xmpp_domain = self
            .xmpp_domain
            .and_then(|text| section.keep("xmpp_domain", domain(&text)));
        let mut duration = |key: &str, text: &DurationText, most: u64| {
            text.within(seconds(1)..=seconds(most), section, key)
        };
        let connect_timeout = duration("connect_timeout", &self.connect_timeout, 60);
        let web_timeout = duration("web_timeout", &self.web_timeout, 3600);
        let bosh_timeout = duration("bosh_timeout", &self.bosh_timeout, 3600);
        let idle = duration("idle", &self.idle, 3600);
        Some(UpstreamSettings {
            web: web?,
            xmpp: xmpp?,
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
            xmpp_domain: None,
            connect_timeout: "5s".into(),
            web_timeout: "60s".into(),
            // Strophe asks for 60 s, and clients may ask Prosody for more.
            bosh_timeout: "150s".into(),
            // nginx closes after 75 s, Prosody after 60 s.
            idle: "50s".into(),
            visitor: Vec::new(),
        }
    }
}
