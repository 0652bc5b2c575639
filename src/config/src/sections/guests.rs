//! `[guests]` and `[embed]`: visitors without an account, and rooms in frames of other sites.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Reported;
use crate::{
    diagnostics::Section,
    values::{DAY, DurationText, MINUTE, parse_domain, parse_https_origin},
};
use proxy::GuestSettings;

/// Visitors without an account: guests, holders of links, and users of integrations.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGuests {
    /// How long such a visitor is remembered in a room; after that they have to enter again.
    lifetime: DurationText,
    /// How long the guest link of a meeting is valid.
    link_lifetime: DurationText,
    /// How long the host link of a meeting is valid.
    host_link_lifetime: DurationText,
    /// Prosody's domain for guests. If set, guests connect to Prosody without a token, as in a Jitsi
    /// with `ENABLE_GUESTS=1`, and the gateway holds them to their room. By default they have tokens, and
    /// Prosody can refuse connections without one.
    #[schemars(example = "guest.meet.jitsi")]
    xmpp_domain: Option<String>,
}

/// Rooms in frames of other sites.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmbed {
    /// Origins of the sites that may embed rooms, in addition to those of each `[[integration]]`;
    /// `"*"` allows every site.
    #[schemars(example = ["https://intranet.example.org"])]
    sites: Vec<String>,
}

// === impl RawGuests ===

impl RawGuests {
    /// Whether guests have a domain of their own.
    pub(super) fn has_domain(&self) -> bool {
        self.xmpp_domain.is_some()
    }

    /// `main_domain` is Prosody's, where people need a token.
    pub(super) fn resolve(
        self,
        main_domain: Option<&str>,
        section: &mut Section<'_>,
    ) -> Option<GuestSettings> {
        let mut within =
            |key: &str, text: &DurationText, longest| text.within(MINUTE..=longest, section, key);
        let lifetime = within("lifetime", &self.lifetime, 7 * DAY);
        let link_lifetime = within("link_lifetime", &self.link_lifetime, 400 * DAY);
        let host_link_lifetime = within("host_link_lifetime", &self.host_link_lifetime, 400 * DAY);
        let xmpp_domain = self
            .xmpp_domain
            .map(|text| {
                section
                    .keep("xmpp_domain", parse_domain(&text))
                    .ok_or(Reported)
            })
            .transpose();
        if let Ok(Some(domain)) = &xmpp_domain
            && Some(domain.as_str()) == main_domain
        {
            let what = "is upstream.xmpp_domain, where Prosody wants a token of everybody";
            section.reject("xmpp_domain", what, "remove it: guests then have tokens");
        }
        Some(GuestSettings {
            lifetime: lifetime?,
            link_lifetime: link_lifetime?,
            host_link_lifetime: host_link_lifetime?,
            xmpp_domain: xmpp_domain.ok()?,
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
    /// The sources of `frame-ancestors`.
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<Vec<String>> {
        section.parse_list("sites", self.sites, |text| match text {
            "*" => Ok(text.to_owned()),
            _ => parse_https_origin(text),
        })
    }
}
