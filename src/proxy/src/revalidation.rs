//! Revalidation of members' sessions: the provider is asked again, by refresh token, whether a session
//! that is in use is still valid, and with which claims.
//!
//! [`Revalidations`] is the handle of the request path: it reads what the provider said last, and
//! reports which sessions are in use. [`RevalidationTask`] on the control runtime asks. Its schedule is
//! [`RevalidationSchedule`]; the store has the refresh tokens ([`GrantVault`]), and a lease there lets
//! one replica at a time redeem one.

mod redemption;
mod task;
mod usage;

use std::{collections::HashMap, sync::Arc, time::Duration};

use cluster::{
    revocation::Revocations,
    validation::{GrantVault, StoredGrant, ValidatedSessions, Validation},
};
use model::{
    clock::{Clock, Timestamp},
    identity::Identity,
    provider::ProviderId,
    random::Random,
    session::{Pass, Principal, RevalidationNeed, RevalidationSchedule, Session, SessionId},
};
use oidc::RelyingParty;
use secrecy::SecretString;
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot, watch,
};

pub use self::task::RevalidationTask;
use self::usage::SessionUse;

/// What requests know of revalidated sessions, and report of those in use.
#[derive(Debug)]
pub struct Revalidations {
    sessions: ValidatedSessions,
    /// By [scope](model::provider::SubjectScope::provider): the providers whose sessions are revalidated.
    reports: HashMap<Option<ProviderId>, Reports>,
    clock: Clock,
}

/// The services that the sessions of one provider are revalidated with.
pub struct RevalidationContext {
    /// Asks the provider.
    pub relying_party: Arc<RelyingParty>,
    /// When sessions are asked for.
    pub schedule: RevalidationSchedule,
    /// The longest duration of a session.
    pub longest_session: Duration,
    /// The sessions that ended.
    pub revocations: Arc<Revocations>,
    /// The refresh tokens.
    pub vault: GrantVault,
    /// The time.
    pub clock: Clock,
    /// Spreads the requests to the provider.
    pub random: Random,
}

/// A connection keeps its member's session in use; dropping it ends that.
#[derive(Debug)]
pub(crate) struct SessionHold {
    id: SessionId,
    inbox: UnboundedSender<SessionReport>,
}

/// What the request path reports of a session.
#[derive(Debug)]
pub(crate) enum SessionReport {
    /// A sign-in, with what the provider is asked with.
    Began(SessionId, Box<StoredGrant>),
    /// A request; the sender is told when the session has been revalidated, if that is due.
    Used(SessionUse, Option<oneshot::Sender<()>>),
    /// A connection was opened.
    Opened(SessionUse),
    /// A connection was closed.
    Closed(SessionId),
    /// The session was signed out.
    SignedOut(SessionId),
}

#[derive(Debug)]
struct Reports {
    inbox: UnboundedSender<SessionReport>,
    schedule: RevalidationSchedule,
    longest_session: Duration,
}

// === impl Revalidations ===

impl Revalidations {
    /// Creates the handle and a task for each provider, so that a provider that is slow or down delays
    /// the sessions of its own people only.
    pub fn new(
        contexts: Vec<RevalidationContext>,
        clock: Clock,
    ) -> (Arc<Self>, Vec<RevalidationTask>) {
        let mut reports = HashMap::new();
        let mut outboxes = Vec::new();
        for context in contexts {
            let (inbox, outbox) = unbounded_channel();
            let of_provider = Reports {
                inbox,
                schedule: context.schedule,
                longest_session: context.longest_session,
            };
            let scope = context.relying_party.scope().provider();
            reports.insert(scope.cloned(), of_provider);
            outboxes.push((context, outbox));
        }
        let revalidations = Arc::new(Self {
            sessions: ValidatedSessions::new(),
            reports,
            clock,
        });
        let task =
            |(context, outbox)| RevalidationTask::new(context, Arc::clone(&revalidations), outbox);
        let tasks = outboxes.into_iter().map(task).collect();
        (revalidations, tasks)
    }

    /// The handle of a deployment that does not revalidate sessions.
    pub fn disabled() -> Arc<Self> {
        Arc::new(Self {
            sessions: ValidatedSessions::new(),
            reports: HashMap::new(),
            clock: Clock::system(),
        })
    }

