//! Step-up: rules that ask for a stronger or more recent authentication than a session has (the idea of
//! RFC 9470, for pages in place of access tokens).

use std::{fmt, time::Duration};

use super::{Requester, Role, Situation};
use crate::{authentication_context::AuthenticationContext, clock::Timestamp, digest::sha256_hex};

/// What a rule requires of the authentication of people with an account at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationRequirement {
    /// The accepted authentication context classes, the preferred first; empty accepts any.
    pub acr: Vec<String>,
    /// Authentication methods of which one has to be used; empty accepts any.
    pub amr: Vec<String>,
    /// The longest time from the authentication to the entry.
    pub max_age: Option<Duration>,
    /// Tolerated difference between the provider's clock and the gateway's.
    pub leeway: Duration,
    /// The people whose authentication has to satisfy it.
    pub scope: RequirementScope,
}

/// The people whose authentication a rule restricts. Guests, holders of a link without an account, and
/// users of integrations have not authenticated with the provider, and are never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequirementScope {
    /// All who are signed in.
    Members,
    /// Those among them who would be hosts or moderators.
    Hosts,
}

/// A visitor's authentication, as far as a decision depends on it.
#[derive(Clone, Copy, Debug)]
pub enum Authentication<'v> {
    /// The provider's word.
    Known(&'v AuthenticationContext),
    /// Assumed to fulfil every requirement: the question is what a person could do.
    Sufficient,
}

/// The decision that a visitor has to authenticate anew before entering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepUp<'p> {
    /// Position of the rule, from 1.
    pub rule: usize,
    /// What the rule requires.
    pub requirement: &'p AuthenticationRequirement,
}

// === impl AuthenticationRequirement ===

impl AuthenticationRequirement {
    /// Whether the visitor fulfils it, or it does not concern them. Occupants do not lose their place
    /// because time passes.
    pub(super) fn admits(
        &self,
        visitor: &Requester<'_>,
        role: Role,
        situation: &Situation,
    ) -> bool {
        let concerns = visitor.standing.is_member()
            && (self.scope == RequirementScope::Members || role == Role::Moderator);
        match visitor.authentication {
            _ if !concerns => true,
            Authentication::Sufficient => true,
            Authentication::Known(context) => {
                self.is_strong(context)
                    && (situation.staying || self.is_recent(context, situation.now))
            }
        }
    }

    /// A short name that differs from that of another requirement.
    pub fn id(&self) -> String {
        let mut digest = sha256_hex(self.to_string().as_bytes());
        digest.truncate(ID_CHARS);
        digest
    }

    fn is_strong(&self, context: &AuthenticationContext) -> bool {
        let has_class = |wanted: &String| context.acr() == Some(wanted);
        let has_method = |wanted: &String| context.amr().contains(wanted);
        (self.acr.is_empty() || self.acr.iter().any(has_class))
            && (self.amr.is_empty() || self.amr.iter().any(has_method))
    }

    fn is_recent(&self, context: &AuthenticationContext, now: Timestamp) -> bool {
        self.max_age.is_none_or(|most| {
            let age = context.auth_time().map(|at| now.since(at));
            age.is_some_and(|age| age <= most + self.leeway)
        })
    }
}

/// In the terms of the protocol, which are the same in all languages: the person passes them on to
/// the administrator of the account.
impl fmt::Display for AuthenticationRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, values) in [("acr", &self.acr), ("amr", &self.amr)] {
            if !values.is_empty() {
                parts.push(format!("{name} {}", values.join(" | ")));
            }
        }
        if let Some(max_age) = self.max_age {
            parts.push(format!("max_age {} s", max_age.as_secs()));
        }
        f.write_str(&parts.join(", "))
    }
}

