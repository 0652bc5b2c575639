//! Test users: identities that the gateway admits to one room by a token of its own.

use std::time::Duration;

use config::Config;
use model::{
    authentication_context::AuthenticationContext,
    clock::{Clock, Timestamp},
    identity::{Identity, Invited, Standing},
    policy::{
        Admission, Authentication, AuthenticationRequirement, Features, Policy, Requester, Role,
        Situation,
    },
    random::Random,
    room::RoomKey,
    session::{Pass, Validity},
    token::{ClientToken, ClientTokenKind, ClientTokens, PersonalClaims},
};

/// Issues tokens for test users of one deployment.
#[derive(Debug)]
pub struct TestUsers {
    tokens: ClientTokens,
    policy: Policy,
    clock: Clock,
    random: Random,
}

// === impl TestUsers ===

impl TestUsers {
    /// Signs with the keys of the configuration, so that its gateway accepts the tokens.
    pub fn new(config: &Config, clock: Clock, random: Random) -> Self {
        let origin = config.public_url.origin();
        Self {
            tokens: ClientTokens::new(&config.keyring, origin, clock.clone(), random.clone()),
            policy: config.policy.clone(),
            clock,
            random,
        }
    }

    /// A token for one room: `jwt` of its page, `token` of its connections.
    pub fn invite(
        &self,
        room: &RoomKey,
        role: Role,
        user: &Identity,
        lifetime: Duration,
    ) -> ClientToken {
        let now = self.clock.now();
        let validity = Validity::beginning_now(&self.clock, lifetime);
        let pass = Pass::issue(room, standing(role), user.clone(), validity, &self.random);
        let rule = self.policy.rule_for(room);
        let requirement = rule.and_then(|(_, rule)| rule.requirement.as_ref());
        let pass = match requirement {
            Some(requirement) => pass.authenticated(fulfilling(requirement, now)),
            None => pass,
        };
        let (features, kind) = (Features::default(), ClientTokenKind::Embed);
        self.tokens
            .issue(&pass, role, &features, kind, lifetime, PersonalClaims::ALL)
    }
}

/// The standing of a member with an invitation, a host link for moderators: the rules derive the
/// role.
fn standing(role: Role) -> Standing {
    Standing::Invited(Invited {
        link: TEST_LINK.to_owned(),
        host: role == Role::Moderator,
        member: true,
    })
}

/// An authentication as the rule requires it. Who has the keys of the gateway needs no provider.
fn fulfilling(requirement: &AuthenticationRequirement, now: Timestamp) -> AuthenticationContext {
    let acr = requirement.acr.first().map(String::as_str);
    AuthenticationContext::new(acr, requirement.amr.first(), Some(now))
}

/// Whether the policy admits a test user to the room without waiting.
pub(super) fn is_admitted(config: &Config, room: &RoomKey, user: &Identity, clock: &Clock) -> bool {
    let standing = standing(Role::Moderator);
    let visitor = Requester {
        identity: user,
        standing: &standing,
        owner: false,
        authentication: Authentication::Sufficient,
    };
    let situation = Situation {
        now: clock.now(),
        ..Situation::default()
    };
    let admission = config.policy.decide(room, Some(&visitor), &situation);
    matches!(admission, Admission::Admit(_))
}

/// Marks test users in the audit log.
const TEST_LINK: &str = "token-mint";

#[cfg(test)]
mod tests {
    use model::policy::{EntryRule, Glob, RequirementScope, Rule};

    use super::*;

    #[test]
    fn test_users_fulfil_what_a_rule_requires() {
        let requirement = AuthenticationRequirement {
            acr: vec!["gold".to_owned()],
            amr: vec!["hwk".to_owned(), "mfa".to_owned()],
            max_age: Some(Duration::from_mins(1)),
            leeway: Duration::ZERO,
            scope: RequirementScope::Members,
        };
        let now = Timestamp::from_unix(1_000);
        let context = fulfilling(&requirement, now);
        let enter = EntryRule::Where(vec!["link".parse().unwrap()]);
        let policy = Policy::new(vec![Rule {
            requirement: Some(requirement),
            ..Rule::new(Glob::folded("*"), enter)
        }]);
        let (user, standing) = (Identity::default(), standing(Role::Participant));
        let room = RoomKey::from_text("x").unwrap();
        let situation = Situation {
            now,
            open: true,
            ..Situation::default()
        };
        let none = AuthenticationContext::default();
        for (context, admitted) in [(&context, true), (&none, false)] {
            let visitor = Requester {
                identity: &user,
                standing: &standing,
                owner: false,
                authentication: Authentication::Known(context),
            };
            let admission = policy.decide(&room, Some(&visitor), &situation);
            assert_eq!(matches!(admission, Admission::Admit(_)), admitted);
        }
    }
}
