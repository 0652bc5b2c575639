//! The region of a person, by which Jicofo selects a bridge.
//!
//! Prosody reads it from `X-Proxy-Region` (jitsi-meet `resources/prosody-plugins/mod_jitsi_session.lua`,
//! `region_header_name`) and adds it to the presence of a client that states none
//! (`mod_muc_meeting_id.lua`, `process_region`).

use http::{HeaderMap, HeaderName, HeaderValue};
use model::identity::is_region;

/// Where regions of people come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionSettings {
    /// The field that a trusted proxy before the gateway sets.
    pub header: Option<HeaderName>,
    /// The region of everybody else.
    pub default: Option<HeaderValue>,
}

// === impl RegionSettings ===

impl RegionSettings {
    /// The region of the sender of a request, which came through a trusted proxy or not. The proxy knows
    /// where the person is now, `claimed` is what the provider knows of the account.
    pub fn of(
        &self,
        headers: &HeaderMap,
        proxied: bool,
        claimed: Option<&str>,
    ) -> Option<HeaderValue> {
        let forwarded = || {
            let mut values = headers.get_all(self.header.as_ref()?).iter();
            // A client's value beside the proxy's makes both worthless.
            let (value, None) = (values.next()?, values.next()) else {
                return None;
            };
            is_region(value.to_str().ok()?).then(|| value.clone())
        };
        let forwarded = if proxied { forwarded() } else { None };
        let claimed = || HeaderValue::from_str(claimed.filter(|text| is_region(text))?).ok();
        forwarded.or_else(claimed).or_else(|| self.default.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_that_of_a_trusted_proxy_or_of_the_account_or_the_default() {
        let header = HeaderName::from_static("x-geo");
        let default = HeaderValue::from_static("eu");
        for (sent, proxied, claimed, expected) in [
            (&["us-west-2"][..], true, None, "us-west-2"),
            (&["us-west-2"], false, None, "eu"),
            (&["us-west-2", "moon"], true, None, "eu"),
            (&["a b"], true, None, "eu"),
            (&["<x/>"], true, None, "eu"),
            (&[""], true, None, "eu"),
            (&[], true, None, "eu"),
            (&["us-west-2"], true, Some("asia"), "us-west-2"),
            (&["us-west-2"], false, Some("asia"), "asia"),
            (&["a b"], true, Some("asia"), "asia"),
            (&[], true, Some("a\r\nX: y"), "eu"),
        ] {
            let mut all = HeaderMap::new();
            for value in sent {
                all.append(header.clone(), HeaderValue::from_static(value));
            }
            let settings = RegionSettings {
                header: Some(header.clone()),
                default: Some(default.clone()),
            };
            let region = settings.of(&all, proxied, claimed);
            assert_eq!(region.unwrap(), expected, "{sent:?} {proxied} {claimed:?}");
        }
        let none = RegionSettings::default();
        assert_eq!(none.of(&HeaderMap::new(), true, None), None);
    }
}
