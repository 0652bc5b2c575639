//! What it means how the public address answers.

use std::net::SocketAddr;

use http::StatusCode;

use crate::{Check, Finding, bosh::BoshError};

/// What the gateway on this machine made of the same login, past all hops in front of it.
#[derive(Debug)]
pub(super) enum Local {
    /// It let the test person in.
    Works(SocketAddr),
    /// It did not either.
    Fails(SocketAddr, BoshError),
    /// There is none that could be asked.
    Unknown,
}

/// The largest head among some answers.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) path: String,
    /// Bytes of all lines.
    pub(super) head: usize,
    /// Bytes of those that set cookies.
    pub(super) cookies: usize,
}

/// Why a login at the public address is not what it is at Prosody.
pub(super) fn differs(error: &BoshError, local: &Local) -> Finding {
    let found = |what, got: String| {
        Finding::error(Check::S4, what)
            .saw("a test person's login by BOSH at the public address", got)
    };
    if is_misdirected(error) {
        return found("proxy", error.to_string()).so(
            "something before the gateway ends TLS, and the gateway does not believe it that people \
             came by HTTPS",
            "write that proxy's addresses into listen.trusted_proxies, and let it send \
             X-Forwarded-Proto: https and the Host that people asked for",
        );
    }
    match local {
        Local::Works(address) => found(
            "hop",
            format!("{error}; at the gateway's own listener {address} the same works"),
        )
        .so(
            "something before the gateway spoils the connection: a balancer, an Ingress or a proxy",
            "let it pass POST /http-bind with its query and body unchanged to the gateway, and all \
             of a client's requests to the same deployment",
        ),
        Local::Fails(address, at_listener) => found(
            "gateway",
            format!("{error}; at the gateway's own listener {address}: {at_listener}"),
        )
        .so(
            "the gateway that runs refuses what Prosody takes from here: it runs with another \
             configuration than this one, or does not reach Prosody itself",
            "reload (SIGHUP) or restart it, on every replica; then look at its log and at /readyz",
        ),
        Local::Unknown => found("differs", error.to_string()).so(
            "the same login works straight at Prosody, so the gateway or something before it \
             spoils it",
            "run the doctor beside the gateway (kubectl exec, docker compose exec), which tells \
             the two apart",
        ),
    }
}

/// Whether the gateway takes the request for one to somewhere else, or by plain HTTP.
pub(super) fn is_misdirected(error: &BoshError) -> bool {
    matches!(error, BoshError::Http(answer) if answer.status == StatusCode::MISDIRECTED_REQUEST)
}

/// A token for Prosody was believed of a client.
pub(super) fn believed() -> Finding {
    Finding::danger(Check::S6, "token")
        .saw(
            "a token that only Prosody should see, as a client's own, at the public address",
            "<success/>: it was let in",
        )
        .so(
            "what a client says of itself reaches Prosody: some requests go past the gateway",
            "send every path, whatever its query and headers, to the gateway, and let nothing \
             else reach Prosody's port 5280 (a NetworkPolicy, or a network of their own)",
        )
}

/// What a client claims made a difference.
pub(super) fn changed(error: &BoshError) -> Finding {
    Finding::error(Check::S6, "changed")
        .saw(
            "the same login with a forged Authorization, prefix and other headers beside it",
            error.to_string(),
        )
        .so(
            "something before the gateway acts on what clients claim in headers or parameters",
            "remove rules by query or by Authorization from the balancer or proxy before it",
        )
}

/// Whether the heads of answers fit into what proxies keep for them.
pub(super) fn heads(largest: &Heads) -> Result<(), Finding> {
    if largest.head <= MAX_HEAD_BYTES {
        return Ok(());
    }
    let got = format!(
        "a head of {} bytes, {} of them cookies",
        largest.head, largest.cookies
    );
    Err(Finding::warning(Check::R3, "size")
        .saw(format!("GET {} at the public address", largest.path), got)
        .so(
            "proxies that keep 4 KiB for a head answer 502 (\"upstream sent too big header\")",
            "raise proxy_buffer_size of the proxy before the gateway to 16k, or look which hop \
             adds cookies of its own",
        ))
}

/// One page of memory, which nginx keeps for a head unless told otherwise.
const MAX_HEAD_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Answer;

    #[test]
    fn the_guilty_hop_is_named() {
        let ended = || BoshError::Ended("x".to_owned());
        let address = "127.0.0.1:8443".parse().unwrap();
        for (local, expected) in [
            (Local::Works(address), "S4.hop"),
            (Local::Fails(address, ended()), "S4.gateway"),
            (Local::Unknown, "S4.differs"),
        ] {
            assert_eq!(differs(&ended(), &local).id, expected);
        }
        let misdirected = BoshError::Http(Box::new(Answer {
            status: StatusCode::MISDIRECTED_REQUEST,
            ..Answer::default()
        }));
        let local = Local::Works(address);
        assert_eq!(differs(&misdirected, &local).id, "S4.proxy");
    }

    #[test]
    fn heads_fit_into_a_page() {
        let of = |head| Heads {
            path: "/x".to_owned(),
            head,
            cookies: 0,
        };
        assert_eq!(heads(&of(4096)), Ok(()));
        assert_eq!(heads(&of(4097)).unwrap_err().id, "R3.size");
    }
}
