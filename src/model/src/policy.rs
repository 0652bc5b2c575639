//! Room policy: decides whether a visitor may enter a room, and in which role.
//!
//! [`Policy::decide`] is the only maker of an [`Admission`], from values alone: no clock, no I/O.
//! Rules are tried in order; the first that matches the room and its tenant decides.

mod admission;
mod condition;
mod glob;
mod rule;

pub use self::{
    admission::{Admission, Grant, Refusal, Role, Waiting},
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
    can_sign_in: bool,
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

/// The state of a room, as far as rules depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The current time.
    pub now: Timestamp,
    /// An occupant who may open the room is present, or was and other occupants still are.
    pub open: bool,
    /// The number of occupants without the visitor.
    pub others: u32,
    /// The visitor is an occupant already. Time window, opening and occupancy limit apply only to
    /// new occupants.
    pub staying: bool,
}

// === impl Policy ===

impl Policy {
    /// Creates a policy of rules in the order of the configuration.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            can_sign_in: true,
        }
    }

    /// The same policy for a deployment without a provider: it never answers
    /// [`Admission::SignIn`].
    #[must_use]
    pub fn without_sign_in(self) -> Self {
        Self {
            can_sign_in: false,
            ..self
        }
    }

    /// Decides whether the visitor may enter the room; `None` is an anonymous visitor.
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
        let entering = !situation.staying;
        if entering && let Some(refusal) = rule.window.check(situation.now, position) {
            return Admission::Refuse(refusal);
        }
        let Some(visitor) = visitor else {
            return self.decide_anonymous(conditions, position);
        };
        if !conditions.iter().any(|condition| condition.admits(visitor)) {
            // An account could meet a condition that a guest or the holder of a link does not.
            let could_sign_in = matches!(visitor.standing, Standing::Guest)
                || matches!(visitor.standing, Standing::Invited(by) if !by.member);
            return if could_sign_in {
                self.decide_anonymous(conditions, position)
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
        if entering && !opens && !situation.open {
            return Admission::Wait(Waiting {
                rule: position,
                for_host: rule.start == StartRule::Hosts,
            });
        }
        let full = |most: &u32| entering && situation.others >= *most && role != Role::Moderator;
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

    /// The rule that decides on a room, and its position, from 1.
    pub fn rule_for(&self, room: &RoomKey) -> Option<(usize, &Rule)> {
        (1..).zip(&self.rules).find(|(_, rule)| rule.matches(room))
    }

    /// Whether a condition names this group. Sessions keep no other groups: their cookie is small.
    pub fn names_group(&self, group: &str) -> bool {
        self.conditions().any(|condition| match condition {
            Condition::Group(pattern) => pattern.matches(group),
            _ => false,
        })
    }

    /// The paths of the claims that conditions name; sessions keep no other claims.
    pub fn claim_paths(&self) -> impl Iterator<Item = &str> {
        self.conditions().filter_map(|condition| match condition {
            Condition::Claim { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// The rules in the order of the configuration.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn decide_anonymous(&self, conditions: &[Condition], rule: usize) -> Admission<'static> {
        if conditions.contains(&Condition::Open) {
            Admission::Guest { ask: false }
        } else if conditions.contains(&Condition::Guest) {
            Admission::Guest { ask: true }
        } else if self.can_sign_in && conditions.iter().any(Condition::is_about_accounts) {
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

#[cfg(test)]
mod tests;
