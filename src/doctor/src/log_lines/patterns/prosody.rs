//! Lines of Prosody: at startup, at login and in rooms.

use super::{Pattern, pattern};

/// Modules that do not start.
pub(super) const STARTUP: &[Pattern] = &[
    pattern(
        &["'app_id' must not be empty"],
        Some("B4,J3"),
        "the token module has no app id where it runs; on the rooms' component that \
         leaves every room open to any token",
        "set JWT_APP_ID in .env (prosody.extraEnvs in jitsi-helm, app_id in prosody.cfg.lua). If the line is from the rooms' \
         component only: its name has a hyphen in the first label, so rename it (XMPP_MUC_DOMAIN)",
    ),
    pattern(
        &["'app_secret'", "must be specified"],
        Some("B4"),
        "the token module has neither a secret nor a key server",
        "set JWT_APP_SECRET in .env (prosody.jwt.secret in jitsi-helm, app_secret in prosody.cfg.lua), or \
         JWT_ASAP_KEYSERVER (asap_key_server)",
    ),
    pattern(
        &["unable to load module", "token_verification"],
        Some("J3"),
        "rooms do not verify tokens: any token opens any room",
        "mount mod_token_verification.lua where plugin_paths looks; a ConfigMap that was never \
         mounted is a frequent cause",
    ),
    pattern(
        &["unable to load module", "auth_token"],
        Some("B4"),
        "Prosody's token module is missing, so every login fails",
        "mount mod_auth_token.lua where plugin_paths looks; a ConfigMap that was never \
         mounted is a frequent cause",
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
        "the token module did not start, so every login fails",
        "look for the reason further up: 'app_id' must not be empty, or a module that \
         cannot be loaded",
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
        "logins without a token are accepted",
        "set JWT_ALLOW_EMPTY=0 in .env (allow_empty_token in prosody.cfg.lua)",
    ),
    pattern(
        &["unable to get parent"],
        Some("J3"),
        "the rooms' component cannot derive its parent domain: any token opens any room",
        "name it with letters and digits in its first label, below the XMPP domain",
    ),
];

/// Refused logins.
pub(super) const LOGIN: &[Pattern] = &[
    pattern(
        &["invalid signature"],
        Some("A1"),
        "Prosody verifies tokens with another secret or key than the gateway signs with",
        "make JWT_APP_SECRET in .env (app_secret in prosody.cfg.lua) the same as token.secret_file, and restart Prosody",
    ),
    pattern(
        &["could not obtain public key"],
        Some("A1,K1"),
        "Prosody cannot fetch the public key of a token",
        "set JWT_ASAP_KEYSERVER in .env (asap_key_server in prosody.cfg.lua) to \
         <public_url>/_gateway/asap, and make sure that Prosody resolves and trusts that address",
    ),
    pattern(
        &["not acceptable by"],
        Some("C3"),
        "by Prosody's clock, a token was not valid yet or had expired",
        "let both hosts follow NTP; Prosody tolerates no difference",
    ),
    pattern(
        &["invalid 'iss' claim"],
        Some("A1"),
        "Prosody accepts tokens of another issuer; with an empty app id, of none",
        "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env (app_id and asap_accepted_issuers in \
         prosody.cfg.lua) to token.app_id",
    ),
    pattern(
        &["invalid 'aud' claim"],
        Some("A1"),
        "Prosody accepts tokens for another audience",
        "set JWT_ACCEPTED_AUDIENCES in .env (asap_accepted_audiences in prosody.cfg.lua) to token.audience",
    ),
    pattern(
        &["invalid or incorrect alg"],
        Some("A1"),
        "Prosody accepts another signature algorithm",
        "set JWT_SIGN_TYPE in .env (signature_algorithm in prosody.cfg.lua) to token.algorithm",
    ),
    pattern(
        &["iss' claim"],
        Some("A1"),
        "Prosody accepts tokens of another issuer, or the token names none",
        "set JWT_APP_ID and JWT_ACCEPTED_ISSUERS in .env (app_id and asap_accepted_issuers in \
         prosody.cfg.lua) to token.app_id",
    ),
    pattern(
        &["aud' claim"],
        Some("A1"),
        "Prosody accepts tokens for another audience, or the token names none",
        "set JWT_ACCEPTED_AUDIENCES in .env (asap_accepted_audiences in prosody.cfg.lua) to token.audience",
    ),
    pattern(
        &["room' claim is missing"],
        Some("A1"),
        "a client used a token without a room; the gateway issues no such token",
        "route clients through the gateway; token mint issues tokens for tests",
    ),
    pattern(
        &["invalid typ"],
        Some("A1"),
        "the token's header has another typ than JWT: it was not issued by the gateway, or changed",
        "set upstream.xmpp to Prosody itself, and route clients through the gateway",
    ),
    pattern(
        &["invalid `exp` value"],
        Some("C3"),
        "by Prosody's clock, a token had expired",
        "let both hosts follow NTP; Prosody tolerates no difference",
    ),
    pattern(
        &["invalid-mechanism"],
        Some("B4"),
        "Prosody does not accept logins by token: its token module did not start",
        "set ENABLE_AUTH=1 and AUTH_TYPE=jwt in .env (prosody.extraEnvs in jitsi-helm, authentication = \
         \"token\" in prosody.cfg.lua), and look in its log for the reason",
    ),
    pattern(
        &["'kid' claim"],
        Some("A1"),
        "Prosody fetches public keys, but the token is signed with a secret",
        "unset JWT_ASAP_KEYSERVER in .env (asap_key_server in prosody.cfg.lua), or use [[token.key]]",
    ),
    pattern(
        &["token required"],
        Some("A1"),
        "a client reached Prosody without a token: past the gateway, or a proxy removed the header",
        "route all paths to the gateway, and set upstream.xmpp to Prosody itself",
    ),
];

/// Refused rooms.
pub(super) const ROOMS: &[Pattern] = &[
    pattern(
        &["room and token mismatched"],
        Some("J2"),
        "Prosody compares the token's sub with the XMPP domain, and they differ",
        "set token.subject to XMPP_DOMAIN",
    ),
    pattern(
        &["token", "not allowed to join"],
        Some("J2"),
        "the token's sub or room is not that of the room",
        "set token.subject to XMPP_DOMAIN",
    ),
    pattern(
        &["room does not match the room from token"],
        None,
        "a client tried to enter a room with a token for another; Prosody kept them out",
        "nothing, if it is rare; otherwise find links to rooms that bypass the gateway",
    ),
    pattern(
        &["room does not exist"],
        Some("J1,J2"),
        "a client entered a room that Jicofo had not opened",
        "read Jicofo's log; make muc_mapper_domain_prefix and the first label of \
         XMPP_MUC_DOMAIN the same",
    ),
];
