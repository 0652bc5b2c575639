//! Checks of an open room from other domains, and with the token of another tenant: J7, G2 and H2.

use model::room::RoomKey;

use super::{JoinResult, RoomChecks};
use crate::{
    Check, DoctorReport, Finding, FindingKind,
    client::{BoshError, BoshSession, Refusal},
    options::RecorderAccount,
    xmpp_domains::GuestDomain,
};

/// What the checks compare with Prosody's behaviour.
pub(crate) struct OtherEntrants<'o> {
    pub(crate) guests: GuestDomain,
    /// Whether the gateway takes Prosody to compare tenants.
    pub(crate) verifies_domains: bool,
    pub(crate) recorder: Option<&'o RecorderAccount>,
    /// Where the gateway lets recorders log in.
    pub(crate) recorder_domains: &'o [String],
}

// === impl RoomChecks ===

impl RoomChecks<'_> {
    pub(super) async fn other_entrants(&self, room: &RoomKey, report: &mut DoctorReport) {
        self.other_tenant(room, report).await;
        self.guest(room, report).await;
        self.recorder(room, report).await;
    }

    /// J7: a token of another tenant must not open the room.
    async fn other_tenant(&self, room: &RoomKey, report: &mut DoctorReport) {
        if !self.progress.begins(Check::Tenants) {
            return;
        }
        if !self.entrants.verifies_domains {
            report.skip([Check::Tenants], "token.domain_verification is not set");
            return;
        }
        let result = match self.prosody.tokens.of_other_subject(room) {
            Ok(token) => self.join_with(&token, room).await,
            Err(error) => Err(BoshError::Terminated(error.to_string())),
        };
        match result {
            Ok(Err(_)) => report.pass(Check::Tenants),
            Ok(Ok(_)) => report.fail(tenants_not_compared()),
            Err(error) => report.skip([Check::Tenants], &error.to_string()),
        }
    }

    async fn join_with(&self, token: &str, room: &RoomKey) -> JoinResult {
        let mut session = self.prosody.open(Some(token)).await?;
        let result = self.log_in_and_join(&mut session, room).await;
        session.close().await;
        result
    }

    /// G2: guests without a token enter their room, if the gateway sends them, and else none.
    async fn guest(&self, room: &RoomKey, report: &mut DoctorReport) {
        if !self.progress.begins(Check::GuestRoom) {
            return;
        }
        let (domain, used) = match &self.entrants.guests {
            GuestDomain::Absent => return report.pass(Check::GuestRoom),
            GuestDomain::Unusable => return report.skip([Check::GuestRoom], "G1 did not pass"),
            GuestDomain::Unused(domain) => (domain, false),
            GuestDomain::Used(domain) => (domain, true),
        };
        match (self.join_from(domain, None, room).await, used) {
            (Ok(Ok(_)), true) | (Ok(Err(_)), false) => report.pass(Check::GuestRoom),
            (Ok(Ok(_)), false) => report.fail(guest_domain_open(domain)),
            (Ok(Err(refusal)), true) => report.fail(guests_refused(domain, &refusal)),
            (Err(error), _) => report.skip([Check::GuestRoom], &error.to_string()),
        }
    }

    /// H2: a recorder enters a room.
    async fn recorder(&self, room: &RoomKey, report: &mut DoctorReport) {
        if !self.progress.begins(Check::RecorderRoom) {
            return;
        }
        let Some(account) = self.entrants.recorder else {
            report.skip([Check::RecorderRoom], "--recorder sets the account of one");
            return;
        };
        if !self.entrants.recorder_domains.contains(&account.domain) {
            report.fail(recorder_elsewhere(account, self.entrants.recorder_domains));
            return;
        }
        match self.join_from(&account.domain, Some(account), room).await {
            Ok(Ok(_)) => report.pass(Check::RecorderRoom),
            Ok(Err(refusal)) => report.fail(recorder_refused(&account.domain, &refusal)),
            Err(error) => report.skip([Check::RecorderRoom], &error.to_string()),
        }
    }

    /// Logs in at another domain, by password or anonymously, and joins. A refused login is a refusal
    /// without the address of a room.
    async fn join_from(
        &self,
        domain: &str,
        account: Option<&RecorderAccount>,
        room: &RoomKey,
    ) -> JoinResult {
        let server = self.prosody.server.clone().at_domain(domain);
        let mut session = BoshSession::open(&server, None, self.prosody.random).await?;
        if let Some(account) = account
            && let Err(refusal) = session.log_in_as(&account.user, &account.password).await?
        {
            session.close().await;
            return Ok(Err(refusal));
        }
        let result = if account.is_some() {
            session.bind().await?;
            self.join(&mut session, room, FOURTH).await
        } else {
            self.log_in_and_join(&mut session, room).await
        };
        session.close().await;
        result
    }

    async fn log_in_and_join(&self, session: &mut BoshSession, room: &RoomKey) -> JoinResult {
        if let Err(refusal) = session.log_in().await? {
            return Ok(Err(refusal));
        }
        session.bind().await?;
        self.join(session, room, FOURTH).await
    }
}

