//! Checks of rules against each other and against other sections.

use super::ReservationScope;
use crate::diagnostics::Section;
use model::policy::{Condition, EntryRule, Glob, Policy, Rule, StartRule, TenantScope};

/// Rejects rules whose rooms are all matched by one earlier rule.
pub(super) fn reject_unreachable(rules: &[Option<Rule>], root: &mut Section<'_>) {
    for (index, rule) in rules.iter().enumerate() {
        let Some(rule) = rule else { continue };
        let earlier = rules
            .iter()
            .take(index)
            .position(|other| other.as_ref().is_some_and(|other| covers(other, rule)));
        if let Some(earlier) = earlier {
            let position = earlier + 1;
            let location = root.entry("room", position).location().to_string();
            let what =
                format!("never reached: rule {position} ({location}) matches all of its rooms");
            let remedy = format!("move it above rule {position}, or remove it");
            root.entry("room", index + 1).reject("", what, remedy);
        }
    }
}

/// Rejects rules with a lobby that Prosody would not always learn of.
///
/// Its `mod_reservations` asks for it, and only for requests of clients of the main domain: a client of the guests'
/// domain would open the room without a lobby.
pub(super) fn reject_lobbies(
    policy: &Policy,
    reservations: ReservationScope,
    root: &mut Section<'_>,
) {
    let (what, remedy) = match reservations {
        ReservationScope::Nothing => (
            "requires [reservation]",
            "add [reservation] with listen, or remove the key",
        ),
        ReservationScope::MainDomain => (
            "guests could open the room without a lobby, because Prosody does not ask the gateway about rooms that \
             clients of guests.xmpp_domain open",
            "remove guests.xmpp_domain, so that guests have tokens, or remove the key",
        ),
        ReservationScope::AllDomains => return,
    };
    for (position, rule) in (1..).zip(policy.rules()) {
        if rule.lobby {
            root.entry("room", position).reject("lobby", what, remedy);
        }
    }
}

/// Rejects rules whose rooms no visitor could enter or open, if there are neither accounts nor
/// integrations. Closed rooms are intended.
pub(super) fn require_rooms_without_accounts(policy: &Policy, root: &mut Section<'_>) {
    for (position, rule) in (1..).zip(policy.rules()) {
        let EntryRule::Where(conditions) = &rule.enter else {
            continue;
        };
        let can_be_opened = match &rule.start {
            StartRule::Anyone => true,
            StartRule::Members | StartRule::Hosts => false,
            StartRule::Where(conditions) => admits_anonymous(conditions),
        };
        let mut entry = root.entry("room", position);
        if !admits_anonymous(conditions) {
            let what = "no visitor could enter: there is no [oidc] and no [[integration]]";
            let remedy = "add [oidc], or write enter = \"guest\" or \"open\"";
            entry.reject("enter", what, remedy);
        } else if !can_be_opened {
            let what = "no visitor could open the room: there is no [oidc] and no [[integration]]";
            let remedy = "add [oidc], or write start = \"anyone\"";
            entry.reject("start", what, remedy);
        }
    }
}

fn admits_anonymous(conditions: &[Condition]) -> bool {
    conditions
        .iter()
        .any(|condition| matches!(condition, Condition::Guest | Condition::Open))
}

/// Whether `earlier` matches every room of `later`. Only equal patterns and `*` are recognised.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let rooms = matches_all(&earlier.room) || earlier.room == later.room;
    let tenants = match (&earlier.tenant, &later.tenant) {
        (TenantScope::Any, _) => true,
        (TenantScope::Matching(earlier), TenantScope::Matching(later)) => {
            matches_all(earlier) || earlier == later
        }
        (earlier, later) => earlier == later,
    };
    rooms && tenants
}

fn matches_all(pattern: &Glob) -> bool {
    let text = pattern.to_string();
    !text.is_empty() && text.chars().all(|c| c == '*')
}
