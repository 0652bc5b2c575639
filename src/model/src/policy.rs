//! The rules: who may enter which room, and as what.
//!
//! [`Policy::decide`] is the only place where an [`Admission`] is made, from values alone: no clock,
//! no I/O. Rules are tried in order and the first whose room and tenant fit decides.

mod condition;
mod glob;
mod rule;

use std::{fmt, time::Duration};

pub use self::{
    condition::{Condition, ConditionError},
    glob::Glob,
    rule::{EntryRule, FeatureAccess, Features, Rule, StartRule, TenantScope, TimeWindow},
};
use crate::{
    clock::Timestamp,
    identity::{Identity, Standing},
    room::RoomKey,
};

/// All rules, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    nobody_signs_in: bool,
}

/// Who stands before a room.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'v> {
    /// Who it is, as far as anybody vouches for it.
    pub identity: &'v Identity,
    /// On what grounds.
    pub standing: &'v Standing,
    /// The room's name carries the person's tag.
    pub owner: bool,
}

/// How things stand in a room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The time.
    pub now: Timestamp,
    /// Somebody who may open the room is there, or was and others are still there.
    pub open: bool,
    /// How many people are there, without the visitor.
    pub others: u32,
    /// The visitor is there already: when a room may be entered, who opens it and how many fit in
    /// is for those who come.
    pub staying: bool,
}

/// The policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission<'p> {
    /// EntryRule, in this role.
    Admit(Grant<'p>),
    /// EntryRule as soon as the room is open.
    Wait(Waiting),
    /// Only somebody who signed in can be told more.
    SignIn,
    /// Nobody in particular may enter as a guest, or sign in.
    Guest {
        /// A name is asked for, and the way to sign in shown.
        ask: bool,
    },
    /// Not this person, not this room, not now.
    Refuse(Refusal),
}

/// Somebody who may enter once the room is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Position of the rule, from 1.
    pub rule: usize,
    /// Only a host is waited for, not just any member.
    pub for_host: bool,
}

/// The permission to enter one room. Only [`Policy::decide`] makes one, and tokens are minted only
/// from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'p> {
    role: Role,
    opens: bool,
    rule: usize,
    by: Option<&'p Condition>,
    features: &'p Features,
    lifetime: Option<Duration>,
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
    /// Signing in would not help: the room is entered by link or from another system.
    #[error("rule {rule} lets in by invitation only")]
    InvitationOnly {
        /// Position of the rule, from 1.
        rule: usize,
    },
    /// The room is entered later.
    #[error("rule {rule} opens this room later")]
    NotYet {
        /// Position of the rule, from 1.
        rule: usize,
        /// When it may be entered.
        opens: Timestamp,
    },
    /// The room is over.
    #[error("rule {rule} has closed this room")]
    Over {
        /// Position of the rule, from 1.
        rule: usize,
        /// Since when.
        closed: Timestamp,
    },
    /// No more people fit in.
    #[error("rule {rule} lets in {most} people at once")]
    Full {
        /// Position of the rule, from 1.
        rule: usize,
        /// How many there may be.
        most: u32,
    },
}

