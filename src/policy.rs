//! The rules: who may enter which room, and as what.
//!
//! [`Policy::decide`] is the only place where an [`Admission`] is made, from values alone: no clock,
//! no I/O. Rules are tried in order and the first whose room and tenant fit decides.

mod glob;
mod matcher;

use std::fmt;

pub use self::{
    glob::Glob,
    matcher::{Matcher, MatcherError},
};
use crate::{identity::Identity, room::RoomKey};

/// All rules, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// One `[[room]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which rooms, by their readable canonical name.
    pub room: Glob,
    /// Which tenants.
    pub tenant: TenantScope,
    /// Who may enter.
    pub enter: Enter,
    /// Who is moderator among those who may enter; anybody whom one condition fits.
    pub moderators: Vec<Matcher>,
}

/// Which tenants a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantScope {
    /// Any tenant, and rooms without one.
    Any,
    /// Only rooms without a tenant.
    None,
    /// Tenants that fit.
    Matching(Glob),
}

/// Who may enter a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enter {
    /// Nobody.
    Closed,
    /// Anybody whom one of the conditions fits.
    Where(Vec<Matcher>),
}

/// The policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission<'p> {
    /// Enter, in this role.
    Admit(Grant<'p>),
    /// Only somebody who signed in can be told more.
    SignIn,
    /// Not this person, not this room.
    Refuse(Refusal),
}

/// The permission to enter one room. Only [`Policy::decide`] makes one, and tokens are minted only
/// from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'p> {
    role: Role,
    rule: usize,
    by: Option<&'p Matcher>,
}

/// What somebody is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May mute, remove, record; in XMPP terms an owner of the room.
    Moderator,
    /// Anybody else.
    Participant,
}

/// Why somebody may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No rule is for the room.
    #[error("no rule is for this room")]
    NoRule,
    /// The rule that is for the room closes it.
    #[error("rule {rule} closes this room")]
    Closed {
        /// Position of the rule, from 1.
        rule: usize,
    },
    /// The person meets none of the rule's conditions.
    #[error("rule {rule} lets other people in")]
    NotAllowed {
        /// Position of the rule, from 1.
        rule: usize,
    },
}

