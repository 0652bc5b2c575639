//! Lines as users report them, each with the setting that its explanation has to name.

pub(super) const SYMPTOMS: &[(&str, &str)] = &[
    // As Prosody starts.
    (
        "error Error in module auth_token: 'app_id' must not be empty",
        "JWT_APP_ID",
    ),
    (
        "Unable to load module 'auth_token': not found",
        "mod_auth_token.lua",
    ),
    (
        "Unable to load module 'token_verification': not found",
        "mod_token_verification.lua",
    ),
    ("module 'basexx' not found:", "lua-basexx"),
    (
        "No available SASL mechanisms, verify that the configured authentication module 'token' is loaded",
        "'app_id'",
    ),
    (
        "'app_secret', 'asap_key_server or 'cacheKeysUrl' must be specified",
        "JWT_APP_SECRET",
    ),
    ("requires a version of Prosody with util.async", "0.12"),
    ("WARNING - empty tokens allowed", "JWT_ALLOW_EMPTY"),
    // As people log in.
    ("Invalid signature", "JWT_APP_SECRET"),
    ("invalid 'iss' claim", "JWT_ACCEPTED_ISSUERS"),
    ("'iss' claim is missing", "JWT_ACCEPTED_ISSUERS"),
    ("Invalid issuer ('iss' claim)", "JWT_ACCEPTED_ISSUERS"),
    ("invalid 'aud' claim", "JWT_ACCEPTED_AUDIENCES"),
    ("'aud' claim is missing", "JWT_ACCEPTED_AUDIENCES"),
    ("Invalid audience ('aud' claim)", "JWT_ACCEPTED_AUDIENCES"),
    ("Invalid or incorrect alg", "JWT_SIGN_TYPE"),
    ("Invalid typ", "upstream.xmpp"),
    ("could not obtain public key", "JWT_ASAP_KEYSERVER"),
    ("'kid' claim is missing", "JWT_ASAP_KEYSERVER"),
    ("token required", "upstream.xmpp"),
    ("'room' claim is missing", "token mint"),
    ("Not acceptable by exp (60.0 sec since expired)", "NTP"),
    ("Authentication failed: Invalid `exp` value", "NTP"),
    ("Not acceptable by nbf", "NTP"),
    (
        "SASLError using SCRAM-SHA-1: not-authorized",
        "JICOFO_AUTH_PASSWORD",
    ),
    ("<invalid-mechanism/>", "AUTH_TYPE"),
    // Rooms.
    ("Room and token mismatched", "token.subject"),
    ("token abc not allowed to join room", "token.subject"),
    ("Room does not match the room from token", "links"),
    ("Room does not exist", "muc_mapper_domain_prefix"),
    // Addresses and hops.
    (
        "You have been disconnected. You may want to check your network connection",
        "PUBLIC_URL",
    ),
    (
        "POST https://meet.example.org/http-bind?room=x 404 (Not Found)",
        "upstream.xmpp_domain",
    ),
    ("Unknown host: 10.0.0.7", "XMPP_DOMAIN"),
    (
        "Strophe: request id 1.1 error 502 happened",
        "upstream.xmpp",
    ),
    (
        "host not found in upstream \"xmpp.meet.jitsi\"",
        "XMPP_SERVER",
    ),
    (
        "WebSocket connection to 'wss://localhost:8443/xmpp-websocket' failed",
        "PUBLIC_URL",
    ),
    (
        "WebSocket connection failed: Unexpected response code: 403",
        "public_url",
    ),
    (
        "WebSocket connection failed: Unexpected response code: 404",
        "ENABLE_XMPP_WEBSOCKET",
    ),
    (
        "WebSocket connection failed: Unexpected response code: 200",
        "ENABLE_XMPP_WEBSOCKET",
    ),
    (
        "WebSocket connection failed: Unexpected response code: 501",
        "Sec-WebSocket-Protocol",
    ),
    (
        "upstream timed out (110: Connection timed out) while reading response header, /http-bind",
        "proxy_read_timeout",
    ),
    (
        "<body type='terminate' condition='improper-addressing'/>",
        "XMPP_DOMAIN",
    ),
    (
        "http-bind: type=terminate condition=item-not-found",
        "one Prosody",
    ),
    (
        "upstream sent too big header while reading response header",
        "proxy_buffer_size",
    ),
    // Jicofo and the bridge.
    ("Conference focus not available, retry in 20", "Jicofo"),
    ("conference.focusDisconnected", "Jicofo"),
    ("conference.videobridgeNotAvailable", "bridge"),
    ("no bridge available", "bridge"),
    ("colibri-ws/default-id/x 403", "bridge"),
    (
        "wss://meet.example.org/colibri-ws/10.0.0.9/x failed: 504",
        "bridge",
    ),
    // The gateway's own neighbours.
    ("WRONGPASS invalid username-password pair", "store.url"),
    ("NOAUTH Authentication required.", "store.url"),
    ("MOVED 3999 127.0.0.1:6381", "store.url"),
];