    /// Subscribes to changed identities.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.sessions.watch()
    }

    /// Keeps what the provider is asked with; gives the session that its cookie is to have.
    pub(crate) fn begin(
        &self,
        session: Session,
        token: Option<SecretString>,
        nonce: &str,
    ) -> Session {
        let (Some(reports), Some(token)) = (self.reports_of(session.identity()), token) else {
            return session;
        };
        let session = session.refreshable();
        let (at, ends) = (session.began(), reports.end_of(&session));
        let validation = Validation::new(session.identity().clone(), at, ends);
        self.sessions.begin(session.id(), validation, at);
        let grant = StoredGrant {
            token,
            nonce: nonce.to_owned(),
            identity: session.identity().clone(),
            at,
            ends,
            is_pending: false,
        };
        reports.send(SessionReport::Began(session.id().clone(), grant.into()));
        session
    }

    /// The session with the identity that the provider confirmed last; `None` if its cookie has that.
    pub(crate) fn newer(&self, session: &Session) -> Option<Session> {
        let before = session.validated()?;
        let known = self.sessions.get(session.id())?;
        (before < known.at).then(|| session.clone().revalidated(&known.identity, known.at))
    }

    /// Notes what the provider answered about a session, as the task does.
    #[cfg(test)]
    pub(crate) fn confirm(&self, session: &Session, identity: Identity, at: Timestamp) {
        let validation = Validation::new(identity, at, at.after(Duration::from_hours(1)));
        self.sessions.insert(session.id(), validation, at);
    }

    /// A member's pass with the identity that the provider confirmed last.
    pub(crate) fn current_pass(&self, pass: Pass) -> Pass {
        match self.sessions.get(pass.id()) {
            Some(known) => pass.revalidated(&known.identity),
            None => pass,
        }
    }

    /// The principal of a connection as the provider confirmed it last; `None` if nothing changed.
    pub(crate) fn changed(&self, principal: &Principal) -> Option<Principal> {
        let known = self.sessions.get(principal.id())?;
        let changed = principal.revalidated(&known.identity, known.at);
        (changed.identity() != principal.identity()).then_some(changed)
    }

    /// Reports a request of a session.
    pub(crate) fn report(&self, session: &Session) {
        let Some((reports, session_use)) = self.reported(session) else {
            return;
        };
        let known = self.sessions.get(session.id());
        if known.is_none_or(|known| known.is_report_due(self.clock.now())) {
            reports.send(SessionReport::Used(session_use, None));
        }
    }

    /// Before a page: waits until a session whose interval has passed was revalidated, but not for a
    /// provider that is slow or down.
    pub(crate) async fn revalidate_if_overdue(&self, session: &Session) {
        let Some((reports, session_use)) = self.reported(session) else {
            return;
        };
        let is_known = self.sessions.get(session.id()).is_some();
        let need = reports
            .schedule
            .need(session_use.validated, self.clock.now());
        if is_known && need == RevalidationNeed::None {
            return;
        }
        let (answered, answer) = oneshot::channel();
        reports.send(SessionReport::Used(session_use, Some(answered)));
        let _ = tokio::time::timeout(PAGE_PATIENCE, answer).await;
    }

    /// Keeps the session of a connection's principal in use.
    pub(crate) fn hold(&self, principal: &Principal) -> Option<SessionHold> {
        let (reports, session_use) = match principal {
            Principal::Member(session)
            | Principal::MemberWithPass {
                member: session, ..
            } => self.reported(session)?,
            // A member in an app, which keeps no session cookie.
            Principal::Pass(pass) => {
                let session_use = SessionUse {
                    id: pass.id().clone(),
                    validated: pass.validated()?,
                    ends: pass.ends(),
                };
                (self.reports_of(pass.identity())?, session_use)
            }
        };
        let id = session_use.id.clone();
        reports.send(SessionReport::Opened(session_use));
        let inbox = reports.inbox.clone();
        Some(SessionHold { id, inbox })
    }

    /// Forgets the grant of a session that was signed out.
    pub(crate) fn end(&self, session: &Session) {
        if let Some((reports, session_use)) = self.reported(session) {
            reports.send(SessionReport::SignedOut(session_use.id));
        }
    }

    /// Where sessions of a member's provider are reported.
    fn reports_of(&self, member: &Identity) -> Option<&Reports> {
        self.reports.get(&member.provider)
    }

    fn reported(&self, session: &Session) -> Option<(&Reports, SessionUse)> {
        let reports = self.reports_of(session.identity())?;
        let session_use = SessionUse {
            id: session.id().clone(),
            validated: session.validated()?,
            ends: reports.end_of(session),
        };
        Some((reports, session_use))
    }
}

// === impl Reports ===

impl Reports {
    fn end_of(&self, session: &Session) -> Timestamp {
        session.began().after(self.longest_session)
    }

    /// Fails only when the gateway has stopped.
    fn send(&self, report: SessionReport) {
        let _ = self.inbox.send(report);
    }
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        let _ = self.inbox.send(SessionReport::Closed(self.id.clone()));
    }
}

/// A page waits this long for the provider: most providers answer within a tenth of it. Then the
/// known identity decides, and the answer applies when it comes.
const PAGE_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
