//! Settings of the request path.

use std::{sync::Arc, time::Duration};

use cluster::placement::Placement;
use model::{
    headers::TrustedProxies,
    identity::Standing,
    jaas::JaasSettings,
    policy::Role,
    route::SiteLocation,
    seal::Keyring,
    session::{Principal, SessionSettings},
};
use observe::traces::Traces;
use pages::{Pages, StartPage};

use crate::{
    limits::Limits,
    upstream::{RegionSettings, UpstreamSettings},
};

/// What the request path needs to know.
#[derive(Debug)]
pub struct ProxySettings {
    /// `https://host[:port]`, no slash at the end.
    pub origin: String,
    /// `host[:port]`.
    pub authority: String,
    /// Peers whose word on the client is believed.
    pub trusted_proxies: TrustedProxies,
    /// How long sessions live.
    pub session: SessionSettings,
    /// Seals cookies.
    pub keyring: Keyring,
    /// What carries the meetings.
    pub backend: MeetingBackend,
    /// The gateway's own pages.
    pub pages: Pages,
    /// The page at `/`.
    pub start: StartPage,
    /// How guests come and stay.
    pub guests: GuestSettings,
    /// The native apps that a sign-in returns to.
    pub apps: AppLinks,
    /// Recorders, which come without signing in and have credentials of their own.
    pub recorders: RecorderSettings,
    /// Where the regions of people come from.
    pub region: RegionSettings,
    /// Origins of sites that may show rooms in frames, besides those of integrations.
    pub embedding_sites: Vec<String>,
    /// The locations of the configuration.
    pub locations: Vec<SiteLocation>,
    /// Bounds on what clients may hold.
    pub limits: Limits,
    /// Whether each request gets a line in the log.
    pub access_log: bool,
    /// Where each request gets a span, if anywhere.
    pub traces: Option<Traces>,
}

/// What carries the meetings.
#[derive(Clone, Debug)]
pub enum MeetingBackend {
    /// A Jitsi behind the gateway.
    Jitsi {
        /// What its shards have in common.
        upstream: UpstreamSettings,
        /// Which shard each room is on.
        placement: Arc<Placement>,
    },
    /// 8x8, beside it.
    Jaas(JaasSettings),
}

/// The names by which links open native apps (jitsi-meet `config.js`, `deeplinking`).
#[derive(Clone, Debug)]
pub struct AppLinks {
    /// The URL scheme of the app for iOS.
    pub ios_scheme: String,
    /// The URL scheme of the app for Android.
    pub android_scheme: String,
    /// The package of the app for Android.
    pub android_package: String,
    /// The URL scheme of the app for desktops.
    pub desktop_scheme: String,
}

// === impl AppLinks ===

impl Default for AppLinks {
    /// Jitsi's own apps.
    fn default() -> Self {
        Self {
            ios_scheme: "org.jitsi.meet".to_owned(),
            android_scheme: "org.jitsi.meet".to_owned(),
            android_package: "org.jitsi.meet".to_owned(),
            desktop_scheme: "jitsi-meet".to_owned(),
        }
    }
}

/// Which clients are recorders, and where they log in.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// Their addresses.
    pub networks: TrustedProxies,
    /// Prosody's domains for them.
    pub domains: Arc<[String]>,
}

/// How guests come and stay.
#[derive(Clone, Debug)]
pub struct GuestSettings {
    /// How long a guest, or anybody else with a pass to one room, is known.
    pub lifetime: Duration,
    /// How long a guest link can be used.
    pub link_lifetime: Duration,
    /// How long a host link can be used.
    pub host_link_lifetime: Duration,
    /// Prosody's domain for guests, where they come without a token.
    pub xmpp_domain: Option<String>,
}

// === impl GuestSettings ===

impl GuestSettings {
    /// Whether Prosody is to see a principal without a token, on its guests' domain.
    pub(crate) fn is_tokenless(&self, principal: &Principal, role: Role) -> bool {
        self.xmpp_domain.is_some()
            && role == Role::Participant
            && match principal.standing() {
                Standing::Guest => true,
                Standing::Invited(invited) => !invited.member,
                Standing::Member | Standing::Embedded(_) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Deployment, embedded, invited};

    #[test]
    fn only_participants_without_an_account_come_to_the_guest_domain_without_a_token() {
        let deployment = Deployment::new();
        let settings = |domain: Option<&str>| GuestSettings {
            lifetime: Duration::ZERO,
            link_lifetime: Duration::ZERO,
            host_link_lifetime: Duration::ZERO,
            xmpp_domain: domain.map(ToOwned::to_owned),
        };
        let pass = |standing| Principal::Pass(deployment.pass("x", standing));
        let member = deployment.session("ann");
        let by_link = deployment.pass("x", invited("l1"));
        for (principal, role, tokenless) in [
            (pass(Standing::Guest), Role::Participant, true),
            (pass(Standing::Guest), Role::Moderator, false),
            (pass(invited("l1")), Role::Participant, true),
            (pass(embedded("moodle")), Role::Participant, false),
            (Principal::Member(member.clone()), Role::Participant, false),
            (
                Principal::combine(member, by_link),
                Role::Participant,
                false,
            ),
        ] {
            let case = format!("{principal:?} {role:?}");
            let guests = settings(Some("guest.meet.jitsi"));
            assert_eq!(guests.is_tokenless(&principal, role), tokenless, "{case}");
            assert!(!settings(None).is_tokenless(&principal, role), "{case}");
        }
    }
}
