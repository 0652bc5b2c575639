//! The groups that the directory has told of people, for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::clock::Timestamp;

use super::NamedGroups;

/// Answers of the directory by the person's subject.
#[derive(Default)]
pub(super) struct MembershipCache(Mutex<HashMap<String, Answer>>);

struct Answer {
    groups: Vec<String>,
    /// The names and patterns of the rules: after a change of them the answer says nothing of other groups.
    names: Vec<String>,
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
                names: named.names.clone(),
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
        let is_usable = answer.names == named.names && now.since(answer.given) < age;
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
