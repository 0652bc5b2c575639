//! Evaluates logins and responses at the public address.

use std::net::SocketAddr;

use http::StatusCode;

use crate::{
    Finding, FindingKind,
    client::{BoshError, HeadBytes},
};

/// The same login at the gateway's own listener, without the hops before it.
#[derive(Debug)]
pub(super) enum ListenerLogin {
    Accepted(SocketAddr),
    Failed(SocketAddr, BoshError),
    /// No gateway runs on this machine, or its listener accepts requests of proxies only.
    Unknown,
}

/// The largest response head of some pages.
#[derive(Debug, Default)]
pub(super) struct LargestHead {
    pub(super) path: String,
    pub(super) bytes: HeadBytes,
}

/// The finding for a login that works at Prosody and fails at the public address.
pub(super) fn public_login_failed(error: &BoshError, listener: &ListenerLogin) -> Finding {
    let found = |kind, got: String| {
        Finding::error(kind).with_exchange("a test user's login by BOSH at the public address", got)
    };
    if is_misdirected(error) {
        return found(FindingKind::LoginProxy, error.to_string()).with_remedy(
            "a proxy before the gateway terminates TLS, and the gateway does not trust its \
             X-Forwarded-Proto",
            "add that proxy's addresses to listen.trusted_proxies, and let it send \
             X-Forwarded-Proto: https and the client's Host",
        );
    }
    match listener {
        ListenerLogin::Accepted(address) => found(
            FindingKind::LoginHop,
            format!("{error}; at the gateway's own listener {address} the same login works"),
        )
        .with_remedy(
            "a load balancer, Ingress or proxy before the gateway breaks the connection",
            "let it forward POST /http-bind with query and body unchanged to the gateway, and all \
             requests of a client to the same deployment",
        ),
        ListenerLogin::Failed(address, at_listener) => found(
            FindingKind::LoginGateway,
            format!("{error}; at the gateway's own listener {address}: {at_listener}"),
        )
        .with_remedy(
            "the running gateway refuses a login that works at Prosody: it has another \
             configuration than this one, or does not reach Prosody",
            "reload (SIGHUP) or restart it, on every replica; then read its log and /readyz",
        ),
        ListenerLogin::Unknown => found(FindingKind::LoginDiffers, error.to_string()).with_remedy(
            "the same login works directly at Prosody, so the gateway or a hop before it breaks it",
            "run the doctor beside the gateway (kubectl exec, docker compose exec), where it can \
             tell the two apart",
        ),
    }
}

/// Whether the gateway responded with 421: another host, or plain HTTP.
pub(super) fn is_misdirected(error: &BoshError) -> bool {
    matches!(
        error,
        BoshError::NotBosh(response) if response.status == StatusCode::MISDIRECTED_REQUEST
    )
}

/// The finding for a token of Prosody that a client could use.
pub(super) fn prosody_token_accepted() -> Finding {
    Finding::danger(FindingKind::ForgedTokenHonoured)
        .with_exchange(
            "a token for Prosody, sent by a client to the public address",
            "<success/>: the login was accepted",
        )
        .with_remedy(
            "some requests bypass the gateway, so that clients' own tokens reach Prosody",
            "send every path, whatever its query and headers, to the gateway, and let no other \
             server reach Prosody's port 5280 (a NetworkPolicy, or a network of their own)",
        )
}

/// The finding for a login that fails with forged headers or parameters.
pub(super) fn forged_header_honoured(error: &BoshError) -> Finding {
    Finding::error(FindingKind::ForgedHeaderHonoured)
        .with_exchange(
            "the same login with a forged Authorization, prefix and other headers",
            error.to_string(),
        )
        .with_remedy(
            "a hop before the gateway acts on clients' headers or parameters",
            "remove rules by query or by Authorization from the load balancer or proxy before the \
             gateway",
        )
}

/// Evaluates the sizes of response heads.
pub(super) fn head_size(largest: &LargestHead) -> Result<(), Finding> {
    let HeadBytes { total, cookies } = largest.bytes;
    if total <= MAX_HEAD_BYTES {
        return Ok(());
    }
    Err(Finding::warning(FindingKind::HeadTooLarge)
        .with_exchange(
            format!("GET {} at the public address", largest.path),
            format!("a head of {total} bytes, {cookies} of them cookies"),
        )
        .with_remedy(
            "proxies with a buffer of 4 KiB respond with 502 (\"upstream sent too big header\")",
            "raise proxy_buffer_size of the proxy before the gateway to 16k, or find the hop that \
             adds cookies",
        ))
}

/// One memory page: the default of nginx' `proxy_buffer_size`.
const MAX_HEAD_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::HttpResponse;

    #[test]
    fn the_login_at_the_listener_tells_hop_and_gateway_apart() {
        let error = || BoshError::Terminated("x".to_owned());
        let address = "127.0.0.1:8443".parse().unwrap();
        for (listener, expected) in [
            (ListenerLogin::Accepted(address), "S4.hop"),
            (ListenerLogin::Failed(address, error()), "S4.gateway"),
            (ListenerLogin::Unknown, "S4.differs"),
        ] {
            assert_eq!(public_login_failed(&error(), &listener).id(), expected);
        }
    }

    #[test]
    fn a_misdirected_request_is_the_fault_of_a_proxy() {
        let misdirected = BoshError::NotBosh(Box::new(HttpResponse {
            status: StatusCode::MISDIRECTED_REQUEST,
            ..HttpResponse::default()
        }));
        let listener = ListenerLogin::Accepted("127.0.0.1:8443".parse().unwrap());
        assert_eq!(
            public_login_failed(&misdirected, &listener).id(),
            "S4.proxy"
        );
    }

    #[test]
    fn heads_over_4_kib_are_a_finding() {
        let of = |total| LargestHead {
            path: "/x".to_owned(),
            bytes: HeadBytes { total, cookies: 0 },
        };
        assert_eq!(head_size(&of(4096)), Ok(()));
        assert_eq!(head_size(&of(4097)).unwrap_err().id(), "R3.size");
    }
}