fn tenants_not_compared() -> Finding {
    Finding::danger(FindingKind::TenantsNotCompared)
        .with_exchange(
            "a token of another tenant, entering a test room",
            "the room was entered",
        )
        .with_remedy(
            "token.domain_verification says that Prosody compares tenants, and it does not: rules \
             of one tenant hold in no other",
            "set JWT_ENABLE_DOMAIN_VERIFICATION=true in .env (enable_domain_verification = true in \
             the VirtualHost of upstream.xmpp_domain in prosody.cfg.lua; in the rooms' component it has no effect), and \
             name the recorders' domain in token_verification_allowlist",
        )
}

fn guest_domain_open(domain: &str) -> Finding {
    Finding::danger(FindingKind::GuestDomainOpen)
        .with_exchange(
            format!("an anonymous login at {domain}, entering a test room"),
            "the room was entered",
        )
        .with_remedy(
            "the gateway does not use Prosody's domain for guests, and a client that reaches Prosody past \
             the gateway enters every room from there",
            "set ENABLE_GUESTS=0 in .env (remove the VirtualHost from prosody.cfg.lua): guests of the \
             gateway have tokens. If the domain has to stay, set \
             JWT_ENABLE_DOMAIN_VERIFICATION=true, and do not name it in token_verification_allowlist",
        )
}

fn guests_refused(domain: &str, refusal: &Refusal) -> Finding {
    Finding::error(FindingKind::GuestsRefused)
        .with_exchange(
            format!("an anonymous login at {domain}, guests.xmpp_domain, entering a test room"),
            refusal.to_string(),
        )
        .with_remedy(
            "the gateway sends guests to this domain without a token, and Prosody's domain \
             verification refuses every room without one",
            "remove guests.xmpp_domain, so that guests have tokens, and set ENABLE_GUESTS=0 in .env \
             (remove the VirtualHost from prosody.cfg.lua). If guests need the domain, name it in token_verification_allowlist \
             (XMPP_MUC_CONFIGURATION), and make Prosody reachable by the gateway only",
        )
}

fn recorder_elsewhere(account: &RecorderAccount, domains: &[String]) -> Finding {
    Finding::error(FindingKind::RecorderElsewhere)
        .with_exchange(
            "nothing: the account of --recorder is read, and listen.recorder_domains",
            format!("{}, and {}", account.domain, domains.join(", ")),
        )
        .with_remedy(
            "the gateway ends the connection of a recorder with this account",
            "set listen.recorder_domains to the domain of the recorders' accounts",
        )
}

fn recorder_refused(domain: &str, refusal: &Refusal) -> Finding {
    let got = refusal.to_string();
    let sent = format!("a recorder of {domain}, entering a test room");
    if refusal.condition == "not-authorized" {
        return Finding::error(FindingKind::RecorderLogin)
            .with_exchange(sent, got)
            .with_remedy(
                "Prosody does not have this account, or it has another password",
                "compare JIBRI_RECORDER_USER and JIBRI_RECORDER_PASSWORD in .env of Jibri and \
                 Prosody (call-login in jibri.conf, and prosodyctl) with the file of --recorder",
            );
    }
    Finding::error(FindingKind::RecorderRefused)
        .with_exchange(sent, got)
        .with_remedy(
            "recorders have no token, and Prosody's domain verification admits no client without one to \
             a room",
            format!(
                "set XMPP_MUC_CONFIGURATION='token_verification_allowlist = {{ \"{domain}\" }}' in \
                 .env (the line in the rooms' component of prosody.cfg.lua)"
            ),
        )
}

/// Another nick than those of the occupants of the room.
const FOURTH: &str = "doctor4";
