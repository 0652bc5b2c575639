//! `recorder_domains`: where recorders log in.

use crate::{diagnostics::Section, values::parse_domain};

/// The domains that are not for recorders.
#[derive(Clone, Copy)]
pub(in super::super) struct OtherDomains<'d> {
    /// Prosody's main domain; `None` with `[jaas]`, or if it is invalid.
    pub(in super::super) main: Option<&'d str>,
    pub(in super::super) guests: Option<&'d str>,
}

/// The domains in lower case; by default the one that docker-jitsi-meet has. A client from the address of a
/// recorder must not reach domains with other accounts, such as Jicofo's.
pub(in super::super) fn resolve_domains(
    configured: Option<Vec<String>>,
    others: OtherDomains<'_>,
    section: &mut Section<'_>,
) -> Option<Vec<String>> {
    let Some(configured) = configured else {
        let hidden = others.main.map(|main| format!("{HIDDEN}.{main}"));
        return Some(hidden.into_iter().collect());
    };
    let domains = section.parse_list("recorder_domains", configured, parse_domain)?;
    let remedy = "write the domain of their accounts, such as hidden.meet.jitsi";
    for (other, whose) in [
        (
            others.main,
            "upstream.xmpp_domain, where people need a token",
        ),
        (
            others.guests,
            "guests.xmpp_domain, where logins need no password",
        ),
    ] {
        if let Some(domain) = domains.iter().find(|domain| Some(domain.as_str()) == other) {
            section.reject("recorder_domains", format!("{domain} is {whose}"), remedy);
        }
    }
    Some(domains)
}

/// The first label of `XMPP_HIDDEN_DOMAIN` (docker-jitsi-meet).
const HIDDEN: &str = "hidden";
