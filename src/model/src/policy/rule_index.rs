//! Finds the first rule of a room without trying all of them: every poll of a meeting asks for it.
//!
//! Rules are grouped by what a room can be looked up with, its tenant and the beginning of its name.
//! Only the rules of the groups that a room falls into are tried.

use std::collections::HashMap;

use super::{Glob, Rule, TenantScope};
use crate::room::RoomKey;

/// The positions of all rules, from 0.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleIndex {
    /// Rules for several tenants.
    several: NameIndex,
    /// Rules for rooms without a tenant.
    untenanted: NameIndex,
    /// Rules for one tenant each.
    tenants: HashMap<Box<str>, NameIndex>,
}

/// Rules by their pattern of names; each group is in ascending order.
#[derive(Clone, Debug, Default)]
struct NameIndex {
    /// Patterns without wildcards.
    names: HashMap<Box<str>, Vec<usize>>,
    /// Patterns that begin with a wildcard.
    any: Vec<usize>,
    /// Other patterns, by the text before the first wildcard.
    beginnings: HashMap<Box<str>, Vec<usize>>,
    /// The lengths of the beginnings, in bytes.
    lengths: Vec<usize>,
}

// === impl RuleIndex ===

impl RuleIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (position, rule) in rules.iter().enumerate() {
            let names = match &rule.tenant {
                TenantScope::None => &mut index.untenanted,
                TenantScope::Matching(pattern) if pattern.is_literal() => {
                    let tenant = pattern.literal_beginning().into();
                    index.tenants.entry(tenant).or_default()
                }
                TenantScope::Any | TenantScope::Matching(_) => &mut index.several,
            };
            names.add(&rule.room, position);
        }
        index
    }

    /// The lowest position of a rule that `fits`, which is asked for those that may. `name` is the
    /// room's [decoded](RoomKey::decoded) name.
    pub(super) fn first(
        &self,
        room: &RoomKey,
        name: &str,
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let of_tenant = match room.tenant() {
            Some(tenant) => self.tenants.get(tenant.as_str()),
            None => Some(&self.untenanted),
        };
        let groups = [Some(&self.several), of_tenant].into_iter().flatten();
        groups
            .flat_map(|names| names.groups(name))
            .fold(None, |first, group| {
                let earlier = |position: &usize| first.is_none_or(|first| *position < first);
                let mut ahead = group.iter().copied().take_while(earlier);
                ahead.find(|position| fits(*position)).or(first)
            })
    }
}

// === impl NameIndex ===

impl NameIndex {
    fn add(&mut self, pattern: &Glob, position: usize) {
        let beginning = pattern.literal_beginning();
        if pattern.is_literal() {
            self.names
                .entry(beginning.into())
                .or_default()
                .push(position);
        } else if beginning.is_empty() {
            self.any.push(position);
        } else {
            if !self.lengths.contains(&beginning.len()) {
                self.lengths.push(beginning.len());
            }
            let group = self.beginnings.entry(beginning.into()).or_default();
            group.push(position);
        }
    }

    /// The groups that a name falls into.
    fn groups<'i>(&'i self, name: &'i str) -> impl Iterator<Item = &'i [usize]> {
        let beginnings = self.lengths.iter().filter_map(|length| {
            let beginning = name.get(..*length)?;
            self.beginnings.get(beginning)
        });
        self.names
            .get(name)
            .into_iter()
            .chain(beginnings)
            .chain([&self.any])
            .map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::EntryRule;

    fn rule(tenant: &str, room: &str) -> Rule {
        Rule {
            tenant: match tenant {
                "any" => TenantScope::Any,
                "none" => TenantScope::None,
                pattern => TenantScope::matching(pattern),
            },
            ..Rule::new(Glob::folded(room), EntryRule::Closed)
        }
    }

    /// The first rule of a room, and how many rules were tried.
    fn first(rules: &[Rule], room: &str) -> (Option<usize>, usize) {
        let room = RoomKey::from_text(room).unwrap();
        let tried = Cell::new(0);
        let index = RuleIndex::new(rules);
        let name = room.decoded();
        let found = index.first(&room, &name, |position| {
            tried.set(tried.get() + 1);
            rules[position].matches(&room, &name)
        });
        (found, tried.get())
    }

    #[test]
    fn few_of_many_rules_are_tried() {
        type MakeRule = fn(usize) -> Rule;
        let kinds: [(MakeRule, &str); 5] = [
            (|number| rule("any", &format!("team-{number}")), "team-499"),
            (
                |number| rule("any", &format!("course-{number}-*")),
                "course-499-x",
            ),
            (
                |number| rule("none", &format!("caf\u{e9} {number} ?")),
                "Caf\u{e9} 499 x",
            ),
            (|number| rule(&format!("t{number}"), "*"), "t499/x"),
            (
                |number| rule(&format!("t{number}"), "staff-*"),
                "t499/staff-x",
            ),
        ];
        for (make, last) in kinds {
            let mut rules: Vec<_> = (0..500).map(make).collect();
            rules.push(rule("any", "*"));
            let (found, tried) = first(&rules, last);
            assert_eq!(found, Some(499), "{last}");
            assert!(tried <= 3, "{last}: {tried}");
            let (found, tried) = first(&rules, "other/room");
            assert_eq!(found, Some(500), "{last}");
            assert!(tried <= 1, "{last}: {tried}");
        }
    }

    const TENANTS: [&str; 5] = ["any", "none", "acme", "a*", "b.c"];
    const ROOMS: [&str; 9] = ["*", "a", "ab", "a*", "ab*", "?b", "*b", "\u{e9}*", "a b"];
    const ENTERED: [&str; 10] = [
        "a", "ab", "abc", "b", "\u{e9}", "a b", "acme/ab", "abc/a", "b.c/ab", "zed/a",
    ];

    proptest! {
        #[test]
        fn the_first_rule_is_that_of_a_search_in_order(
            rules in prop::collection::vec((0..TENANTS.len(), 0..ROOMS.len()), 0..12),
            entered in 0..ENTERED.len(),
        ) {
            let rules: Vec<_> = rules
                .into_iter()
                .map(|(tenant, room)| rule(TENANTS[tenant], ROOMS[room]))
                .collect();
            let room = RoomKey::from_text(ENTERED[entered]).unwrap();
            let expected = rules.iter().position(|rule| rule.matches(&room, &room.readable()));
            prop_assert_eq!(first(&rules, ENTERED[entered]).0, expected);
        }
    }
}
