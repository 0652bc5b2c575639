//! HTTP header fields: which are forwarded, per direction, and what a request's fields say about
//! its sender.
//!
//! Towards Jitsi's web server all fields are forwarded except those by which a server could mistake
//! the sender's identity, address or path; towards the client all but the hop-by-hop fields (RFC
//! 9110 § 7.6.1). Towards Prosody nothing is copied: `upstream::prosody` writes those heads from a
//! closed list.

mod client_addr;
mod fetch_metadata;
mod forwarding;

use http::{HeaderMap, HeaderName};

pub use self::{
    client_addr::{ClientAddr, ForwardedScheme, PeerAddr, TrustedProxies, client_network},
    fetch_metadata::{RequestOrigin, is_from_browser, is_navigation, request_origin},
    forwarding::{X_FORWARDED_HOST, strip_response, web_request_headers},
};

/// Whether a list-valued field contains a token, as `Connection: keep-alive, Upgrade` does; case
/// does not matter.
pub fn list_contains(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The client's address, for upstreams.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme the client used, for upstreams.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The region of the client, for Prosody.
pub const X_PROXY_REGION: HeaderName = HeaderName::from_static("x-proxy-region");
/// The shard of a room, for Jitsi's client.
pub const X_JITSI_SHARD: HeaderName = HeaderName::from_static("x-jitsi-shard");
/// The id of a request in the logs.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Builds a map for tests.
#[cfg(test)]
fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        })
        .collect()
}
