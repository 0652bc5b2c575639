//! The rooms that something names: the complement is what an integration with free room names may
//! have.

use crate::{
    policy::{Condition, Glob, Policy, TenantScope},
    room::RoomKey,
};

/// The rooms that a rule, or a pattern of another integration, names.
#[derive(Clone, Debug, Default)]
pub struct NamedRooms {
    /// In the order of the configuration, as the first rule that matches a room decides.
    rules: Vec<(Glob, TenantScope, Naming)>,
    others: Vec<(Glob, TenantScope)>,
}

/// What a rule's match says about a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// The rule is about this room.
    Named,
    /// The rule is for all that no other is about, or for the integration itself.
    Free,
}

// === impl NamedRooms ===

impl NamedRooms {
    /// The rooms that the policy and other integrations name, seen from the integration `id`.
    ///
    /// A rule whose pattern matches every room names none, and one with `integration:ID` names none
    /// to that integration.
    pub fn of<'o>(
        policy: &Policy,
        id: &str,
        others: impl IntoIterator<Item = (&'o [Glob], &'o TenantScope)>,
    ) -> Self {
        let own = Condition::Integration(Some(id.to_owned()));
        let rules = policy.rules().iter().map(|rule| {
            let is_catch_all =
                rule.room.matches_everything() && !matches!(rule.tenant, TenantScope::Matching(_));
            let is_own = rule.conditions().any(|condition| *condition == own);
            let naming = if is_catch_all || is_own {
                Naming::Free
            } else {
                Naming::Named
            };
            (rule.room.clone(), rule.tenant.clone(), naming)
        });
        let others = others.into_iter().flat_map(|(patterns, tenant)| {
            let all = patterns.iter();
            all.map(move |pattern| (pattern.clone(), tenant.clone()))
        });
        Self {
            rules: rules.collect(),
            others: others.collect(),
        }
    }

    /// Whether something names the room.
    pub fn contains(&self, room: &RoomKey) -> bool {
        let name = room.readable();
        let fits =
            |pattern: &Glob, tenant: &TenantScope| tenant.includes(room) && pattern.matches(&name);
        let mut rules = self.rules.iter();
        let rule = rules.find(|(pattern, tenant, _)| fits(pattern, tenant));
        rule.is_some_and(|(.., naming)| *naming == Naming::Named)
            || self
                .others
                .iter()
                .any(|(pattern, tenant)| fits(pattern, tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{EntryRule, Rule};

    fn rule(pattern: &str, enter: &str, tenant: TenantScope) -> Rule {
        let condition = enter.parse().unwrap();
        Rule {
            tenant,
            ..Rule::new(Glob::folded(pattern), EntryRule::Where(vec![condition]))
        }
    }

    fn named(pattern: &str, enter: &str) -> Rule {
        rule(pattern, enter, TenantScope::Any)
    }

    #[test]
    fn rules_and_other_integrations_name_rooms_and_catch_alls_do_not() {
        let policy = Policy::new(vec![
            named("course-*", "integration:moodle"),
            named("board", "group:board"),
            named("club-*", "integration"),
            rule("*", "member", TenantScope::matching("acme")),
            named("*", "member"),
            named("late", "member"),
        ]);
        let odoo = [Glob::folded("meet-*")];
        let others = [(odoo.as_slice(), &TenantScope::None)];
        let rooms = NamedRooms::of(&policy, "moodle", others);
        for (room, expected) in [
            ("course-7b", false),
            ("board", true),
            ("Board", true),
            ("club-x", true),
            ("acme/x", true),
            ("other/x", false),
            ("x", false),
            ("meet-6de9324805", true),
            ("other/meet-6de9324805", false),
            // The catch-all before it decides.
            ("late", false),
        ] {
            let (tenant, name) = room
                .split_once('/')
                .map_or((None, room), |(tenant, name)| (Some(tenant), name));
            let key = RoomKey::from_page(tenant, name).unwrap().key;
            assert_eq!(rooms.contains(&key), expected, "{room}");
        }
        let rooms = NamedRooms::of(&policy, "mattermost", others);
        assert!(rooms.contains(&RoomKey::from_text("course-7b").unwrap()));
    }
}
