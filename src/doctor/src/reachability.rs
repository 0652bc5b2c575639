//! Findings for servers that give no HTTP response, with the same texts for all of them.

use super::{Check, Finding, FindingKind, NetworkFault, client::HttpError};

/// The settings to compare when a server cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerHints {
    /// The server, as `Prosody's HTTP port`.
    server: &'static str,
    /// The gateway's setting, as `upstream.xmpp`.
    key: &'static str,
    /// The server's own settings.
    other_side: &'static str,
}

// === impl ServerHints ===

impl ServerHints {
    /// The finding of a check that did not reach the server.
    pub(super) fn unreached(self, check: Check, sent: &str, error: &HttpError) -> Finding {
        let Self {
            server,
            key,
            other_side,
        } = self;
        let (fault, meaning, remedy) = match error {
            HttpError::Name(name) => (
                NetworkFault::Name,
                format!("the name {name} does not resolve here, so {server} cannot be reached"),
                format!(
                    "correct {key}; in Docker both have to be on one network (docker network \
                     inspect), in Kubernetes write the Service's full name"
                ),
            ),
            HttpError::Refused(address) => (
                NetworkFault::Refused,
                format!("nothing listens at {address}, the address of {server}"),
                format!("correct {key}, or start the server: {other_side}"),
            ),
            HttpError::Timeout(..) => (
                NetworkFault::Timeout,
                format!("{server} does not respond, or a firewall on the way drops packets"),
                format!("check firewalls and NetworkPolicies on the way to {key}; {other_side}"),
            ),
            HttpError::Tls(..) => (
                NetworkFault::Tls,
                format!("the TLS handshake with {server} fails"),
                format!("check its certificate, and {key}"),
            ),
            HttpError::Broken(..) => (
                NetworkFault::Broken,
                format!("the server there does not speak HTTP, or failed: it may not be {server}"),
                format!("correct the port in {key}; {other_side}"),
            ),
        };
        Finding::error(FindingKind::Unreached(check, fault))
            .with_exchange(sent, error.to_string())
            .with_remedy(meaning, remedy)
    }
}

// === impl Check ===

impl Check {
    /// Whether the check reports a server that it cannot reach as [`FindingKind::Unreached`].
    pub(super) const fn contacts_server(self) -> bool {
        matches!(
            self,
            Self::Certificate
                | Self::WebPage
                | Self::WebConfig
                | Self::Locations
                | Self::ConferenceRequests
                | Self::BoshEndpoint
                | Self::BoshSession
                | Self::BoshAffinity
                | Self::PublicKeys
                | Self::ValidToken
                | Self::Bridges
                | Self::PublicAddress
        )
    }
}

/// Prosody's HTTP port.
pub(super) const PROSODY: ServerHints = ServerHints {
    server: "Prosody's HTTP port",
    key: "upstream.xmpp",
    other_side: "Docker's container listens at xmpp.meet.jitsi:5280, jitsi-helm's at \
                 <release>-prosody:5280, Debian's at 127.0.0.1:5280 (http_ports, http_interfaces)",
};

/// Jicofo's HTTP port.
pub(super) const JICOFO: ServerHints = ServerHints {
    server: "Jicofo's HTTP port",
    key: "--jicofo",
    other_side: "jicofo.rest.enabled in jicofo.conf (JICOFO_ENABLE_REST=1 in .env) opens port 8888",
};

/// Jicofo's HTTP port, for conference requests.
pub(super) const UPSTREAM_JICOFO: ServerHints = ServerHints {
    key: "upstream.jicofo",
    ..JICOFO
};

/// Jitsi's web server.
pub(super) const WEB: ServerHints = ServerHints {
    server: "Jitsi's web server",
    key: "upstream.web",
    other_side: "Docker's container listens at web:8000 (web:80 before stable-11146), jitsi-helm's at \
                 <release>-web:80, Debian's nginx where its site file says (docs/debian.md: 127.0.0.1:8000)",
};

/// A server of a location.
pub(super) const LOCATION: ServerHints = ServerHints {
    server: "the server of the location",
    key: "upstream of this [[location]]",
    other_side: "it has to listen at an address that the gateway reaches, not at its own loopback",
};

/// The gateway itself, at its public address.
pub(super) const PUBLIC: ServerHints = ServerHints {
    server: "the public address",
    key: "public_url",
    other_side: "the gateway listens at listen.https or listen.http; from inside a cluster the \
                 load balancer's address may not be reachable, then leave out C2, P1 and P2 \
                 with --only",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_contact_a_server_have_an_id_for_each_fault() {
        let error = HttpError::Refused("10.0.0.7:5280".to_owned());
        let finding = PROSODY.unreached(Check::BoshEndpoint, "", &error);
        assert_eq!(finding.id(), "B1.refused");
        assert!(FindingKind::all().any(|kind| kind == finding.kind));
    }
}
