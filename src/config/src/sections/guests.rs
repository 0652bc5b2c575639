//! `[guests]` and `[embed]`: people without an account, and rooms in other sites' pages.

use schemars::JsonSchema;
use serde::Deserialize;

use super::integration::origin;
use crate::{
    problem::Section,
    values::{DurationText, domain, seconds},
};
use proxy::GuestSettings;

/// People without an account: guests, holders of links, and people of other systems.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGuests {
    /// How long such a person is known in a room; then they have to come in anew.
    lifetime: DurationText,
    /// How long the guest link of a meeting can be used.
    link_lifetime: DurationText,
    /// How long the host link of a meeting can be used.
    host_link_lifetime: DurationText,
    /// Prosody's domain for guests. With it, guests come to Prosody without a token, as in a Jitsi
    /// with `ENABLE_GUESTS=1`; unless written, they have tokens of their own and Prosody can refuse
    /// whoever comes without.
    #[schemars(example = "guest.meet.jitsi")]
    xmpp_domain: Option<String>,
}

/// Rooms in frames of other sites' pages.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmbed {
    /// Origins of sites that may show rooms in frames, besides those that an `[[integration]]`
    /// names; `"*"` is every site.
    #[schemars(example = ["https://intranet.example.org"])]
    sites: Vec<String>,
}

// === impl RawGuests ===

impl RawGuests {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<GuestSettings> {
        let mut within = |key: &str, text: &DurationText, most: u64| {
            text.within(seconds(60)..=seconds(most), section, key)
        };
        let lifetime = within("lifetime", &self.lifetime, 7 * DAY);
        let link_lifetime = within("link_lifetime", &self.link_lifetime, 400 * DAY);
        let host_link_lifetime = within("host_link_lifetime", &self.host_link_lifetime, 400 * DAY);
        let xmpp_domain = match self.xmpp_domain {
            None => Some(None),
            Some(text) => section.keep("xmpp_domain", domain(&text)).map(Some),
        };
        Some(GuestSettings {
            lifetime: lifetime?,
            link_lifetime: link_lifetime?,
            host_link_lifetime: host_link_lifetime?,
            xmpp_domain: xmpp_domain?,
        })
    }
}

impl Default for RawGuests {
    fn default() -> Self {
        Self {
            lifetime: "12h".into(),
            link_lifetime: "30days".into(),
            host_link_lifetime: "7days".into(),
            xmpp_domain: None,
        }
    }
}

// === impl RawEmbed ===

impl RawEmbed {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Vec<String> {
        let read = |(position, text): (usize, &String)| {
            let site = if text == "*" {
                Ok(text.clone())
            } else {
                origin(text)
            };
            section.entry("sites", position).keep("", site)
        };
        (1..).zip(&self.sites).filter_map(read).collect()
    }
}

const DAY: u64 = 86_400;
