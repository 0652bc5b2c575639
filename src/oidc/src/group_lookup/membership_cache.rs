//! The groups that the directory has told of people, for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use model::clock::Timestamp;

use super::NamedGroups;

/// Answers of the directory by the person's subject.
#[derive(Default)]
pub(super) struct MembershipCache(Mutex<HashMap<String, Answer>>);

struct Answer {
    groups: Vec<String>,
    /// Of the names in the rules: after a change of them the answer says nothing of other groups.
    digest: [u8; SHA256_OUTPUT_LEN],
    given: Timestamp,
}

// === impl MembershipCache ===

impl MembershipCache {
    /// An answer that saves a request.
    pub(super) fn fresh(
        &self,
        subject: &str,
        named: &NamedGroups<'_>,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        self.within(FRESH, subject, named, now)
    }

    /// An answer for a sign-in while the directory fails.
    pub(super) fn earlier(
        &self,
        subject: &str,
        named: &NamedGroups<'_>,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        self.within(USABLE, subject, named, now)
    }

    pub(super) fn keep(
        &self,
        subject: &str,
        named: &NamedGroups<'_>,
        groups: &[String],
        now: Timestamp,
    ) {
        let mut answers = self.answers();
        if answers.len() >= MAX_PEOPLE {
            answers.retain(|_, answer| now.since(answer.given) < USABLE);
        }
        if answers.len() < MAX_PEOPLE || answers.contains_key(subject) {
            let answer = Answer {
                groups: groups.to_vec(),
                digest: named.digest,
                given: now,
            };
            answers.insert(subject.to_owned(), answer);
        }
    }

    fn within(
        &self,
        age: Duration,
        subject: &str,
        named: &NamedGroups<'_>,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        let answers = self.answers();
        let answer = answers.get(subject)?;
        let is_usable = answer.digest == named.digest && now.since(answer.given) < age;
        is_usable.then(|| answer.groups.clone())
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the tabs that a person opens together; less than any interval of revalidation that is usual.
const FRESH: Duration = Duration::from_mins(1);

/// A person who lost a group has it at most so long when the directory fails.
const USABLE: Duration = Duration::from_hours(1);

/// Some hundred bytes each.
const MAX_PEOPLE: usize = 10_000;

#[cfg(test)]
mod tests {
    use model::policy::{EntryRule, Glob, Policy, Rule};

    use super::*;

    fn policy(groups: &[&str]) -> Policy {
        let conditions = groups.iter().map(|group| format!("group:{group}").parse());
        Policy::new(vec![Rule {
            moderators: conditions.map(Result::unwrap).collect(),
            ..Rule::new(
                Glob::folded("*"),
                EntryRule::Where(vec!["member".parse().unwrap()]),
            )
        }])
    }

    #[test]
    fn an_answer_is_for_the_rules_that_it_was_given_for() {
        let cache = MembershipCache::default();
        let now = Timestamp::from_unix(1_000);
        let [both, other_order, one] = [&["a", "b"][..], &["b", "a"], &["a"]].map(policy);
        cache.keep("zoe", &NamedGroups::of(&both), &["a".to_owned()], now);
        let fresh = |policy| cache.fresh("zoe", &NamedGroups::of(policy), now);
        assert_eq!(fresh(&both), Some(vec!["a".to_owned()]));
        assert_eq!(
            fresh(&other_order),
            fresh(&both),
            "the order of rules does not matter"
        );
        assert_eq!(fresh(&one), None);
    }

    #[test]
    fn so_many_people_are_kept_until_their_answers_are_too_old() {
        let cache = MembershipCache::default();
        let policy = policy(&["a"]);
        let named = NamedGroups::of(&policy);
        let early = Timestamp::from_unix(1_000);
        for number in 0..MAX_PEOPLE {
            cache.keep(&number.to_string(), &named, &[], early);
        }
        cache.keep("late", &named, &[], early);
        assert_eq!(cache.fresh("late", &named, early), None);
        // A person who is known is replaced, also then.
        cache.keep("7", &named, &["a".to_owned()], early);
        assert_eq!(cache.fresh("7", &named, early), Some(vec!["a".to_owned()]));
        let later = early.after(USABLE);
        cache.keep("late", &named, &[], later);
        assert_eq!(cache.fresh("late", &named, later), Some(vec![]));
        assert_eq!(cache.answers().len(), 1);
    }
}
