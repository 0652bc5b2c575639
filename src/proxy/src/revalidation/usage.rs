//! Which sessions are in use, and when each is asked for next: no I/O.

use std::collections::HashMap;

use model::{
    clock::Timestamp,
    session::{RevalidationSchedule, SessionId},
};
use tokio::sync::oneshot;

/// A session that is in use.
#[derive(Clone, Debug)]
pub(crate) struct SessionUse {
    pub(crate) id: SessionId,
    /// When the provider confirmed it last, as far as the client knows.
    pub(crate) validated: Timestamp,
    /// When it ends at the latest.
    pub(crate) ends: Timestamp,
}

/// The sessions in use on this replica.
#[derive(Debug)]
pub(super) struct SessionUsage {
    schedule: RevalidationSchedule,
    sessions: HashMap<SessionId, Usage>,
}

/// What came of asking for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The provider confirmed it then.
    Valid(Timestamp),
    /// It is over.
    Ended,
    /// No answer came.
    Failed,
    /// Another replica is asking.
    Busy,
    /// There is nothing to ask with.
    NoGrant,
}

#[derive(Debug)]
struct Usage {
    validated: Timestamp,
    ends: Timestamp,
    open: usize,
    last_request: Timestamp,
    due: Timestamp,
    failures: u32,
    is_running: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

// === impl SessionUsage ===

impl SessionUsage {
    pub(super) fn new(schedule: RevalidationSchedule) -> Self {
        Self {
            schedule,
            sessions: HashMap::new(),
        }
    }

    /// Notes a request. A session that this replica does not know is asked for at once: another may
    /// know more.
    pub(super) fn request(
        &mut self,
        session_use: SessionUse,
        waiting: Option<oneshot::Sender<()>>,
        now: Timestamp,
    ) {
        let schedule = self.schedule;
        let usage = self.entry(session_use, now);
        usage.last_request = now;
        if let Some(waiting) = waiting {
            // After a failure no page waits for the next try.
            if usage.failures == 0 && now.since(usage.validated) >= schedule.every {
                usage.due = usage.due.min(now);
            }
            if usage.due <= now || usage.is_running {
                usage.waiting.push(waiting);
            }
        }
    }

    pub(super) fn open(&mut self, session_use: SessionUse, now: Timestamp) {
        let usage = self.entry(session_use, now);
        usage.open += 1;
        usage.last_request = now;
    }

    pub(super) fn close(&mut self, id: &SessionId, now: Timestamp) {
        if let Some(usage) = self.sessions.get_mut(id) {
            usage.open = usage.open.saturating_sub(1);
            usage.last_request = now;
        }
    }

    /// Notes a sign-in.
    pub(super) fn begin(&mut self, session_use: SessionUse, now: Timestamp, spread: u64) {
        let due = self.schedule.next(session_use.validated, spread);
        self.entry(session_use, now).due = due;
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.sessions.contains_key(id)
    }

    /// Forgets the sessions that are not in use, or are over.
    pub(super) fn retain_used(&mut self, now: Timestamp, is_revoked: impl Fn(&SessionId) -> bool) {
        let schedule = self.schedule;
        self.sessions.retain(|id, usage| {
            let in_use = usage.open > 0 || schedule.is_recent(usage.last_request, now);
            usage.is_running || (in_use && now < usage.ends && !is_revoked(id))
        });
    }

    /// The next session to ask for. Those for which a page waits come first.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<SessionId> {
        let is_due = |usage: &Usage| !usage.is_running && usage.due <= now;
        let due = self.sessions.iter_mut().filter(|(_, usage)| is_due(usage));
        let (id, usage) = due.min_by_key(|(_, usage)| (usage.waiting.is_empty(), usage.due))?;
        usage.is_running = true;
        Some(id.clone())
    }

    /// Applies an answer.
    pub(super) fn answer(&mut self, id: &SessionId, answer: Answer, now: Timestamp, spread: u64) {
        let schedule = self.schedule;
        let Some(usage) = self.sessions.get_mut(id) else {
            return;
        };
        usage.is_running = false;
        usage.failures = match answer {
            Answer::Failed => usage.failures.saturating_add(1),
            _ => 0,
        };
        match answer {
            Answer::Valid(at) => {
                usage.validated = usage.validated.max(at);
                usage.due = schedule.next(usage.validated, spread);
            }
            Answer::Failed => usage.due = schedule.retry(now, usage.failures, spread),
            // Soon, to learn the other's answer.
            Answer::Busy => {
                usage.due = schedule.retry(now, 0, spread);
                return;
            }
            Answer::NoGrant => usage.due = now.after(schedule.every),
            Answer::Ended => {}
        }
        for waiting in usage.waiting.drain(..) {
            let _ = waiting.send(());
        }
        if answer == Answer::Ended {
            self.sessions.remove(id);
        }
    }

