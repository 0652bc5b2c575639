//! Lines about addresses, proxies, the provider and the store.

use super::{Pattern, pattern};

/// Wrong addresses, and hops that break connections.
pub(super) const ADDRESSES: &[Pattern] = &[
    pattern(
        &["unknown host"],
        Some("B1"),
        "a request named a host that is no virtual host of Prosody",
        "set upstream.xmpp_domain to XMPP_DOMAIN, not to the public name",
    ),
    pattern(
        &["improper-addressing"],
        Some("B2"),
        "a session was requested for an XMPP domain that Prosody does not serve",
        "set upstream.xmpp_domain to XMPP_DOMAIN, not to the public name",
    ),
    pattern(
        &["item-not-found", "http-bind"],
        Some("B3"),
        "a BOSH session is unknown to the Prosody that received its next request: two \
         Prosodys, or a restart",
        "run one Prosody behind one address",
    ),
    pattern(
        &["host not found in upstream"],
        Some("B1"),
        "the web container does not resolve Prosody's name",
        "put both into one Docker network, and correct XMPP_SERVER or XMPP_BOSH_URL_BASE",
    ),
    pattern(
        &["wss://localhost:8443"],
        Some("W2"),
        "PUBLIC_URL is not set, so browsers connect to their own machine",
        "set PUBLIC_URL in .env (bosh and websocket in Debian's config.js) to public_url, without quotes",
    ),
    pattern(
        &["websocket", "unexpected response code: 200"],
        Some("S1"),
        "a web server responded instead of Prosody's WebSocket",
        "route /xmpp-websocket to the gateway; ENABLE_XMPP_WEBSOCKET=1 in .env, or 0 \
         for BOSH alone (websocket in Debian's config.js)",
    ),
    pattern(
        &["websocket", "unexpected response code: 403"],
        Some("S1"),
        "the WebSocket was refused: not signed in, or an Origin that is not public_url",
        "open the meeting at public_url; list embedding sites in embed.sites",
    ),
    pattern(
        &["websocket", "unexpected response code: 404"],
        Some("S1"),
        "there is no WebSocket at the address that clients use",
        "load mod_websocket, or set ENABLE_XMPP_WEBSOCKET=0 in .env (remove websocket from Debian's config.js)",
    ),
    pattern(
        &["websocket", "unexpected response code: 501"],
        Some("S1"),
        "a proxy on the way removed the header Sec-WebSocket-Protocol",
        "set upstream.xmpp to Prosody itself, without a proxy in between",
    ),
    pattern(
        &["timed out", "http-bind"],
        Some("S3"),
        "a proxy aborted a held BOSH request",
        "raise proxy_read_timeout (timeout server in HAProxy, the route's timeout in \
         Envoy) to 150 s",
    ),
    pattern(
        &["you have been disconnected"],
        Some("W2,B,S4"),
        "the browser does not reach Prosody, or lost it: a wrong address, a proxy, or two Prosodys",
        "set PUBLIC_URL in .env (bosh and websocket in Debian's config.js) to public_url, without quotes; the \
         doctor finds the hop",
    ),
    pattern(
        &["strophe", "error 502"],
        Some("B1"),
        "Prosody was not reached",
        "check that it runs, and upstream.xmpp",
    ),
    pattern(
        &["http-bind", "404"],
        Some("B1"),
        "no server has BOSH there: Prosody lacks the host, or the path is routed elsewhere",
        "check upstream.xmpp and upstream.xmpp_domain, and that all paths lead to the gateway",
    ),
];

/// The proxy before the gateway, the provider and the store.
pub(super) const NEIGHBOURS: &[Pattern] = &[
    pattern(
        &["upstream sent too big header"],
        None,
        "a proxy before the gateway accepts only small response heads",
        "raise its proxy_buffer_size to 16k",
    ),
    pattern(
        &["redirect_uri"],
        Some("C4"),
        "the provider does not accept the redirect URI",
        "register <public_url>/_gateway/callback for the client",
    ),
    pattern(
        &["invalid_client"],
        Some("C4"),
        "the provider does not accept the client id or its secret",
        "copy both again into oidc.client_id and oidc.client_secret_file",
    ),
    pattern(
        &["moved ", ":"],
        Some("R1"),
        "Redis is part of a cluster",
        "set store.url to a standalone server",
    ),
    pattern(
        &["wrongpass"],
        Some("R1"),
        "Redis refuses the password",
        "compare store.url with the server's requirepass or ACL",
    ),
    pattern(
        &["noauth"],
        Some("R1"),
        "Redis requires a password",
        "add it to store.url as redis://:password@host",
    ),
];