/// Enough to tell the requirements of one configuration apart.
const ID_CHARS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Embedded, Identity, Invited, Standing},
        policy::{Admission, Condition, EntryRule, Glob, Policy, Refusal, Rule, StartRule},
        room::RoomKey,
    };

    const NOW: u64 = 100_000;

    fn requirement(scope: RequirementScope) -> AuthenticationRequirement {
        AuthenticationRequirement {
            acr: vec!["gold".to_owned(), "silver".to_owned()],
            amr: Vec::new(),
            max_age: Some(Duration::from_mins(15)),
            leeway: Duration::from_mins(1),
            scope,
        }
    }

    fn context(acr: &str, amr: &[&str], age: u64) -> AuthenticationContext {
        AuthenticationContext::new(Some(acr), amr, Some(Timestamp::from_unix(NOW - age)))
    }

    /// The word for the answer to a visitor of a group's room; `hosts` are of the group `hosts`.
    fn answer(
        requirement: AuthenticationRequirement,
        visitor: (&Standing, &[&str], &AuthenticationContext),
        staying: bool,
    ) -> &'static str {
        let (standing, groups, context) = visitor;
        let list = |texts: &[&str]| -> Vec<Condition> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mut entering = vec!["group:staff", "link", "integration"];
        if *standing == Standing::Guest {
            entering.push("guest");
        }
        let enter = EntryRule::Where(list(&entering));
        let policy = Policy::new(vec![Rule {
            moderators: list(&["group:hosts"]),
            start: StartRule::Anyone,
            requirement: Some(requirement),
            ..Rule::new(Glob::folded("*"), enter)
        }]);
        let identity = Identity {
            subject: "42".to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Identity::default()
        };
        let requester = Requester {
            identity: &identity,
            standing,
            owner: false,
            authentication: Authentication::Known(context),
        };
        let situation = Situation {
            now: Timestamp::from_unix(NOW),
            staying,
            ..Situation::default()
        };
        let room = RoomKey::from_text("planning").unwrap();
        match policy.decide(&room, Some(&requester), &situation) {
            Admission::Admit(_) => "enter",
            Admission::StepUp(step_up) => {
                assert_eq!(step_up.rule, 1);
                "step up"
            }
            Admission::Refuse(Refusal::NotAllowed { rule: 1 }) => "refused",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_session_enters_steps_up_or_is_refused() {
        use RequirementScope::{Hosts, Members};
        let (member, staff, hosts) = (Standing::Member, &["staff"][..], &["staff", "hosts"][..]);
        let none = AuthenticationContext::default();
        let no_class = AuthenticationContext::new(None, [""; 0], Some(Timestamp::from_unix(NOW)));
        let no_time = AuthenticationContext::new(Some("gold"), [""; 0], None);
        for (scope, groups, context, entering, staying) in [
            (Members, staff, context("gold", &[], 0), "enter", "enter"),
            (
                Members,
                staff,
                context("silver", &[], 960),
                "enter",
                "enter",
            ),
            (
                Members,
                staff,
                context("gold", &[], 961),
                "step up",
                "enter",
            ),
            (
                Members,
                staff,
                context("bronze", &[], 0),
                "step up",
                "step up",
            ),
            (
                Members,
                staff,
                context("Gold", &[], 0),
                "step up",
                "step up",
            ),
            (
                Members,
                staff,
                context("gold silver", &[], 0),
                "step up",
                "step up",
            ),
            (Members, staff, no_class.clone(), "step up", "step up"),
            (Members, staff, no_time.clone(), "step up", "enter"),
            (Members, staff, none.clone(), "step up", "step up"),
            // Another sign-in would not help.
            (Members, &[][..], none.clone(), "refused", "refused"),
            (
                Members,
                &["hosts"][..],
                context("gold", &[], 0),
                "refused",
                "refused",
            ),
            (Hosts, staff, none.clone(), "enter", "enter"),
            (Hosts, hosts, none.clone(), "step up", "step up"),
            (Hosts, hosts, context("gold", &[], 0), "enter", "enter"),
            (Hosts, hosts, context("gold", &[], 961), "step up", "enter"),
        ] {
            let visitor = (&member, groups, &context);
            let what = format!("{scope:?} {groups:?} {context:?}");
            assert_eq!(
                answer(requirement(scope), visitor, false),
                entering,
                "{what}"
            );
            assert_eq!(answer(requirement(scope), visitor, true), staying, "{what}");
        }
    }

    #[test]
    fn only_people_with_an_account_are_concerned() {
        let none = AuthenticationContext::default();
        let link = |host, member| {
            let link = "l".to_owned();
            Standing::Invited(Invited { link, host, member })
        };
        let integration = Embedded {
            integration: "school".to_owned(),
            host: true,
        };
        for (standing, expected) in [
            (Standing::Guest, "enter"),
            (link(true, false), "enter"),
            (link(false, true), "step up"),
            (link(true, true), "step up"),
            (Standing::Embedded(integration), "enter"),
        ] {
            let all = requirement(RequirementScope::Members);
            let visitor = (&standing, &[][..], &none);
            assert_eq!(answer(all, visitor, false), expected, "{standing:?}");
        }
        let hosts = requirement(RequirementScope::Hosts);
        let host_link = link(true, true);
        let visitor = (&host_link, &[][..], &none);
        assert_eq!(answer(hosts, visitor, false), "step up");
    }

    #[test]
    fn one_of_the_methods_suffices() {
        let by_method = AuthenticationRequirement {
            acr: Vec::new(),
            amr: vec!["hwk".to_owned(), "mfa".to_owned()],
            max_age: None,
            leeway: Duration::ZERO,
            scope: RequirementScope::Members,
        };
        for (methods, expected) in [
            (&["pwd", "mfa"][..], "enter"),
            (&["hwk"][..], "enter"),
            (&["pwd"][..], "step up"),
            (&["mf"][..], "step up"),
            (&[][..], "step up"),
        ] {
            let context = AuthenticationContext::new(None, methods, None);
            let visitor = (&Standing::Member, &["staff"][..], &context);
            let given = answer(by_method.clone(), visitor, false);
            assert_eq!(given, expected, "{methods:?}");
        }
        assert_eq!(by_method.to_string(), "amr hwk | mfa");
        let other = requirement(RequirementScope::Hosts);
        assert_eq!(other.to_string(), "acr gold | silver, max_age 900 s");
        assert_ne!(by_method.id(), other.id());
    }
}