    fn entry(&mut self, session_use: SessionUse, now: Timestamp) -> &mut Usage {
        let SessionUse {
            id,
            validated,
            ends,
        } = session_use;
        let usage = self.sessions.entry(id).or_insert_with(|| Usage {
            validated,
            ends,
            open: 0,
            last_request: now,
            due: now,
            failures: 0,
            is_running: false,
            waiting: Vec::new(),
        });
        usage.validated = usage.validated.max(validated);
        usage
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SCHEDULE: RevalidationSchedule = RevalidationSchedule {
        every: Duration::from_mins(10),
    };

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + second)
    }

    fn one() -> SessionUse {
        SessionUse {
            id: SessionId::from("one"),
            validated: at(0),
            ends: at(86_400),
        }
    }

    fn begun() -> SessionUsage {
        let mut usage = SessionUsage::new(SCHEDULE);
        usage.begin(one(), at(0), 0);
        usage
    }

    #[test]
    fn an_open_connection_keeps_a_session_in_use() {
        let mut usage = begun();
        usage.open(one(), at(1));
        usage.retain_used(at(3000), |_| false);
        assert!(usage.contains(&one().id));
        usage.close(&one().id, at(3000));
        usage.retain_used(at(3599), |_| false);
        assert!(usage.contains(&one().id), "the last request was recent");
        usage.retain_used(at(3600), |_| false);
        assert!(!usage.contains(&one().id));
    }

    #[test]
    fn sessions_that_are_over_are_forgotten() {
        let mut usage = begun();
        usage.open(one(), at(1));
        usage.retain_used(at(2), |_| true);
        assert!(!usage.contains(&one().id), "revoked");
        let mut usage = begun();
        usage.open(one(), at(1));
        usage.retain_used(at(86_400), |_| false);
        assert!(!usage.contains(&one().id), "ended");
    }

    #[test]
    fn one_question_at_a_time_is_under_way_for_a_session() {
        let mut usage = begun();
        usage.open(one(), at(1));
        assert_eq!(usage.take_due(at(399)), None);
        assert_eq!(usage.take_due(at(400)), Some(one().id));
        assert_eq!(usage.take_due(at(401)), None);
        usage.answer(&one().id, Answer::Valid(at(401)), at(401), 0);
        assert_eq!(usage.take_due(at(800)), None);
        assert_eq!(usage.take_due(at(801)), Some(one().id));
    }

    #[test]
    fn failures_keep_the_session_and_are_retried() {
        let mut usage = begun();
        usage.open(one(), at(1));
        let mut now = at(400);
        for _ in 0..100 {
            assert!(usage.take_due(now).is_some());
            usage.answer(&one().id, Answer::Failed, now, 0);
            assert_eq!(usage.take_due(now), None);
            now = now.after(Duration::from_secs(61));
        }
        assert!(usage.contains(&one().id));
        for (answer, kept) in [(Answer::NoGrant, true), (Answer::Ended, false)] {
            assert!(usage.take_due(now).is_some());
            usage.answer(&one().id, answer, now, 0);
            assert_eq!(usage.contains(&one().id), kept);
            now = now.after(SCHEDULE.every);
        }
    }

    #[test]
    fn a_page_waits_for_an_overdue_session_and_for_no_other() {
        let mut usage = begun();
        let (sender, mut waiting) = oneshot::channel();
        usage.request(one(), Some(sender), at(1));
        assert!(waiting.try_recv().is_err());
        assert_eq!(usage.take_due(at(1)), None, "the sign-in was just now");
        let (sender, mut waiting) = oneshot::channel();
        usage.request(one(), Some(sender), at(600));
        let id = usage.take_due(at(600)).unwrap();
        // Another replica asks: its answer is waited for.
        usage.answer(&id, Answer::Busy, at(600), 0);
        assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let id = usage.take_due(at(603)).unwrap();
        usage.answer(&id, Answer::Valid(at(602)), at(603), 0);
        assert_eq!(waiting.try_recv(), Ok(()));
    }

    #[test]
    fn a_session_of_another_replica_is_asked_for_at_once() {
        let mut usage = SessionUsage::new(SCHEDULE);
        usage.request(one(), None, at(5));
        assert_eq!(usage.take_due(at(5)), Some(one().id));
    }
}