// === impl Policy ===

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Decides whether the person, or nobody in particular, may enter the room.
    pub fn decide(&self, room: &RoomKey, person: Option<&Identity>) -> Admission<'_> {
        let fits = |rule: &&Rule| rule.is_for(room);
        let Some((position, rule)) = (1..).zip(&self.rules).find(|(_, rule)| fits(rule)) else {
            return Admission::Refuse(Refusal::NoRule);
        };
        let Enter::Where(conditions) = &rule.enter else {
            return Admission::Refuse(Refusal::Closed { rule: position });
        };
        let Some(person) = person else {
            return Admission::SignIn;
        };
        if !conditions.iter().any(|condition| condition.matches(person)) {
            return Admission::Refuse(Refusal::NotAllowed { rule: position });
        }
        let by = rule
            .moderators
            .iter()
            .find(|condition| condition.matches(person));
        let role = if by.is_some() {
            Role::Moderator
        } else {
            Role::Participant
        };
        Admission::Admit(Grant {
            role,
            rule: position,
            by,
        })
    }

    /// Whether some rule asks about this group, so that a session has to remember it.
    pub fn names_group(&self, group: &str) -> bool {
        self.conditions().any(|condition| match condition {
            Matcher::Group(pattern) => pattern.matches(group),
            _ => false,
        })
    }

    /// The paths of the claims that some rule asks about.
    pub fn claim_paths(&self) -> impl Iterator<Item = &str> {
        self.conditions().filter_map(|condition| match condition {
            Matcher::Claim { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn conditions(&self) -> impl Iterator<Item = &Matcher> {
        self.rules.iter().flat_map(|rule| {
            let entering: &[Matcher] = match &rule.enter {
                Enter::Closed => &[],
                Enter::Where(conditions) => conditions,
            };
            entering.iter().chain(&rule.moderators)
        })
    }
}

// === impl TenantScope ===

impl TenantScope {
    /// Tenants that fit a pattern, which may have dots where [tenants](crate::room::Tenant) have
    /// underscores.
    pub fn matching(pattern: &str) -> Self {
        Self::Matching(Glob::folded(&pattern.replace('.', "_")))
    }

    /// Whether the room is of such a tenant.
    pub fn has(&self, room: &RoomKey) -> bool {
        match (self, room.tenant()) {
            (Self::Any, _) | (Self::None, None) => true,
            (Self::None, Some(_)) | (Self::Matching(_), None) => false,
            (Self::Matching(pattern), Some(tenant)) => pattern.matches(tenant.as_str()),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn is_for(&self, room: &RoomKey) -> bool {
        self.tenant.has(room) && self.room.matches(&room.readable())
    }
}

// === impl Grant ===

impl Grant<'_> {
    /// The role in the room.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The position of the rule that decided, from 1.
    pub fn rule(&self) -> usize {
        self.rule
    }
}

/// What decided, in words for the audit line.
impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.rule)?;
        self.by
            .map_or(Ok(()), |by| write!(f, ", moderator by {by}"))
    }
}

// === impl Role ===

impl Role {
    /// The word for logs, metrics and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Participant => "participant",
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Closed { .. } => "closed",
            Self::NotAllowed { .. } => "not_allowed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(room: &str, enter: &[&str], moderators: &[&str]) -> Rule {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Rule {
            room: Glob::folded(room),
            tenant: TenantScope::Any,
            enter: if enter.is_empty() {
                Enter::Closed
            } else {
                Enter::Where(parse(enter))
            },
            moderators: parse(moderators),
        }
    }

    fn room(tenant: Option<&str>, name: &str) -> RoomKey {
        RoomKey::from_page(tenant, name).unwrap().key
    }

    fn person(groups: &[&str]) -> Identity {
        Identity {
            subject: "1".to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Identity::default()
        }
    }

    fn role(admission: &Admission<'_>) -> Option<Role> {
        match admission {
            Admission::Admit(grant) => Some(grant.role()),
            _ => None,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = Policy::new(vec![
            rule("Board *", &["group:board"], &["group:board"]),
            rule("old-*", &[], &[]),
            rule("*", &["member"], &["group:staff"]),
        ]);
        let board = room(None, "Board%20Meeting");
        assert_eq!(
            role(&policy.decide(&board, Some(&person(&["board"])))),
            Some(Role::Moderator)
        );
        assert_eq!(
            policy.decide(&board, Some(&person(&["staff"]))),
            Admission::Refuse(Refusal::NotAllowed { rule: 1 })
        );
        assert_eq!(
            policy.decide(&room(None, "OLD-x"), Some(&person(&["staff"]))),
            Admission::Refuse(Refusal::Closed { rule: 2 })
        );
        let other = room(None, "x");
        assert_eq!(
            role(&policy.decide(&other, Some(&person(&[])))),
            Some(Role::Participant)
        );
        let staff = person(&["staff"]);
        let admission = policy.decide(&other, Some(&staff));
        assert_eq!(role(&admission), Some(Role::Moderator));
        let Admission::Admit(grant) = admission else {
            unreachable!()
        };
        assert_eq!(grant.to_string(), "rule 3, moderator by group:staff");
        assert_eq!(policy.decide(&other, None), Admission::SignIn);
    }

    #[test]
    fn no_rule_means_nobody() {
        let policy = Policy::new(vec![rule("a", &["member"], &[])]);
        let admission = policy.decide(&room(None, "b"), Some(&person(&[])));
        assert_eq!(admission, Admission::Refuse(Refusal::NoRule));
        assert_eq!(
            policy.decide(&room(None, "b"), None),
            Admission::Refuse(Refusal::NoRule)
        );
    }

    #[test]
    fn tenants_scope_rules() {
        let scoped = |tenant| {
            Policy::new(vec![Rule {
                tenant,
                ..rule("*", &["member"], &[])
            }])
        };
        let someone = person(&[]);
        let enters = |policy: &Policy, tenant| {
            role(&policy.decide(&room(tenant, "x"), Some(&someone))).is_some()
        };
        let none = scoped(TenantScope::None);
        assert!(enters(&none, None) && !enters(&none, Some("acme")));
        let dotted = scoped(TenantScope::matching("a.B"));
        assert!(enters(&dotted, Some("a.b")) && enters(&dotted, Some("a_b")));
        let acme = scoped(TenantScope::matching("Acme*"));
        assert!(
            !enters(&acme, None) && enters(&acme, Some("acme-eu")) && !enters(&acme, Some("b"))
        );
    }

    #[test]
    fn a_policy_knows_what_sessions_have_to_remember() {
        let policy = Policy::new(vec![rule(
            "*",
            &["group:a*", "claim:dept=x"],
            &["group:boss"],
        )]);
        assert!(
            policy.names_group("abc") && policy.names_group("boss") && !policy.names_group("b")
        );
        assert_eq!(policy.claim_paths().collect::<Vec<_>>(), ["dept"]);
    }
}
