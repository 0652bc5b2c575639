//! Revoked sessions and links: by sign-out, by back-channel logout, by an operator, on this replica
//! or another.
//!
//! [`Revocations::revoke`] takes effect on this replica at once, and its [`Receipt`] resolves when a
//! restart cannot undo it. A task on the control plane ([`RevocationSync::run`]) writes it to the
//! store, publishes it, and applies the revocations of other replicas. While the store is
//! unreachable, each replica continues with the revocations it has. With a [`Journal`], all that
//! this replica knows is on its disk, too.

mod census;
mod receipt;
mod record;
mod sync;
mod table;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{
    clock::{Clock, EventTime, Timestamp},
    session::{Credential, Principal, SessionId},
};
use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub(crate) use self::record::{Kind, Record};
use self::{
    census::{Census, Collapse},
    record::Lifetimes,
    sync::{Machine, Outgoing},
    table::RevocationTable,
};
pub use self::{
    receipt::{Preservation, PreservationError, Receipt},
    sync::RevocationSync,
};
use crate::{
    journal::{Entry, Journal, JournalContent, PendingCommit},
    replication::{self, Replication},
};

/// The sessions that a revocation ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// One session or pass.
    Session(EndedSession),
    /// All sessions from one session at the provider, by its `sid`, except those that begin later: a
    /// provider may use a `sid` again.
    ProviderSession {
        /// The session at the provider.
        sid: String,
        /// Whose it is, if the provider named the person.
        subject: Option<String>,
    },
    /// Those sessions of a person, by the provider's `sub`, whose ID token named no session.
    SubjectWithoutSession(String),
    /// All sessions of a person by the provider's `sub`, except those that begin later.
    ProviderSubject(String),
    /// All sessions that began with a link, by the link's id; the link itself is revoked, too.
    Link(String),
    /// An operator's command: all sessions of a person by the subject in audit lines, except those
    /// that begin later, or one session by id. No subject is a session id.
    Operator(String),
    /// All sessions and passes of a person by the subject in audit lines, except those that begin later: the person
    /// signed out everywhere.
    Person(String),
    /// One gateway session by id, which the provider no longer confirms.
    Invalidated(SessionId),
}

/// A session or pass that is over before its time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndedSession {
    /// Its id.
    id: SessionId,
    owner: String,
    began: EventTime,
}

/// The origin of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Sign-out, or a sign-in of another person in the same browser.
    SignOut,
    /// OpenID Connect Back-Channel Logout.
    BackChannel,
    /// Revocation of the link with which the session began.
    Link,
    /// An operator's command.
    Operator,
    /// The provider refused to confirm the session again.
    Revalidation,
}

/// All revocations on this replica. Readers take no locks.
#[derive(Debug)]
pub struct Revocations {
    table: RevocationTable,
    changed: watch::Sender<()>,
    /// Locked by writers only.
    census: Mutex<Census>,
    inbox: UnboundedSender<Outgoing>,
    /// `None` if a restart forgets what the store does not have.
    journal: Option<Journal>,
    /// Cancelled when the list of the store was read once.
    initial_read: CancellationToken,
    clock: Clock,
    lifetimes: Lifetimes,
}

// === impl EndedSession ===

impl From<Credential<'_>> for EndedSession {
    fn from(credential: Credential<'_>) -> Self {
        Self {
            id: credential.id.clone(),
            owner: credential.identity.subject.clone(),
            began: credential.began,
        }
    }
}

impl EndedSession {
    /// The first of the sessions that followed each other in the browser of this one, with which all of
    /// them end; `None` if it is this one.
    pub fn first_of_browser(credential: Credential<'_>) -> Option<Self> {
        let id = credential.ancestor?.clone();
        Some(Self {
            id,
            ..credential.into()
        })
    }

    /// The id of the session or pass.
    pub fn id(&self) -> &SessionId {
        &self.id
    }
}

// === impl Cause ===

impl Cause {
    /// The value in metrics and audit lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignOut => "sign_out",
            Self::BackChannel => "back_channel",
            Self::Link => "link",
            Self::Operator => "operator",
            Self::Revalidation => "revalidation",
        }
    }
}

// === impl Revocations ===

