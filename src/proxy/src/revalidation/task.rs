//! The task that asks the provider about the sessions in use.

use std::{sync::Arc, time::Duration};

use cluster::{
    revocation::{Revocations, Selector},
    store::{StoreEvent, Topic},
    validation::{REDEMPTION_TIMEOUT, StoredGrant, Validation},
};
use model::{
    clock::Clock, policy::Policy, provider::ProviderId, random::Random, session::SessionId,
};
use observe::{
    error_chain,
    metrics::{ProviderMetrics, RevalidationResult},
};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

#[cfg(test)]
use super::redemption::SessionProvider;
use super::{
    RevalidationContext, Revalidations, SessionReport,
    redemption::{Redeemed, Redeemer, RedemptionError},
    usage::{Answer, SessionUsage, SessionUse},
};
use crate::audit;

/// Asks one provider about the sessions in use.
pub struct RevalidationTask {
    /// Whose sessions these are.
    provider: Option<ProviderId>,
    revalidations: Arc<Revalidations>,
    reports: UnboundedReceiver<SessionReport>,
    usage: SessionUsage,
    redeemer: Redeemer,
    metrics: ProviderMetrics,
    revocations: Arc<Revocations>,
    clock: Clock,
    random: Random,
    running: JoinSet<Done>,
    questions: usize,
}

/// The result of a piece of I/O.
enum Done {
    Asked(SessionId, Result<Redeemed, RedemptionError>),
    TimedOut(SessionId),
    Read(SessionId, Option<Box<StoredGrant>>),
    Nothing,
}

// === impl RevalidationTask ===

impl RevalidationTask {
    pub(super) fn new(
        context: RevalidationContext,
        revalidations: Arc<Revalidations>,
        reports: UnboundedReceiver<SessionReport>,
    ) -> Self {
        Self {
            provider: context.relying_party.scope().provider().cloned(),
            revalidations,
            reports,
            metrics: context.relying_party.metrics().clone(),
            usage: SessionUsage::new(context.schedule),
            redeemer: Redeemer {
                provider: context.relying_party,
                vault: context.vault,
                schedule: context.schedule,
                clock: context.clock.clone(),
            },
            revocations: context.revocations,
            clock: context.clock,
            random: context.random,
            running: JoinSet::new(),
            questions: 0,
        }
    }

    /// The same task with another provider.
    #[cfg(test)]
    pub(super) fn asking(mut self, provider: Arc<dyn SessionProvider>) -> Self {
        self.redeemer.provider = provider;
        self
    }

