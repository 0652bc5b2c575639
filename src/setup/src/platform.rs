//! Where Jitsi runs, and what the gateway is therefore told.

use std::{fmt, str::FromStr};

use crate::InvalidAnswer;

/// How the Jitsi is installed that the gateway is put in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// docker-jitsi-meet: the gateway is a further service of the Compose project.
    Docker,
    /// The Debian packages of jitsi-meet: the gateway is a service of the same machine.
    Debian,
    /// A cluster: the gateway is installed with its Helm chart.
    Kubernetes,
}

/// Where the gateway finds the servers of a platform.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlatformAddresses {
    /// `upstream.web`.
    pub(crate) web: &'static str,
    /// `upstream.xmpp`.
    pub(crate) xmpp: &'static str,
    /// `listen.http`.
    pub(crate) http: &'static str,
    /// `listen.https`.
    pub(crate) https: &'static str,
    /// The directory of the secrets, as the gateway sees it, with the last slash.
    pub(crate) secrets: &'static str,
    /// The directory of the certificate, as the gateway sees it, with the last slash.
    pub(crate) certificates: &'static str,
    /// `store.directory`; empty where a replica has no disk.
    pub(crate) state: &'static str,
}

// === impl Platform ===

impl Platform {
    /// All platforms, in the order of the question.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Debian, Self::Kubernetes];

    /// The word for the platform in options and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Debian => "debian",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// What the question says about it.
    pub fn description(self) -> &'static str {
        match self {
            Self::Docker => "docker-jitsi-meet, with Docker Compose",
            Self::Debian => "the Debian packages of jitsi-meet, on this machine",
            Self::Kubernetes => "a cluster, with Helm",
        }
    }

    /// Prosody's `VirtualHost`, unless it was changed.
    pub(crate) fn xmpp_domain(self, host: &str) -> String {
        match self {
            Self::Docker | Self::Kubernetes => "meet.jitsi".to_owned(),
            // The packages name everything after the host.
            Self::Debian => host.to_owned(),
        }
    }

    pub(crate) fn addresses(self) -> PlatformAddresses {
        match self {
            Self::Docker => PlatformAddresses {
                web: "http://web:8000",
                xmpp: "http://xmpp.meet.jitsi:5280",
                http: "0.0.0.0:8080",
                https: "0.0.0.0:8443",
                secrets: "/etc/gateway/secrets/",
                certificates: "/etc/gateway/certs/",
                state: "/var/lib/jitsi-auth-gateway",
            },
            Self::Debian => PlatformAddresses {
                web: "http://127.0.0.1:8000",
                xmpp: "http://127.0.0.1:5280",
                http: "0.0.0.0:80",
                https: "0.0.0.0:443",
                secrets: "",
                certificates: "",
                state: "/var/lib/jitsi-auth-gateway",
            },
            Self::Kubernetes => PlatformAddresses {
                web: "http://jitsi-jitsi-meet-web",
                xmpp: "http://jitsi-jitsi-meet-prosody:5280",
                http: "0.0.0.0:8080",
                https: "",
                secrets: "/etc/gateway/secret/",
                certificates: "",
                state: "",
            },
        }
    }

    /// The names of the files with secrets: session key, Prosody's secret, client secret.
    pub(crate) fn secret_files(self) -> [&'static str; 3] {
        match self {
            Self::Docker | Self::Debian => ["session.key", "prosody.secret", "oidc.secret"],
            // The entries of the chart's Secret.
            Self::Kubernetes => ["session-key", "app-secret", "client-secret"],
        }
    }

    /// The page of the documentation about it.
    pub(crate) fn page(self) -> &'static str {
        match self {
            Self::Docker => "docs/compose.md",
            Self::Debian => "docs/debian.md",
            Self::Kubernetes => "docs/kubernetes.md",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Platform {
    type Err = InvalidAnswer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|own| own.name() == name);
        found.ok_or(InvalidAnswer("answer docker, debian or kubernetes"))
    }
}
