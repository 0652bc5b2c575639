//! Room policy: decides whether a visitor may enter a room, and in which role.
//!
//! Only [`Policy::decide`] creates an [`Admission`], from values alone: no clock, no I/O. Rules are
//! tried in order; the first that matches the room and its tenant decides.

mod admission;
mod condition;
mod glob;
mod rule;
mod rule_index;
mod step_up;

use self::rule_index::RuleIndex;
pub use self::{
    admission::{Admission, Grant, Refusal, Role, Waiting},
    condition::{Condition, ConditionError},
    glob::Glob,
    rule::{EntryRule, FeatureAccess, Features, Rule, StartRule, TenantScope, TimeWindow},
    step_up::{Authentication, AuthenticationRequirement, RequirementScope, StepUp},
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
    index: RuleIndex,
    can_sign_in: bool,
}

/// The visitor who requests to enter a room, as conditions see it. A [session's
/// visitor](crate::session::Visitor) has credentials; this has what the policy needs of them.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'v> {
    /// The attributes of the visitor.
    pub identity: &'v Identity,
    /// The proof behind the identity.
    pub standing: &'v Standing,
    /// Whether the owner tag in the room's name is the visitor's.
    pub owner: bool,
    /// How the visitor authenticated with the provider.
    pub authentication: Authentication<'v>,
}

/// The state of a room, as far as rules depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The current time.
    pub now: Timestamp,
    /// Whether the room is open: an occupant with the right to open it is present, or was and other
    /// occupants still are.
    pub open: bool,
    /// The number of occupants without the visitor.
    pub others: u32,
    /// Whether the visitor is already an occupant. Time window, opening and occupancy limit apply
    /// only to new occupants.
    pub staying: bool,
}

// === impl Policy ===

impl Policy {
    /// Creates a policy of rules in the order of the configuration.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            index: RuleIndex::new(&rules),
            rules,
            can_sign_in: true,
        }
    }

    /// The same policy for a deployment without a provider: it never returns [`Admission::SignIn`].
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
        visitor: Option<&Requester<'_>>,
        situation: &Situation,
    ) -> Admission<'_> {
        let (position, rule, conditions) = match self.rule_in(room, situation) {
            Ok(found) => found,
            Err(refusal) => return Admission::Refuse(refusal),
        };
        let entering = !situation.staying;
        let Some(visitor) = visitor else {
            return self.decide_anonymous(conditions, position);
        };
        if !conditions.iter().any(|condition| condition.admits(visitor)) {
            // Signing in could satisfy a condition that a guest or the holder of a link does not.
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
        if let Some(requirement) = &rule.requirement
            && !requirement.admits(visitor, role, situation)
        {
            return Admission::StepUp(StepUp {
                rule: position,
                requirement,
            });
        }
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

    /// Whether some room admits the visitor, at some time. Rules behind one for all rooms do not count.
    pub fn admits_somewhere(&self, visitor: &Requester<'_>) -> bool {
        let last = self.rules.iter().position(Rule::is_for_all_rooms);
        let reached = last.map_or(self.rules.len(), |last| last + 1);
        let admits = |rule: &Rule| match &rule.enter {
            EntryRule::Closed => false,
            EntryRule::Where(conditions) => conditions.iter().any(|it| it.admits(visitor)),
        };
        self.rules.iter().take(reached).any(admits)
    }

    /// The rule of a room that Prosody may create now.
    ///
    /// # Errors
    ///
    /// The refusal of a room that has no rule, is closed, or is outside its times.
    pub fn rule_for_creation(&self, room: &RoomKey, now: Timestamp) -> Result<&Rule, Refusal> {
        let situation = Situation {
            now,
            ..Situation::default()
        };
        self.rule_in(room, &situation).map(|(_, rule, _)| rule)
    }

    /// The rule that decides on a room, and its position, from 1.
    pub fn rule_for(&self, room: &RoomKey) -> Option<(usize, &Rule)> {
        let name = room.decoded();
        let rule = |position: usize| self.rules.get(position);
        let fits = |position| rule(position).is_some_and(|rule| rule.matches(room, &name));
        let position = self.index.first(room, &name, fits)?;
        Some((position + 1, rule(position)?))
    }

    /// Whether a condition names this group. Sessions drop all other groups to keep the cookie
    /// small.
    pub fn names_group(&self, group: &str) -> bool {
        self.group_patterns().any(|pattern| pattern.matches(group))
    }

    /// The names and patterns of groups in conditions.
    pub fn group_patterns(&self) -> impl Iterator<Item = &Glob> {
        self.conditions().filter_map(|condition| match condition {
            Condition::Group(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// Whether a condition names e-mail addresses.
    pub fn uses_email(&self) -> bool {
        let is_email = |condition: &Condition| {
            matches!(condition, Condition::Email(_) | Condition::EmailDomain(_))
        };
        self.conditions().any(is_email)
    }

    /// Whether a condition names groups.
    pub fn uses_groups(&self) -> bool {
        self.group_patterns().next().is_some()
    }

    /// The paths of the claims that conditions name; sessions drop all other claims.
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

    /// The rule of a room, its position and its conditions to enter; or the refusal that does not
    /// depend on the visitor.
    fn rule_in(
        &self,
        room: &RoomKey,
        situation: &Situation,
    ) -> Result<(usize, &Rule, &[Condition]), Refusal> {
        let (position, rule) = self.rule_for(room).ok_or(Refusal::NoRule)?;
        let EntryRule::Where(conditions) = &rule.enter else {
            return Err(Refusal::Closed { rule: position });
        };
        match rule.window.check(situation.now, position) {
            Some(refusal) if !situation.staying => Err(refusal),
            _ => Ok((position, rule, conditions)),
        }
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

// === impl Requester ===

impl<'v> Requester<'v> {
    /// A member who is not the owner of the room, and has authenticated as rules require.
    pub const fn member(identity: &'v Identity) -> Self {
        Self {
            identity,
            standing: &Standing::Member,
            owner: false,
            authentication: Authentication::Sufficient,
        }
    }
}

#[cfg(test)]
mod tests;