    /// Runs until `stopped`, then lets the questions under way end: a token that was redeemed must not
    /// get lost. `policy` gives the rules in force, which name the groups and claims to keep.
    pub async fn run(mut self, policy: impl Fn() -> Arc<Policy>, stopped: CancellationToken) {
        let mut events = self.redeemer.vault.subscribe();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Of the sessions in use all are looked at, so not for each report.
            let is_asking = tokio::select! {
                report = self.reports.recv() => match report {
                    Some(report) => {
                        let is_waiting = matches!(report, SessionReport::Used(_, Some(_)));
                        self.apply(report);
                        is_waiting
                    }
                    None => break,
                },
                Some(done) = self.running.join_next() => {
                    self.finish(done.unwrap_or(Done::Nothing));
                    true
                }
                event = events.recv() => match event {
                    Ok(StoreEvent::Message { topic: Topic::Session, text }) => {
                        self.receive(&text);
                        false
                    }
                    Err(RecvError::Closed) => break,
                    // What was missed is read when each session is due.
                    Ok(_) | Err(RecvError::Lagged(_)) => false,
                },
                _ = ticks.tick() => {
                    let revocations = &self.revocations;
                    let is_revoked = |id: &SessionId| revocations.is_session_revoked(id);
                    self.usage.retain_used(self.clock.now(), is_revoked);
                    true
                }
                () = stopped.cancelled() => break,
            };
            if is_asking {
                self.ask(&policy);
            }
        }
        let ending = async { while self.running.join_next().await.is_some() {} };
        let _ = timeout(FINAL_TIMEOUT, ending).await;
    }

    fn apply(&mut self, report: SessionReport) {
        let now = self.clock.now();
        match report {
            SessionReport::Began(id, grant) => {
                let session_use = SessionUse {
                    id: id.clone(),
                    validated: grant.at,
                    ends: grant.ends,
                };
                let spread = self.spread();
                self.usage.begin(session_use, now, spread);
                let redeemer = self.redeemer.clone();
                self.running.spawn(async move {
                    redeemer.keep(&id, &grant).await;
                    Done::Nothing
                });
            }
            SessionReport::Used(session_use, waiting) => {
                self.usage.request(session_use, waiting, now);
            }
            SessionReport::Opened(session_use) => self.usage.open(session_use, now),
            SessionReport::Closed(id) => self.usage.close(&id, now),
            SessionReport::SignedOut(id) => {
                self.usage.remove(&id);
                let vault = self.redeemer.vault.clone();
                self.running.spawn(async move {
                    let _ = vault.remove(&id).await;
                    Done::Nothing
                });
            }
        }
    }

    /// Another replica asked about a session: its answer counts here, too.
    fn receive(&mut self, id: &str) {
        let id = SessionId::from(id);
        let known = self.revalidations.sessions.get(&id);
        let is_known = known.is_some_and(|known| known.identity.provider == self.provider);
        if self.usage.contains(&id) || is_known {
            let redeemer = self.redeemer.clone();
            self.running.spawn(async move {
                let grant = redeemer.read(&id).await;
                Done::Read(id, grant.map(Box::new))
            });
        }
    }

    /// Starts the questions that are due, but not all at once.
    fn ask(&mut self, policy: &impl Fn() -> Arc<Policy>) {
        while self.questions < MAX_QUESTIONS
            && let Some(id) = self.usage.take_due(self.clock.now())
        {
            self.questions += 1;
            let (redeemer, policy) = (self.redeemer.clone(), policy());
            self.running.spawn(async move {
                let asking = redeemer.redeem(&id, &policy);
                match timeout(REDEMPTION_TIMEOUT, asking).await {
                    Ok(outcome) => Done::Asked(id, outcome),
                    Err(_) => Done::TimedOut(id),
                }
            });
        }
    }

    fn finish(&mut self, done: Done) {
        let (id, outcome) = match done {
            Done::Nothing => return,
            Done::Read(id, grant) => {
                if let Some(grant) = grant {
                    self.note(&id, *grant);
                }
                return;
            }
            Done::TimedOut(id) => (id, None),
            Done::Asked(id, outcome) => (id, Some(outcome)),
        };
        self.questions -= 1;
        let (answer, result) = match outcome {
            Some(Ok(Redeemed::Confirmed { grant, shared })) => {
                let at = grant.at;
                let changed = self.note(&id, *grant);
                let result = match (shared, changed) {
                    (true, _) => RevalidationResult::Shared,
                    (false, true) => RevalidationResult::Changed,
                    (false, false) => RevalidationResult::Unchanged,
                };
                (Answer::Valid(at), Some(result))
            }
            Some(Ok(Redeemed::Ended(reason))) => {
                audit::session_ended_by_provider(&id, reason, self.metrics.provider());
                // No request waits for it: the refused grant is not redeemed again after a restart either.
                drop(self.revocations.revoke(Selector::Invalidated(id.clone())));
                (Answer::Ended, Some(RevalidationResult::Ended))
            }
            Some(Ok(Redeemed::Busy)) => (Answer::Busy, None),
            Some(Ok(Redeemed::NoGrant)) => {
                debug!(
                    provider = self.metrics.provider(),
                    session = id.as_str(),
                    "the store has no refresh token of a session"
                );
                (Answer::NoGrant, Some(RevalidationResult::NoGrant))
            }
            Some(Err(error)) => {
                let reason = error_chain(&error);
                warn!(
                    provider = self.metrics.provider(),
                    session = id.as_str(),
                    reason,
                    "a session was not revalidated; retrying"
                );
                (Answer::Failed, Some(RevalidationResult::Failed))
            }
            None => {
                warn!(
                    provider = self.metrics.provider(),
                    session = id.as_str(),
                    "revalidating a session took too long; retrying"
                );
                (Answer::Failed, Some(RevalidationResult::Failed))
            }
        };
        if let Some(result) = result {
            self.metrics.count_revalidation(result);
        }
        let spread = self.spread();
        self.usage.answer(&id, answer, self.clock.now(), spread);
    }

    /// Notes the identity of an answer; whether it is another one than before.
    fn note(&self, id: &SessionId, grant: StoredGrant) -> bool {
        let known = self.revalidations.sessions.get(id);
        let changed = known.is_some_and(|known| known.identity != grant.identity);
        if changed {
            audit::identity_changed(id, &grant.identity, self.metrics.provider());
        }
        let validation = Validation::new(grant.identity, grant.at, grant.ends);
        let now = self.clock.now();
        self.revalidations.sessions.insert(id, validation, now);
        changed
    }

    fn spread(&self) -> u64 {
        u64::from_be_bytes(self.random.bytes())
    }
}

/// Sessions become due at whole seconds.
const TICK: Duration = Duration::from_secs(1);

/// Questions under way at a time on one replica: hundreds a second at a provider that is well, and few
/// connections to one that is not.
const MAX_QUESTIONS: usize = 8;

/// A stop waits this long for questions under way.
const FINAL_TIMEOUT: Duration = Duration::from_secs(3);
