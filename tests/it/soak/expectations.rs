//! What was done to the deployment, and which failures of people it explains.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use super::PEOPLE;

/// Revocations, rules and replacements so far.
pub(super) struct Expectations {
    /// The last revocation of each person.
    revocations: Mutex<Vec<Option<Revocation>>>,
    rules: Mutex<Rules>,
    /// The last end of a process of each replica.
    replacements: Mutex<[Option<Instant>; 2]>,
}

#[derive(Clone, Copy)]
struct Revocation {
    began: Instant,
    /// None while the gateway has not acknowledged it.
    acknowledged: Option<Instant>,
}

/// When a person signed in.
#[derive(Clone, Copy)]
pub(super) struct SignIn {
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// The rules of the rooms that close.
#[derive(Clone, Copy)]
struct Rules {
    state: RuleState,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RuleState {
    /// All members may enter.
    Open,
    /// Some replicas have the rules of before, others those of after.
    Changing,
    /// Only staff may enter, at all replicas.
    Closed,
}

// === impl Expectations ===

impl Expectations {
    pub(super) fn new() -> Self {
        let rules = Rules {
            state: RuleState::Open,
            since: Instant::now(),
        };
        Self {
            revocations: Mutex::new(vec![None; PEOPLE]),
            rules: Mutex::new(rules),
            replacements: Mutex::default(),
        }
    }

    pub(super) fn revocation_begins(&self, person: usize) {
        self.revocations()[person] = Some(Revocation {
            began: Instant::now(),
            acknowledged: None,
        });
    }

    pub(super) fn revocation_is_acknowledged(&self, person: usize) {
        if let Some(revocation) = &mut self.revocations()[person] {
            revocation.acknowledged = Some(Instant::now());
        }
    }

    /// Whether a session may be refused: a revocation counts for sessions from before it.
    pub(super) fn may_be_revoked(&self, person: usize, session: SignIn) -> bool {
        self.revocations()[person].is_some_and(|revocation| {
            let acknowledged = revocation.acknowledged;
            acknowledged.is_none_or(|at| session.began < at + REVOCATION_GRANULARITY)
        })
    }

    /// Whether a session has to have ended by now.
    pub(super) fn has_to_be_revoked(&self, person: usize, session: SignIn) -> bool {
        self.revocations()[person].is_some_and(|revocation| {
            let acknowledged = revocation.acknowledged;
            session.ended + REVOCATION_GRANULARITY < revocation.began
                && acknowledged.is_some_and(|at| at.elapsed() > REVOCATION_TIMEOUT)
        })
    }

    pub(super) fn rules_begin_to_change(&self) {
        self.set_rules(RuleState::Changing);
    }

    pub(super) fn rules_have_changed(&self, closed: bool) {
        self.set_rules(if closed {
            RuleState::Closed
        } else {
            RuleState::Open
        });
    }

    /// Whether the rules may refuse a visit to a room that closes.
    pub(super) fn may_be_closed(&self, visit_began: Instant) -> bool {
        let rules = *self.rules.lock().unwrap();
        rules.state != RuleState::Open || rules.since > visit_began
    }

    /// Whether the rules have to refuse it.
    pub(super) fn has_to_be_closed(&self, visit_began: Instant) -> bool {
        let rules = *self.rules.lock().unwrap();
        rules.state == RuleState::Closed && rules.since < visit_began
    }

    pub(super) fn replica_is_replaced(&self, replica: usize) {
        self.replacements.lock().unwrap()[replica] = Some(Instant::now());
    }

    /// Whether the stream of a visit may have to go on at another process.
    pub(super) fn may_be_replaced(&self, replica: usize, visit_began: Instant) -> bool {
        let replaced = self.replacements.lock().unwrap()[replica];
        replaced.is_some_and(|at| visit_began < at + REPLACEMENT_TIMEOUT)
    }

    fn set_rules(&self, state: RuleState) {
        let since = Instant::now();
        *self.rules.lock().unwrap() = Rules { state, since };
    }

    fn revocations(&self) -> MutexGuard<'_, Vec<Option<Revocation>>> {
        self.revocations.lock().unwrap()
    }
}

/// Sessions and revocations have times in milliseconds, of clocks of several processes of one machine.
const REVOCATION_GRANULARITY: Duration = Duration::from_secs(2);

/// A revocation is in effect within a second (other tests measure that); the machine may be busy.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(20);

/// A replica closes its streams within `drain_window`, and its listening socket at once; the machine may be busy.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(30);