// === impl Policy ===

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            nobody_signs_in: false,
        }
    }

    /// The same where people have no accounts: nobody is asked to sign in.
    #[must_use]
    pub fn without_sign_in(self) -> Self {
        Self {
            nobody_signs_in: true,
            ..self
        }
    }

    /// Decides whether the visitor, or nobody in particular, may enter the room.
    pub fn decide(
        &self,
        room: &RoomKey,
        visitor: Option<&Visitor<'_>>,
        situation: &Situation,
    ) -> Admission<'_> {
        let Some((position, rule)) = self.rule_for(room) else {
            return Admission::Refuse(Refusal::NoRule);
        };
        let EntryRule::Where(conditions) = &rule.enter else {
            return Admission::Refuse(Refusal::Closed { rule: position });
        };
        let coming = !situation.staying;
        if let Some(refusal) = rule
            .window
            .refuses(situation.now, position)
            .filter(|_| coming)
        {
            return Admission::Refuse(refusal);
        }
        let Some(visitor) = visitor else {
            return self.for_nobody(conditions, position);
        };
        if !conditions.iter().any(|condition| condition.admits(visitor)) {
            // An account may be able to do what a guest's name or a link cannot.
            let could_sign_in = matches!(visitor.standing, Standing::Guest)
                || matches!(visitor.standing, Standing::Invited(by) if !by.member);
            return if could_sign_in {
                self.for_nobody(conditions, position)
            } else {
                Admission::Refuse(Refusal::NotAllowed { rule: position })
            };
        }
        let by = rule.elevating(visitor);
        let role = match by {
            Some(_) => Role::Moderator,
            None => Role::Participant,
        };
        let opens = rule.may_start(visitor, role);
        if coming && !opens && !situation.open {
            return Admission::Wait(Waiting {
                rule: position,
                for_host: rule.start == StartRule::Hosts,
            });
        }
        let full = |most: &u32| coming && situation.others >= *most && role != Role::Moderator;
        if let Some(most) = rule.max_people.filter(full) {
            return Admission::Refuse(Refusal::Full {
                rule: position,
                most,
            });
        }
        Admission::Admit(Grant {
            role,
            opens,
            rule: position,
            by,
            features: &rule.features,
            lifetime: rule.lifetime,
        })
    }

    /// The rule that decides on a room, and its position from 1.
    pub fn rule_for(&self, room: &RoomKey) -> Option<(usize, &Rule)> {
        (1..).zip(&self.rules).find(|(_, rule)| rule.is_for(room))
    }

    /// Whether some rule asks about this group, so that a session has to remember it.
    pub fn names_group(&self, group: &str) -> bool {
        self.conditions().any(|condition| match condition {
            Condition::Group(pattern) => pattern.matches(group),
            _ => false,
        })
    }

    /// The paths of the claims that some rule asks about.
    pub fn claim_paths(&self) -> impl Iterator<Item = &str> {
        self.conditions().filter_map(|condition| match condition {
            Condition::Claim { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What somebody hears of whom nothing is known.
    fn for_nobody(&self, conditions: &[Condition], rule: usize) -> Admission<'static> {
        if conditions.contains(&Condition::Open) {
            Admission::Guest { ask: false }
        } else if conditions.contains(&Condition::Guest) {
            Admission::Guest { ask: true }
        } else if !self.nobody_signs_in && conditions.iter().any(Condition::is_about_accounts) {
            Admission::SignIn
        } else {
            Admission::Refuse(Refusal::InvitationOnly { rule })
        }
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.rules.iter().flat_map(Rule::conditions)
    }
}

// === impl Visitor ===

impl<'v> Visitor<'v> {
    /// Somebody who signed in and made no meeting of the room's name.
    pub const fn member(identity: &'v Identity) -> Self {
        Self {
            identity,
            standing: &Standing::Member,
            owner: false,
        }
    }
}

// === impl TimeWindow ===

impl TimeWindow {
    fn refuses(self, now: Timestamp, rule: usize) -> Option<Refusal> {
        let early = self.opens.filter(|opens| now < *opens);
        let late = self.closes.filter(|closes| now >= *closes);
        early
            .map(|opens| Refusal::NotYet { rule, opens })
            .or_else(|| late.map(|closed| Refusal::Over { rule, closed }))
    }
}

// === impl Admission ===

impl Admission<'_> {
    /// The word for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Admit(grant) => grant.role.as_str(),
            Self::Wait(_) => "wait",
            Self::SignIn => "sign_in",
            Self::Guest { .. } => "guest",
            Self::Refuse(refusal) => refusal.as_str(),
        }
    }
}

// === impl Grant ===

impl Grant<'_> {
    /// The role in the room.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The person's presence opens the room for those who wait.
    pub fn opens(&self) -> bool {
        self.opens
    }

    /// The position of the rule that decided, from 1.
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// What the person may do, if that is not left to Jitsi.
    pub fn features(&self) -> &Features {
        self.features
    }

    /// How long the visit may last.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
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
            Self::InvitationOnly { .. } => "invitation_only",
            Self::NotYet { .. } => "not_yet",
            Self::Over { .. } => "over",
            Self::Full { .. } => "full",
        }
    }
}

#[cfg(test)]
mod tests;
