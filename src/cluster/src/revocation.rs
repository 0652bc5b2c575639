//! Sessions that are over before their time: signed out, logged out at the provider, revoked by an
//! operator, here or on another replica.
//!
//! [`Revocations::revoke`] takes effect here at once. A task on the control plane
//! ([`Revocations::run`]) writes it to the store and says it to the other replicas, and applies
//! what they say. While the store is away each replica goes on with what it knows; what was revoked
//! meanwhile is exchanged when it is back.

mod entries;
mod record;
mod share;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::{
    entries::Entries,
    record::{Kind, Lifetimes, Record},
    share::Sharing,
};
use crate::store::Store;
use model::{
    clock::{Clock, Timestamp},
    session::{Credential, Principal, SessionId},
};

/// Which sessions end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// This one session of ours.
    Session(SessionId),
    /// All that came from one session at the provider (its `sid`).
    ProviderSession(String),
    /// All that a person has now, by the provider's `sub`; one begun later is not meant.
    ProviderSubject(String),
    /// All of people who came by a link, by its id; the link is good for nobody any more.
    Link(String),
    /// What an operator means: all that a person has now, by the subject that audit lines tell, or
    /// one session by its id, which no subject is.
    Operator(String),
}

/// What ended a session before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its person signed out, or somebody else signed in in their browser.
    SignOut,
    /// The provider said so.
    BackChannel,
    /// The link that they came by was revoked.
    Link,
    /// An operator said so.
    Operator,
}

/// What is revoked. Readers take a snapshot and wait for nobody.
#[derive(Debug)]
pub struct Revocations {
    entries: Entries,
    changed: watch::Sender<()>,
    unshared: mpsc::UnboundedSender<Record>,
    /// For the task, which takes it.
    outbox: Mutex<Option<mpsc::UnboundedReceiver<Record>>>,
    /// Since when other replicas' revocations have not been heard of.
    deaf_since: ArcSwapOption<Timestamp>,
    clock: Clock,
    lifetimes: Lifetimes,
}

// === impl Cause ===

impl Cause {
    /// The word for metrics and the audit line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignOut => "sign_out",
            Self::BackChannel => "back_channel",
            Self::Link => "link",
            Self::Operator => "operator",
        }
    }
}

// === impl Revocations ===

impl Revocations {
    /// Nothing revoked yet. No session lives longer than that, so no revocation of one has to be
    /// remembered longer.
    pub fn new(longest_session: Duration, clock: Clock) -> Self {
        let (unshared, outbox) = mpsc::unbounded_channel();
        Self {
            entries: Entries::new(),
            changed: watch::Sender::new(()),
            unshared,
            outbox: Mutex::new(Some(outbox)),
            deaf_since: ArcSwapOption::empty(),
            clock,
            lifetimes: Lifetimes {
                session: longest_session,
                link: LONGEST_LINK,
            },
        }
    }

    /// Ends sessions from now on, and wakes whoever holds their sockets; other replicas learn of it
    /// as soon as the store can be reached.
    pub fn revoke(&self, selector: Selector) {
        let record = Record::of(selector, self.clock.now());
        self.apply([record.clone()]);
        // The task is gone only when everything stops.
        let _ = self.unshared.send(record);
    }

    /// Whether any of a principal's credentials was revoked.
    pub fn contains(&self, principal: &Principal) -> bool {
        self.cause(principal.credentials()).is_some()
    }

    /// What ended the first revoked one of these credentials, if any is revoked.
    pub fn cause<'c>(
        &self,
        credentials: impl IntoIterator<Item = Credential<'c>>,
    ) -> Option<Cause> {
        if self.entries.is_empty() {
            return None;
        }
        credentials
            .into_iter()
            .find_map(|credential| self.cause_of(&credential))
    }

    fn cause_of(&self, credential: &Credential<'_>) -> Option<Cause> {
        let entries = &self.entries;
        let by_provider = || {
            let sid = credential.provider_session;
            sid.is_some_and(|sid| entries.get(Kind::ProviderSession, sid).is_some())
        };
        let by_subject = || {
            let subject = credential.identity.provider_subject();
            let revoked = entries.get(Kind::ProviderSubject, subject);
            revoked.is_some_and(|at| credential.began <= at)
        };
        let id = credential.id.as_str();
        let by_operator = || {
            let person = entries.get(Kind::Operator, &credential.identity.subject);
            person.is_some_and(|at| credential.began <= at)
                || entries.get(Kind::Operator, id).is_some()
        };
        let by_link = || credential.link.is_some_and(|link| self.matches_link(link));
        if entries.get(Kind::Session, id).is_some() {
            Some(Cause::SignOut)
        } else if by_provider() || by_subject() {
            Some(Cause::BackChannel)
        } else if by_operator() {
            Some(Cause::Operator)
        } else {
            by_link().then_some(Cause::Link)
        }
    }

    /// Whether a link was revoked, and with it the sessions of all who came by it.
    pub fn matches_link(&self, link: &str) -> bool {
        self.entries.get(Kind::Link, link).is_some()
    }

    /// For how long revocations on other replicas may have gone unheard because the store is away.
    pub fn deaf_for(&self) -> Option<Duration> {
        let since = self.deaf_since.load();
        since.as_deref().map(|since| self.clock.now().since(*since))
    }

    /// Is told of every change.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Shares revocations with the other replicas until told to stop.
    pub async fn run(self: Arc<Self>, store: Arc<dyn Store>, stopped: CancellationToken) {
        let outbox = self
            .outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(outbox) = outbox else { return };
        Sharing::new(&self, store).run(outbox, stopped).await;
    }

    /// Takes records over; whoever watches is told if any was new.
    fn apply(&self, records: impl IntoIterator<Item = Record>) {
        let now = self.clock.now();
        let live = records
            .into_iter()
            .filter(|record| self.lifetimes.remaining(record, now).is_some());
        let forget = |kind| now.before(self.lifetimes.of(kind));
        if self.entries.insert(live, forget) {
            self.changed.send_replace(());
        }
    }

    /// Notes whether other replicas are heard.
    fn deaf(&self, deaf: bool) {
        match (deaf, self.deaf_since.load().is_some()) {
            (true, false) => self.deaf_since.store(Some(Arc::new(self.clock.now()))),
            (false, true) => self.deaf_since.store(None),
            _ => {}
        }
    }
}

/// How long the revocation of a link is remembered: no link may be good for longer.
pub const LONGEST_LINK: Duration = Duration::from_hours(400 * 24);

#[cfg(test)]
mod tests;