impl Revocations {
    /// Creates an empty set of revocations and the task that replicates it. A revocation is kept
    /// for `longest_session`; every session that it ends has expired by then.
    pub fn new(longest_session: Duration, clock: Clock) -> (Arc<Self>, RevocationSync) {
        Self::with_journal(longest_session, clock, None)
    }

    /// [`new`](Self::new) with the revocations of an earlier process, which are in effect before the
    /// first request.
    pub fn with_journal(
        longest_session: Duration,
        clock: Clock,
        journal: Option<(Journal, &JournalContent)>,
    ) -> (Arc<Self>, RevocationSync) {
        let (journal, content) = journal.unzip();
        let (inbox, inputs) = replication::inbox();
        let revocations = Arc::new(Self {
            table: RevocationTable::new(),
            changed: watch::Sender::new(()),
            census: Mutex::default(),
            inbox,
            journal,
            initial_read: CancellationToken::new(),
            clock,
            lifetimes: Lifetimes {
                session: longest_session,
                link: LONGEST_LINK,
            },
        });
        if let Some(content) = content {
            revocations.insert(content.revocations());
        }
        let machine = Machine::new(Arc::clone(&revocations));
        let sync = RevocationSync::new(Replication::new(machine, inputs));
        (revocations, sync)
    }

    /// Revokes sessions and notifies their WebSockets. Other replicas receive the revocation as
    /// soon as the store is reachable.
    pub fn revoke(&self, selector: Selector) -> Receipt {
        self.revoke_as_of(selector, self.clock.event_time())
    }

    /// [`revoke`](Self::revoke) at an earlier time: sessions that began since then are not ended by a revocation that
    /// names a person.
    pub fn revoke_as_of(&self, selector: Selector, at: EventTime) -> Receipt {
        let record = Record::of(selector, at);
        if self.is_full(&record) {
            return Receipt::refused();
        }
        let known = self.table.record(record.kind, &record.id);
        let is_repeated = known.is_some();
        // A later time would say nothing new, and would be another record on disk and in the store.
        let record = match known {
            Some(known) if record.kind.is_timeless() => Record::clone(&known),
            _ => record,
        };
        let coarse = self.insert([record.clone()]);
        let disk = self.commit([record.clone()].into_iter().chain(coarse.iter().cloned()));
        let (delivered, delivery) = oneshot::channel();
        let outgoing = Outgoing {
            replaces: is_repeated || !coarse.is_empty(),
            record,
            coarse,
            delivered,
        };
        if self.inbox.send(outgoing).is_err() {
            error!("a revocation is not shared with other replicas: replication has stopped");
        }
        Receipt::of(disk, delivery)
    }

    /// Whether there are too many revocations of a kind that no coarser one can replace.
    fn is_full(&self, record: &Record) -> bool {
        let has_bound = matches!(record.kind, Kind::Link | Kind::Operator);
        has_bound
            && self.table.len(record.kind) >= MAX_OF_KIND
            && self.table.get(record.kind, &record.id).is_none()
    }

    /// Hands records to the journal, if there is one.
    fn commit(&self, records: impl IntoIterator<Item = Record>) -> Option<PendingCommit> {
        let journal = self.journal.as_ref()?;
        let entry = |record: Record| Entry::Revoked {
            expires: record.at.after(self.lifetimes.of(record.kind)),
            record,
        };
        Some(journal.commit(records.into_iter().map(entry).collect()))
    }

    /// Whether any of a principal's credentials is revoked.
    pub fn contains(&self, principal: &Principal) -> bool {
        self.cause(principal.credentials()).is_some()
    }

