//! Checks of Prosody's domains for guests and recorders: G1 and H1.

use config::Config;
use model::xml::Element;

use super::{
    Check, DoctorReport, Finding, FindingKind,
    client::{BoshError, BoshSession, XmppServer},
    options::Progress,
    prosody::ProsodyChecks,
    web::ConfigJs,
};

/// The checks of one Prosody.
pub(super) struct DomainChecks<'d> {
    pub(super) prosody: &'d ProsodyChecks<'d>,
    pub(super) config: &'d Config,
    pub(super) config_js: &'d ConfigJs,
    /// The MUC component.
    pub(super) muc: &'d str,
    pub(super) progress: &'d Progress<'d>,
}

/// Prosody's domain for people without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GuestDomain {
    /// Prosody has no such domain by a known name, or the domain demands a password.
    Absent,
    /// Prosody has the domain, and the gateway sends no guests there.
    Unused(String),
    /// The gateway sends guests there.
    Used(String),
    /// The gateway sends guests there, and they cannot log in.
    Unusable,
}

/// What a domain offers to a client that opens a stream to it.
enum Offer {
    /// Prosody does not have the domain.
    Nothing,
    Mechanisms(Vec<String>),
}

// === impl DomainChecks ===

impl DomainChecks<'_> {
    pub(super) async fn run(&self, report: &mut DoctorReport) -> GuestDomain {
        let guests = self.guests(report).await;
        if self.progress.begins(Check::RecorderDomain) {
            self.recorders(report).await;
        }
        guests
    }

    async fn guests(&self, report: &mut DoctorReport) -> GuestDomain {
        let selection = self.progress.selection;
        if !selection.has(Check::GuestDomain) && !selection.has(Check::GuestRoom) {
            return GuestDomain::Unusable;
        }
        self.progress.begins(Check::GuestDomain);
        let used = self.config.guests.xmpp_domain.as_deref();
        let main = &self.prosody.server.domain;
        let domain = used
            .map(ToOwned::to_owned)
            .or_else(|| self.config_js.anonymous_domain.clone())
            .unwrap_or_else(|| format!("guest.{main}"));
        let offer = match self.offer(&domain).await {
            Ok(offer) => offer,
            Err(error) => {
                report.skip([Check::GuestDomain], &error.to_string());
                return GuestDomain::Unusable;
            }
        };
        let anonymous = offer.has_anonymous();
        if used.is_none() {
            report.pass(Check::GuestDomain);
            return if anonymous {
                GuestDomain::Unused(domain)
            } else {
                GuestDomain::Absent
            };
        }
        let result = match offer {
            Offer::Nothing => Err(missing_guest_domain(&domain)),
            Offer::Mechanisms(offered) if !anonymous => Err(guests_need_more(&domain, &offered)),
            Offer::Mechanisms(_) if !is_below(self.muc, main) => {
                Err(rooms_elsewhere(self.muc, main))
            }
            Offer::Mechanisms(_) => Ok(()),
        };
        if report.record(Check::GuestDomain, result) {
            GuestDomain::Used(domain)
        } else {
            GuestDomain::Unusable
        }
    }

    async fn recorders(&self, report: &mut DoctorReport) {
        if self.config.server.recorders.is_empty() {
            report.skip(
                [Check::RecorderDomain],
                "listen.recorders names no recorder",
            );
            return;
        }
        let domains = &self.config.recorder_domains;
        for domain in domains {
            let result = match self.offer(domain).await {
                Ok(Offer::Nothing) => Err(missing_recorder_domain(domain)),
                Ok(offer) if offer.has_anonymous() => Err(recorders_without_password(domain)),
                Ok(Offer::Mechanisms(_)) => Ok(()),
                Err(error) => {
                    report.skip([Check::RecorderDomain], &error.to_string());
                    return;
                }
            };
            if !report.record(Check::RecorderDomain, result) {
                return;
            }
        }
        if let Some(hidden) = &self.config_js.hidden_domain
            && !domains.contains(hidden)
        {
            report.fail(page_hides_another(hidden, domains));
        }
    }

    async fn offer(&self, domain: &str) -> Result<Offer, BoshError> {
        let server = self.prosody.server.clone().at_domain(domain);
        match BoshSession::open(&server, None, self.prosody.random).await {
            Ok(session) => {
                let offered = mechanisms(session.features.as_ref());
                session.close().await;
                Ok(Offer::Mechanisms(offered))
            }
            Err(BoshError::Terminated(condition)) if XmppServer::is_absence(&condition) => {
                Ok(Offer::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

// === impl Offer ===

impl Offer {
    fn has_anonymous(&self) -> bool {
        matches!(self, Self::Mechanisms(offered) if offered.iter().any(|it| it == "ANONYMOUS"))
    }
}

fn mechanisms(features: Option<&Element>) -> Vec<String> {
    features
        .and_then(|features| features.find("mechanisms"))
        .map(|list| list.children().map(Element::text).collect())
        .unwrap_or_default()
}

/// Whether a component is below the main domain, as the gateway wants it of rooms for guests.
fn is_below(muc: &str, main: &str) -> bool {
    muc.split_once('.')
        .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(main))
}

fn missing_guest_domain(domain: &str) -> Finding {
    Finding::error(FindingKind::GuestDomainMissing)
        .with_exchange(
            format!("a BOSH session for {domain}, guests.xmpp_domain"),
            "host-unknown",
        )
        .with_remedy(
            "the gateway sends guests to a domain that Prosody does not have",
            "remove guests.xmpp_domain, so that guests have tokens; or, if they need a domain of \
             their own, set it to Prosody's (ENABLE_GUESTS=1 and XMPP_GUEST_DOMAIN in .env, \
             VirtualHost in prosody.cfg.lua)",
        )
}

fn guests_need_more(domain: &str, offered: &[String]) -> Finding {
    Finding::error(FindingKind::GuestDomainMechanism)
        .with_exchange(
            format!("a BOSH session for {domain}, guests.xmpp_domain, for its SASL mechanisms"),
            offered.join(", "),
        )
        .with_remedy(
            "guests have neither a token nor a password, and this domain does not take them",
            "remove guests.xmpp_domain, so that guests have tokens; or set it to the domain with \
             authentication = \"jitsi-anonymous\" (XMPP_GUEST_DOMAIN in .env, VirtualHost in \
             prosody.cfg.lua)",
        )
}

fn rooms_elsewhere(muc: &str, main: &str) -> Finding {
    Finding::error(FindingKind::GuestRoomsElsewhere)
        .with_exchange(
            "nothing: hosts.muc of config.js is read, and upstream.xmpp_domain",
            format!("rooms at {muc}, which is not directly below {main}"),
        )
        .with_remedy(
            "the gateway holds guests without a token to rooms below upstream.xmpp_domain, and \
             ends their connections elsewhere",
            "remove guests.xmpp_domain, so that guests have tokens; or rename the component of \
             rooms (XMPP_MUC_DOMAIN in .env, Component in prosody.cfg.lua)",
        )
}

fn missing_recorder_domain(domain: &str) -> Finding {
    Finding::error(FindingKind::RecorderDomainMissing)
        .with_exchange(
            format!("a BOSH session for {domain}, listen.recorder_domains"),
            "host-unknown",
        )
        .with_remedy(
            "recorders may log in only at a domain that Prosody does not have",
            "set listen.recorder_domains to the domain of their accounts (XMPP_HIDDEN_DOMAIN in \
             .env, which needs ENABLE_RECORDING=1; VirtualHost in prosody.cfg.lua, recorder.<domain> in Jibri's own guide)",
        )
}

fn recorders_without_password(domain: &str) -> Finding {
    Finding::danger(FindingKind::RecorderDomainAnonymous)
        .with_exchange(
            format!("a BOSH session for {domain}, listen.recorder_domains, for its SASL mechanisms"),
            "ANONYMOUS",
        )
        .with_remedy(
            "the domain accepts logins without a password, so a client at a recorder's address enters every room",
            "set authentication = \"internal_hashed\" for that VirtualHost, as docker-jitsi-meet has \
             it for XMPP_HIDDEN_DOMAIN, or correct listen.recorder_domains",
        )
}

fn page_hides_another(hidden: &str, domains: &[String]) -> Finding {
    Finding::error(FindingKind::RecorderPage)
        .with_exchange(
            "nothing: hiddenDomain of config.js is read",
            format!(
                "{hidden}, and listen.recorder_domains has {}",
                domains.join(", ")
            ),
        )
        .with_remedy(
            "Jitsi's page shows recorders of the gateway's domains as people, or recorders use the \
             page's domain and the gateway ends their connections",
            "make hiddenDomain (XMPP_HIDDEN_DOMAIN in .env, the VirtualHost in prosody.cfg.lua; alike for web and Prosody) and \
             listen.recorder_domains the same",
        )
}
