//! The lines that are known. The first that fits a line explains it.

/// A kind of line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Parts of the line in small letters, all of them.
    says: &'static [&'static str],
    pub(super) meaning: &'static str,
    pub(super) remedy: &'static str,
    /// What the doctor looks at to confirm it.
    pub(super) check: Option<&'static str>,
}

// === impl Pattern ===

impl Pattern {
    /// Whether a line in small letters is of this kind.
    pub(super) fn fits(&self, line: &str) -> bool {
        self.says.iter().all(|part| line.contains(part))
    }
}

const fn pattern(
    says: &'static [&'static str],
    check: Option<&'static str>,
    meaning: &'static str,
    remedy: &'static str,
) -> Pattern {
    Pattern {
        says,
        meaning,
        remedy,
        check,
    }
}

/// Causes come before what follows from them.
pub(super) const PATTERNS: &[Pattern] = &[
    // Prosody as it starts.
    pattern(
        &["'app_id' must not be empty"],
        Some("B4,J3"),
        "the token module has no app id where it runs; on the rooms' component that leaves every room \
         open to any token",
        "set JWT_APP_ID in .env (prosody.extraEnvs in jitsi-helm). If the line is from the rooms' \
         component only: its name has a hyphen in the first label, so rename it (XMPP_MUC_DOMAIN)",
    ),
    pattern(
        &["'app_secret'", "must be specified"],
        Some("B4"),
        "the token module has neither a secret nor a key server",
        "set JWT_APP_SECRET in .env (prosody.jwt.secret in jitsi-helm), or JWT_ASAP_KEYSERVER",
    ),
    pattern(
        &["unable to load module", "token_verification"],
        Some("J3"),
        "rooms do not look at tokens: any token opens any room",
        "mount mod_token_verification.lua where plugin_paths looks; a ConfigMap that was never \
         mounted is a frequent cause",
    ),
    pattern(
        &["unable to load module", "auth_token"],
        Some("B4"),
        "Prosody's token module is not there, so nobody can log in",
        "mount mod_auth_token.lua where plugin_paths looks; a ConfigMap that was never mounted is a \
         frequent cause",
    ),
    pattern(
        &["module 'basexx' not found"],
        Some("B4"),
        "a library of the token module is not installed",
        "install lua-basexx (and lua-cjson, luaossl) for the Lua version that Prosody runs on",
    ),
    pattern(
        &["no available sasl mechanisms"],
        Some("B4"),
        "the token module did not start, so nobody can log in",
        "look further up for why: 'app_id' must not be empty, or a module that cannot be loaded",
    ),
    pattern(
        &["requires a version of prosody with util.async"],
        Some("B4"),
        "Prosody is too old for the token module",
        "update Prosody to 0.12 or later",
    ),
    pattern(
        &["empty tokens allowed"],
        Some("A2"),
        "whoever brings no token is let in",
        "set JWT_ALLOW_EMPTY=0 in .env (allow_empty_token in prosody.cfg.lua)",
    ),
    pattern(
        &["unable to get parent"],
        Some("J3"),
        "the rooms' component cannot find the domain it belongs to: any token opens any room",
        "name it with letters and digits in its first label, below the XMPP domain",
    ),
    // Prosody as people log in.
    pattern(
        &["invalid signature"],
        Some("A1"),
        "Prosody checks tokens with another secret or key than they are signed with",
        "make JWT_APP_SECRET in .env the same as token.secret_file, and restart Prosody",
    ),
    pattern(
        &["could not obtain public key"],
        Some("A1,K1"),
        "Prosody does not get the public key for a token",
        "set JWT_ASAP_KEYSERVER in .env to <public_url>/_gateway/asap, and see that Prosody's \
         container resolves and trusts that address",
    ),
    pattern(
        &["not acceptable by"],
        Some("C3"),
        "a token was not good yet, or not good any more, by Prosody's clock",
        "let both hosts follow NTP; Prosody allows for no difference",
    ),
    pattern(
        &["invalid 'iss' claim"],
        Some("A1"),
        "Prosody accepts tokens of another issuer; with an empty app id, of none",
        "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env to token.app_id",
    ),
    pattern(
        &["invalid 'aud' claim"],
        Some("A1"),
        "Prosody accepts tokens for another audience",
        "set JWT_ACCEPTED_AUDIENCES in .env to token.audience",
    ),
    pattern(
        &["invalid or incorrect alg"],
        Some("A1"),
        "Prosody accepts another signature algorithm",
        "set JWT_SIGN_TYPE in .env to token.algorithm",
    ),
    pattern(
        &["iss' claim"],
        Some("A1"),
        "Prosody accepts tokens of another issuer, or the token names none",
        "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env to token.app_id",
    ),
    pattern(
        &["aud' claim"],
        Some("A1"),
        "Prosody accepts tokens for another audience, or the token names none",
        "set JWT_ACCEPTED_AUDIENCES in .env to token.audience",
    ),
    pattern(
        &["room' claim is missing"],
        Some("A1"),
        "somebody came with a token that names no room, which is none of the gateway's",
        "send people through the gateway; token mint makes tokens for tests",
    ),
    pattern(
        &["invalid typ"],
        Some("A1"),
        "the token's head does not say JWT: something made or changed it that is not the gateway",
        "name Prosody itself in upstream.xmpp, and send people through the gateway",
    ),
    pattern(
        &["invalid `exp` value"],
        Some("C3"),
        "a token was over by Prosody's clock",
        "let both hosts follow NTP; Prosody allows for no difference",
    ),
    pattern(
        &["invalid-mechanism"],
        Some("B4"),
        "Prosody does not let people log in by tokens: its token module did not start",
        "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm), and look in \
         its log for why the module did not load",
    ),
    pattern(
        &["'kid' claim"],
        Some("A1"),
        "Prosody fetches public keys, but the token is signed with a secret",
        "unset JWT_ASAP_KEYSERVER in .env, or use [[token.key]]",
    ),
    pattern(
        &["token required"],
        Some("A1"),
        "somebody came to Prosody without a token: past the gateway, or the header was lost",
        "send all paths to the gateway, and name Prosody itself in upstream.xmpp",
    ),
    // Rooms.
    pattern(
        &["room and token mismatched"],
        Some("J2"),
        "Prosody compares the token's sub with the XMPP domain, and they differ",
        "set token.subject to XMPP_DOMAIN, or JWT_ENABLE_DOMAIN_VERIFICATION=false in .env",
    ),
    pattern(
        &["token", "not allowed to join"],
        Some("J2"),
        "the token's sub or room is not that of the room",
        "set token.subject to XMPP_DOMAIN, or JWT_ENABLE_DOMAIN_VERIFICATION=false in .env",
    ),
    pattern(
        &["room does not match the room from token"],
        None,
        "somebody wanted into a room with the token for another; Prosody kept them out",
        "nothing, if it is rare; else look who links rooms past the gateway",
    ),
    pattern(
        &["room does not exist"],
        Some("J1,J2"),
        "a room was entered that Jicofo had not opened",
        "look at Jicofo's log; make muc_mapper_domain_prefix and the first label of \
         XMPP_MUC_DOMAIN the same",
    ),
    // Addresses.
    pattern(
        &["unknown host"],
        Some("B1"),
        "Prosody was asked by a name that it has no virtual host for",
        "write XMPP_DOMAIN into upstream.xmpp_domain, not the public name",
    ),
    pattern(
        &["improper-addressing"],
        Some("B2"),
        "a session was asked for at an XMPP domain that Prosody does not serve",
        "write XMPP_DOMAIN into upstream.xmpp_domain, not the public name",
    ),
    pattern(
        &["item-not-found", "http-bind"],
        Some("B3"),
        "a BOSH session is not known where its next request came: two Prosodys, or a restart",
        "run one Prosody behind one address",
    ),
    pattern(
        &["host not found in upstream"],
        Some("B1"),
        "the web container does not resolve Prosody's name",
        "put both into one Docker network, and XMPP_SERVER or XMPP_BOSH_URL_BASE right",
    ),
    pattern(
        &["wss://localhost:8443"],
        Some("W2"),
        "PUBLIC_URL is not set, so browsers connect to themselves",
        "set PUBLIC_URL in .env to public_url, without quotes",
    ),
    pattern(
        &["websocket", "unexpected response code: 200"],
        Some("S1"),
        "a web server answered where Prosody's WebSocket should be",
        "send /xmpp-websocket to the gateway; ENABLE_XMPP_WEBSOCKET=1 in .env, or 0 for BOSH alone",
    ),
    pattern(
        &["websocket", "unexpected response code: 403"],
        Some("S1"),
        "the WebSocket was refused: not signed in, or an Origin that is not public_url",
        "open the meeting at public_url; embedding sites belong into embed.sites",
    ),
    pattern(
        &["websocket", "unexpected response code: 404"],
        Some("S1"),
        "there is no WebSocket where clients look for it",
        "load mod_websocket, or set ENABLE_XMPP_WEBSOCKET=0 in .env",
    ),
    pattern(
        &["websocket", "unexpected response code: 501"],
        Some("S1"),
        "the header Sec-WebSocket-Protocol got lost on the way",
        "name Prosody itself in upstream.xmpp, without a proxy between",
    ),
    pattern(
        &["timed out", "http-bind"],
        Some("S3"),
        "a proxy gave up a BOSH request that waited for news, as it should",
        "raise proxy_read_timeout (timeout server in HAProxy, the route's timeout in Envoy) to 150 s",
    ),
    pattern(
        &["you have been disconnected"],
        Some("W2,B,S4"),
        "the browser does not reach Prosody, or lost it: a wrong address, a proxy, or two Prosodys",
        "set PUBLIC_URL in .env to public_url, without quotes; the doctor finds which hop it is",
    ),
    pattern(
        &["strophe", "error 502"],
        Some("B1"),
        "Prosody was not reached",
        "look whether it runs, and at upstream.xmpp",
    ),
    pattern(
        &["http-bind", "404"],
        Some("B1"),
        "nothing serves BOSH there: Prosody has no such host, or the path goes elsewhere",
        "look at upstream.xmpp and upstream.xmpp_domain, and that all paths lead to the gateway",
    ),
    // Jicofo and the bridge.
    pattern(
        &["saslerror", "not-authorized"],
        Some("J1"),
        "Jicofo or a bridge has another password than Prosody knows, often since an upgrade made \
         new ones",
        "set JICOFO_AUTH_PASSWORD and JVB_AUTH_PASSWORD for good, and restart Prosody",
    ),
    pattern(
        &["focusdisconnected"],
        Some("J1"),
        "Jicofo is not there for the client",
        "look at Jicofo's log, and whether it is logged in at Prosody",
    ),
    pattern(
        &["focus not available"],
        Some("J1"),
        "Jicofo is not there for the client",
        "look at Jicofo's log, and whether it is logged in at Prosody",
    ),
    pattern(
        &["videobridgenotavailable"],
        None,
        "Jicofo has no bridge",
        "look whether the bridge runs and joined the brewery room; its log says to which server",
    ),
    pattern(
        &["no operational bridge"],
        None,
        "Jicofo has no bridge",
        "look whether the bridge runs and joined the brewery room; its log says to which server",
    ),
    pattern(
        &["no bridge available"],
        Some("J5"),
        "Jicofo has no bridge",
        "look whether the bridge runs and joined the brewery room (JVB_BREWERY_MUC, JVB_AUTH_PASSWORD)",
    ),
    pattern(
        &["colibri-ws", "403"],
        None,
        "the bridge does not know the conference any more: media did not get through before",
        "open the bridge's UDP port 10000, and set JVB_ADVERTISE_IPS in .env",
    ),
    pattern(
        &["colibri-ws", "504"],
        None,
        "the web container does not reach the bridge under the id that the address names",
        "make the bridge's server id a name or address that web reaches (JVB_WS_SERVER_ID in .env)",
    ),
    pattern(
        &["connection.passwordrequired"],
        Some("A1"),
        "Prosody refused the login; the words behind it say why",
        "explain Prosody's own line from that moment",
    ),
    pattern(
        &["connection.droppederror"],
        Some("B1,S1"),
        "the connection to Prosody broke off",
        "look for a proxy with a time-out between: 60 s is too short for BOSH",
    ),
    // The gateway's own neighbours.
    pattern(
        &["upstream sent too big header"],
        None,
        "a proxy before the gateway takes only small heads",
        "raise its proxy_buffer_size to 16k",
    ),
    pattern(
        &["redirect_uri"],
        Some("C4"),
        "the provider does not accept the redirect address",
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
        "name a server that stands alone in store.url",
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
        "Redis wants a password",
        "write it into store.url as redis://:password@host",
    ),
];

#[cfg(test)]
mod tests;
