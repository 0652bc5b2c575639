//! The conditions of a rule on which a decision depends, and which of them the visitor meets.

use std::fmt;

use model::policy::{Admission, Condition, EntryRule, Requester, Rule, StartRule};
use serde::Serialize;

/// The conditions of one key of a rule.
#[derive(Debug, Serialize)]
pub(super) struct ConditionGroup {
    /// The key in the configuration.
    key: &'static str,
    /// The condition that is met; if none is, all of them.
    any_of: Vec<String>,
    /// Whether one is met; `None` for an anonymous visitor, who has nothing to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// The groups that the policy evaluates for a visitor, in its order.
pub(super) fn deciding_conditions(
    rule: &Rule,
    visitor: Option<&Requester<'_>>,
    admission: &Admission<'_>,
    open: bool,
) -> Vec<ConditionGroup> {
    let entering = match &rule.enter {
        EntryRule::Closed => return vec![ConditionGroup::unmet("enter", &["closed"], None)],
        EntryRule::Where(conditions) => conditions,
    };
    let Some(visitor) = visitor else {
        return vec![ConditionGroup::of_anonymous(entering)];
    };
    let admits = |one: &&Condition| one.admits(visitor);
    let elevates = |one: &&Condition| one.elevates(visitor);
    let mut groups = vec![ConditionGroup::of("enter", entering, admits)];
    if !entering.iter().any(|one| one.admits(visitor)) {
        return groups;
    }
    // A host is a moderator, so that the second list is not evaluated.
    for (key, conditions) in [("host", &rule.hosts), ("moderators", &rule.moderators)] {
        if !conditions.is_empty() {
            groups.push(ConditionGroup::of(key, conditions, elevates));
            if conditions.iter().any(|one| one.elevates(visitor)) {
                break;
            }
        }
    }
    let opens = match admission {
        Admission::Admit(grant) => grant.opens(),
        Admission::Wait(_) => false,
        _ => return groups,
    };
    if !open {
        groups.push(ConditionGroup {
            key: "start",
            any_of: starting(&rule.start),
            met: Some(opens),
        });
    }
    groups
}

/// The people who may open a room.
pub(super) fn starting(start: &StartRule) -> Vec<String> {
    let texts = match start {
        StartRule::Anyone => return vec!["anyone".to_owned()],
        StartRule::Members => vec!["members".to_owned()],
        StartRule::Hosts => Vec::new(),
        StartRule::Where(conditions) => conditions.iter().map(ToString::to_string).collect(),
    };
    // Moderators open every room.
    [texts, vec![HOSTS.to_owned()]].concat()
}

// === impl ConditionGroup ===

impl ConditionGroup {
    fn of(
        key: &'static str,
        conditions: &[Condition],
        meets: impl FnMut(&&Condition) -> bool,
    ) -> Self {
        match conditions.iter().find(meets) {
            Some(condition) => Self {
                key,
                any_of: vec![condition.to_string()],
                met: Some(true),
            },
            None => Self::unmet(key, conditions, Some(false)),
        }
    }

    /// The condition that anonymous visitors meet; if there is none, a sign-in could meet one of all.
    fn of_anonymous(entering: &[Condition]) -> Self {
        let met = [Condition::Open, Condition::Guest];
        let met = met.iter().find(|condition| entering.contains(condition));
        match met {
            Some(condition) => Self {
                key: "enter",
                any_of: vec![condition.to_string()],
                met: Some(true),
            },
            None => Self::unmet("enter", entering, None),
        }
    }

    fn unmet(key: &'static str, conditions: &[impl ToString], met: Option<bool>) -> Self {
        Self {
            key,
            any_of: conditions.iter().map(ToString::to_string).collect(),
            met,
        }
    }
}

impl fmt::Display for ConditionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10} {}", self.key, self.any_of.join(" or "))?;
        f.write_str(match self.met {
            Some(true) => ": met",
            Some(false) => ": not met",
            None => "",
        })
    }
}

const HOSTS: &str = "hosts and moderators";
