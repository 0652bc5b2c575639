//! What it means that a server is not reached, in the same words for all of them.

use super::{Check, Finding, wire::WireError};

/// What to compare when a server is not reached: the key in our configuration, and the server's
/// own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which server, as `Prosody's HTTP port`.
    pub(super) server: &'static str,
    /// Our key, as `upstream.xmpp`.
    pub(super) key: &'static str,
    /// What to look at on the other side.
    pub(super) other_side: &'static str,
}

// === impl Place ===

impl Place {
    /// The finding that the server was not reached.
    pub(super) fn unreached(self, check: Check, sent: &str, error: &WireError) -> Finding {
        let Self {
            server,
            key,
            other_side,
        } = self;
        let (what, meaning, remedy) = match error {
            WireError::Name(name) => (
                "name",
                format!("the name {name} does not resolve here, so {server} cannot be reached"),
                format!(
                    "correct {key}; in Docker both have to be on one network (docker network \
                     inspect), in Kubernetes write the Service's full name"
                ),
            ),
            WireError::Refused(address) => (
                "refused",
                format!("nothing listens at {address}, where {server} should be"),
                format!("correct {key}, or start it: {other_side}"),
            ),
            WireError::Timeout(..) => (
                "timeout",
                format!("{server} does not answer, or something on the way drops packets"),
                format!(
                    "look at firewalls and at NetworkPolicies on the way to {key}; {other_side}"
                ),
            ),
            WireError::Tls(..) => (
                "tls",
                format!("no TLS with {server} comes about"),
                format!("look at its certificate and at {key}"),
            ),
            WireError::Broken(..) => (
                "broken",
                format!(
                    "what listens there does not speak HTTP, or gave up: it may not be {server}"
                ),
                format!("correct the port in {key}; {other_side}"),
            ),
        };
        Finding::error(check, what)
            .saw(sent, error.to_string())
            .so(meaning, remedy)
    }
}

/// Prosody's HTTP port.
pub(super) const PROSODY: Place = Place {
    server: "Prosody's HTTP port",
    key: "upstream.xmpp",
    other_side: "Docker's container listens at xmpp.meet.jitsi:5280, jitsi-helm's at \
                 <release>-prosody:5280, Debian's at 127.0.0.1:5280 (http_ports, http_interfaces)",
};

/// Jicofo's HTTP port.
pub(super) const JICOFO: Place = Place {
    server: "Jicofo's HTTP port",
    key: "--jicofo",
    other_side: "jicofo.rest.enabled (JICOFO_ENABLE_REST=1 in .env) opens it at port 8888",
};

/// Jitsi's web server.
pub(super) const WEB: Place = Place {
    server: "Jitsi's web server",
    key: "upstream.web",
    other_side: "Docker's container listens at web:80 (with DISABLE_HTTPS=1), jitsi-helm's at \
                 <release>-web:80",
};

/// Ourselves, from outside.
pub(super) const PUBLIC: Place = Place {
    server: "the public address",
    key: "public_url",
    other_side: "the gateway listens at listen.https or listen.http; from inside a cluster the \
                 balancer's address may not be reachable, then leave out C2, P1 and P2 with --only",
};
