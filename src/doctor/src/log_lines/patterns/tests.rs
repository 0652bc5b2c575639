use super::*;
use crate::log_lines::{explain_log, symptoms::SYMPTOMS};

/// Lines as the programs write them, and a part of their explanation.
const LINES: &[(&str, &str)] = &[
    (
        "muc.meet.jitsi:token_verification error 'app_id' must not be empty",
        "JWT_APP_ID",
    ),
    (
        "error 'app_secret', 'asap_key_server or 'cacheKeysUrl' must be specified",
        "JWT_APP_SECRET",
    ),
    (
        "modulemanager error Unable to load module 'token_verification': /x: No such file",
        "any room",
    ),
    (
        "modulemanager error Unable to load module 'auth_token': No such file or directory",
        "every login fails",
    ),
    ("error Unable: module 'basexx' not found:", "lua-basexx"),
    (
        "warn No available SASL mechanisms, verify that the configured authentication module 'token' is loaded",
        "did not start",
    ),
    (
        "error requires a version of Prosody with util.async",
        "update",
    ),
    ("warn WARNING - empty tokens allowed", "JWT_ALLOW_EMPTY"),
    (
        "error Failed to start - unable to get parent hostname",
        "first label",
    ),
    (
        "warn Error verifying token err:not-allowed, reason:Invalid signature",
        "JWT_APP_SECRET",
    ),
    ("reason:could not obtain public key", "JWT_ASAP_KEYSERVER"),
    (
        "reason:Not acceptable by exp (61.0 sec since expired)",
        "NTP",
    ),
    ("reason:invalid 'iss' claim", "JWT_ACCEPTED_ISSUERS"),
    ("reason:invalid 'aud' claim", "JWT_ACCEPTED_AUDIENCES"),
    ("reason:Invalid or incorrect alg", "JWT_SIGN_TYPE"),
    ("reason:'kid' claim is missing", "JWT_ASAP_KEYSERVER"),
    ("reason:token required", "past the gateway"),
    (
        "Token x not allowed to join: Room and token mismatched",
        "token.subject",
    ),
    ("Room does not match the room from token", "kept them out"),
    ("Room does not exist", "Jicofo"),
    (
        "<h1>404</h1> Unknown host: 10.1.2.3",
        "upstream.xmpp_domain",
    ),
    (
        "<body type='terminate' condition='improper-addressing'/>",
        "upstream.xmpp_domain",
    ),
    (
        "POST /http-bind: condition='item-not-found'",
        "two Prosodys",
    ),
    (
        "nginx: host not found in upstream \"xmpp.meet.jitsi\"",
        "network",
    ),
    (
        "WebSocket connection to 'wss://localhost:8443/xmpp-websocket' failed",
        "PUBLIC_URL",
    ),
    (
        "WebSocket connection to 'wss://x/' failed: Unexpected response code: 200",
        "web server",
    ),
    (
        "WebSocket connection to 'wss://x/' failed: Unexpected response code: 403",
        "Origin",
    ),
    (
        "WebSocket connection to 'wss://x/' failed: Unexpected response code: 404",
        "mod_websocket",
    ),
    ("Strophe: request id 1.1 error 502 happened", "not reached"),
    ("POST https://x/http-bind?room=r 404 (Not Found)", "BOSH"),
    (
        "SEVERE: SASLError using SCRAM-SHA-1: not-authorized",
        "JICOFO_AUTH_PASSWORD",
    ),
    ("CONFERENCE FAILED: conference.focusDisconnected", "Jicofo"),
    ("Focus not available, retry in 8", "Jicofo"),
    ("conference.videobridgeNotAvailable", "bridge"),
    (
        "There are no operational bridges: no operational bridge",
        "bridge",
    ),
    (
        "CONNECTION FAILED: connection.passwordRequired",
        "refused the login",
    ),
    ("CONNECTION FAILED: connection.droppedError", "broke off"),
    (
        "upstream sent too big header while reading response header",
        "proxy_buffer_size",
    ),
    ("Invalid parameter: redirect_uri", "callback"),
    ("error=invalid_client", "client_secret_file"),
    ("WRONGPASS invalid username-password pair", "requirepass"),
    ("NOAUTH Authentication required.", "redis://"),
];

#[test]
fn each_pattern_matches_a_line_and_each_line_has_a_pattern() {
    let mut explained = Vec::new();
    for (line, expected) in LINES.iter().chain(SYMPTOMS) {
        let found = explain_log(line);
        assert_eq!(found.len(), 1, "{line}");
        let text = found[0].to_string();
        assert!(text.contains(expected), "{line}: {text}");
        explained.push(found[0].pattern);
    }
    for pattern in patterns() {
        assert!(explained.contains(&pattern), "{pattern:?}");
    }
}

#[test]
fn parts_are_lower_case_and_checks_exist() {
    for pattern in patterns() {
        assert!(
            pattern
                .parts
                .iter()
                .all(|part| *part == part.to_lowercase())
        );
        if let Some(checks) = pattern.checks {
            assert!(checks.parse::<crate::CheckSelection>().is_ok(), "{checks}");
        }
    }
}
