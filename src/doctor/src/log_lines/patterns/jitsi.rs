//! Lines of Jicofo, the bridge and clients about them.

use super::{Pattern, pattern};

/// Jicofo and bridges that are unavailable.
pub(super) const JICOFO_AND_BRIDGE: &[Pattern] = &[
    pattern(
        &["saslerror", "not-authorized"],
        Some("J1"),
        "Jicofo or a bridge has another password than Prosody, often after an upgrade generated \
         new ones",
        "set fixed JICOFO_AUTH_PASSWORD and JVB_AUTH_PASSWORD, and restart Prosody",
    ),
    pattern(
        &["focusdisconnected"],
        Some("J1"),
        "Jicofo is not available to the client",
        "read Jicofo's log, and check that it is logged in at Prosody",
    ),
    pattern(
        &["focus not available"],
        Some("J1"),
        "Jicofo is not available to the client",
        "read Jicofo's log, and check that it is logged in at Prosody",
    ),
    pattern(
        &["videobridgenotavailable"],
        None,
        "Jicofo has no bridge",
        "check that the bridge runs and joined the brewery room; its log has the server",
    ),
    pattern(
        &["no operational bridge"],
        None,
        "Jicofo has no bridge",
        "check that the bridge runs and joined the brewery room; its log has the server",
    ),
    pattern(
        &["no bridge available"],
        Some("J5"),
        "Jicofo has no bridge",
        "check that the bridge runs and joined the brewery room (JVB_BREWERY_MUC, \
         JVB_AUTH_PASSWORD)",
    ),
    pattern(
        &["colibri-ws", "403"],
        None,
        "the bridge no longer has the conference: media did not arrive before",
        "open the bridge's UDP port 10000, and set JVB_ADVERTISE_IPS in .env (static-mappings in jvb.conf)",
    ),
    pattern(
        &["colibri-ws", "504"],
        None,
        "the web container does not reach the bridge by the id in the address",
        "make the bridge's server id a name or address that web reaches (JVB_WS_SERVER_ID in .env, \
         videobridge.websockets.server-id in jvb.conf)",
    ),
    pattern(
        &["connection.passwordrequired"],
        Some("A1"),
        "Prosody refused the login; the text after it has the reason",
        "explain Prosody's own line of that moment",
    ),
    pattern(
        &["connection.droppederror"],
        Some("B1,S1"),
        "the connection to Prosody broke off",
        "look for a proxy with a time-out in between: 60 s is too short for BOSH",
    ),
];