    /// The cause of the first revoked one of these credentials; `None` if none is revoked.
    pub fn cause<'c>(
        &self,
        credentials: impl IntoIterator<Item = Credential<'c>>,
    ) -> Option<Cause> {
        if self.table.is_empty() {
            return None;
        }
        credentials
            .into_iter()
            .find_map(|credential| self.cause_of(&credential))
    }

    fn cause_of(&self, credential: &Credential<'_>) -> Option<Cause> {
        let table = &self.table;
        let by_provider = || {
            let sid = credential.provider_session;
            let revoked = sid.and_then(|sid| table.get(Kind::ProviderSession, sid));
            revoked.is_some_and(|at| credential.began <= at)
        };
        let without_session = || {
            let subject = credential.identity.provider_subject();
            let revoked = table.get(Kind::SubjectWithoutSession, subject);
            credential.provider_session.is_none()
                && revoked.is_some_and(|at| credential.began <= at)
        };
        let by_subject = || {
            let subject = credential.identity.provider_subject();
            let revoked = table.get(Kind::ProviderSubject, subject);
            revoked.is_some_and(|at| credential.began <= at)
        };
        let id = credential.id.as_str();
        let by_operator = || {
            let person = table.get(Kind::Operator, &credential.identity.subject);
            person.is_some_and(|at| credential.began <= at)
                || table.get(Kind::Operator, id).is_some()
        };
        let by_link = || {
            credential
                .link
                .is_some_and(|link| self.is_link_revoked(link))
        };
        let person = &*credential.identity.subject;
        let coarsely = || {
            let class = if person.is_empty() {
                Kind::Guests
            } else {
                Kind::Members
            };
            [(Kind::Person, person), (class, "")]
                .into_iter()
                .filter_map(|(kind, id)| table.get(kind, id))
                .any(|at| credential.began <= at)
        };
        let by_ancestor = || {
            let first = credential.ancestor.map(SessionId::as_str);
            first.is_some_and(|first| table.get(Kind::Session, first).is_some())
        };
        if table.get(Kind::Session, id).is_some() || by_ancestor() || coarsely() {
            Some(Cause::SignOut)
        } else if table.get(Kind::Invalidated, id).is_some() {
            Some(Cause::Revalidation)
        } else if by_provider() || by_subject() || without_session() {
            Some(Cause::BackChannel)
        } else if by_operator() {
            Some(Cause::Operator)
        } else {
            by_link().then_some(Cause::Link)
        }
    }

    /// Whether a session is revoked by its id, whatever the origin of the revocation.
    pub fn is_session_revoked(&self, id: &SessionId) -> bool {
        let kinds = [Kind::Session, Kind::Invalidated, Kind::Operator];
        kinds
            .into_iter()
            .any(|kind| self.table.get(kind, id.as_str()).is_some())
    }

    /// Whether a link is revoked, which also ends all sessions that began with it.
    pub fn is_link_revoked(&self, link: &str) -> bool {
        self.table.get(Kind::Link, link).is_some()
    }

    /// Subscribes to changes.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until the revocations in the store are in effect on this replica. Before, a session that
    /// was revoked on another replica counts as valid.
    pub async fn initial_read(&self) {
        self.initial_read.cancelled().await;
    }

    /// Adds records that have not expired and notifies watchers if any is new. Gives the coarser ones
    /// that have replaced records at a bound.
    fn insert(&self, records: impl IntoIterator<Item = Record>) -> Vec<Record> {
        let now = self.clock.now();
        let live = records
            .into_iter()
            .filter(|record| self.lifetimes.remaining(record, now).is_some())
            .filter(|record| !self.table.covers(record));
        let expired_up_to = |kind| now.before(self.lifetimes.of(kind));
        let news = self.table.insert(live, expired_up_to);
        let mut coarse = Vec::new();
        for record in &news {
            self.count(record, now, &mut coarse);
        }
        if !news.is_empty() {
            self.changed.send_replace(());
        }
        coarse
    }

    /// Counts a record; at a bound, replaces records by a coarser one, which is counted, too.
    fn count(&self, record: &Record, now: Timestamp, coarse: &mut Vec<Record>) {
        let expires = record.at.after(self.lifetimes.of(record.kind));
        let collapses = {
            let mut census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
            census.add(record, expires, now)
        };
        for Collapse {
            coarse: record,
            replaced,
        } in collapses
        {
            warn!(
                kind = record.kind.as_str(),
                replaced = replaced.len(),
                "too many revocations; older ones are replaced by one that ends everything as old"
            );
            let expired_up_to = |kind| now.before(self.lifetimes.of(kind));
            self.table.insert([record.clone()], expired_up_to);
            // The coarser revocation is in the table first, so that no revoked session is valid in between.
            self.table.remove(&replaced);
            self.count(&record, now, coarse);
            coarse.push(record);
        }
    }
}

/// Revocations of links, and of operators: a busy integration revokes a hundred a day, for 400 days.
const MAX_OF_KIND: usize = 50_000;

/// Lifetime of a link's revocation: no link is valid for longer.
pub const LONGEST_LINK: Duration = Duration::from_hours(400 * 24);

#[cfg(test)]
mod tests;
