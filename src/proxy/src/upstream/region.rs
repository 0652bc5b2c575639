//! The region of a person, by which Jicofo selects a bridge.
//!
//! Prosody reads it from `X-Proxy-Region` (jitsi-meet `resources/prosody-plugins/mod_jitsi_session.lua`,
//! `region_header_name`) and adds it to the presence of a client that states none
//! (`mod_muc_meeting_id.lua`, `process_region`).

use http::{HeaderMap, HeaderName, HeaderValue};

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
    /// The region of the sender of a request, which came through a trusted proxy or not.
    pub fn of(&self, headers: &HeaderMap, proxied: bool) -> Option<HeaderValue> {
        let forwarded = || {
            let mut values = headers.get_all(self.header.as_ref()?).iter();
            // A client's value beside the proxy's makes both worthless.
            let (value, None) = (values.next()?, values.next()) else {
                return None;
            };
            is_region(value.to_str().ok()?).then(|| value.clone())
        };
        let forwarded = if proxied { forwarded() } else { None };
        forwarded.or_else(|| self.default.clone())
    }
}

/// Whether a text is the name of a region, such as `eu-central-1`.
pub fn is_region(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=MAX_REGION_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// Longer than any region of a cloud provider.
pub const MAX_REGION_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_that_of_a_trusted_proxy_or_the_default() {
        let header = HeaderName::from_static("x-geo");
        let default = HeaderValue::from_static("eu");
        for (sent, proxied, expected) in [
            (&["us-west-2"][..], true, "us-west-2"),
            (&["us-west-2"], false, "eu"),
            (&["us-west-2", "moon"], true, "eu"),
            (&["a b"], true, "eu"),
            (&["<x/>"], true, "eu"),
            (&[""], true, "eu"),
            (&[], true, "eu"),
        ] {
            let mut all = HeaderMap::new();
            for value in sent {
                all.append(header.clone(), HeaderValue::from_static(value));
            }
            let settings = RegionSettings {
                header: Some(header.clone()),
                default: Some(default.clone()),
            };
            let region = settings.of(&all, proxied);
            assert_eq!(region.unwrap(), expected, "{sent:?} {proxied}");
        }
        assert_eq!(RegionSettings::default().of(&HeaderMap::new(), true), None);
    }

    #[test]
    fn a_name_of_a_region_is_short_and_plain() {
        assert!(is_region("eu-central-1"));
        assert!(is_region(&"a".repeat(63)));
        for text in ["", "a b", "a\r\nX: y", "eu,us", "\u{fc}"] {
            assert!(!is_region(text), "{text}");
        }
        assert!(!is_region(&"a".repeat(64)));
    }
}
