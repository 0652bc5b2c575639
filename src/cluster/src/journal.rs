//! A file of what a restart must not undo: revocations, uses of links, used handoff tokens.
//!
//! The file is a log of lines with checksums (`entry`), which amounts to a ledger of live facts
//! (`ledger`); a thread writes it (`writer`) to a locked directory (`disk`). A commit is
//! acknowledged when it is on disk. While the disk is full or read-only, commits fail, and the thread
//! writes everything anew as soon as it can.

mod disk;
mod entry;
mod ledger;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use arc_swap::ArcSwapOption;
use model::clock::Clock;
use observe::metrics::JournalMetrics;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub(crate) use self::entry::Entry;
pub use self::ledger::JournalDamage;
use self::ledger::Ledger;
use self::{
    disk::Disk,
    writer::{Commit, Medium, Writer},
};
use crate::revocation::Record;

/// The journal of this process; cheap to clone. The thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Journal {
    commits: mpsc::Sender<Commit>,
    state: Arc<JournalState>,
}

/// What a journal had at the start of this process.
#[derive(Debug, Default)]
pub struct JournalContent(Vec<Entry>);

/// A fact that is on disk once this resolves.
#[derive(Debug)]
#[must_use = "what is not waited for may be forgotten by a restart"]
pub(crate) struct PendingCommit(oneshot::Receiver<Result<(), JournalError>>);

/// A commit is not on disk: a restart may forget it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal of revocations cannot be written: {reason}")]
pub struct JournalError {
    reason: Arc<str>,
}

/// Why a journal cannot be opened. The gateway does not start then: it would give access to those
/// who lost it.
#[derive(Debug, thiserror::Error)]
pub enum OpenJournalError {
    /// The directory cannot be created, opened or locked.
    #[error(
        "`store.directory`: {path} cannot be used: {error}; it has to be a directory of the gateway's user"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why. The text has it, so it is not the source of a chain.
        error: io::Error,
    },
    /// Another process has the lock.
    #[error(
        "`store.directory`: {0} is in use by another process; each gateway needs a directory of its own"
    )]
    InUse(PathBuf),
    /// The file cannot be read.
    #[error("`store.directory`: {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why. The text has it, so it is not the source of a chain.
        error: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "`store.directory`: {path} is damaged: {damage}; restore the file, or move the file away and replace \
         the key of `session.key_file`: without the file, revoked sessions and used links count again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        damage: JournalDamage,
    },
    /// The thread cannot be started.
    #[error("the thread of the journal cannot be started: {0}")]
    Thread(io::Error),
}

/// Whether the journal is written; shared with its thread.
#[derive(Debug)]
pub(crate) struct JournalState {
    /// `store.directory`.
    directory: PathBuf,
    failure: ArcSwapOption<String>,
    metrics: JournalMetrics,
}

// === impl JournalContent ===

impl JournalContent {
    /// All facts, in no particular order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// The revocations.
    pub(crate) fn revocations(&self) -> impl Iterator<Item = Record> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Revoked { record, .. } => Some(record.clone()),
            Entry::Used { .. } | Entry::Stored { .. } => None,
        })
    }
}

// === impl Journal ===

impl Journal {
    /// Opens the journal in a directory, waiting for a moment if another process has it.
    pub fn open(
        directory: &Path,
        metrics: JournalMetrics,
        clock: Clock,
    ) -> Result<(Self, JournalContent), OpenJournalError> {
        let (disk, mut replay) = Disk::open(directory)?;
        if replay.torn > 0 {
            let bytes = replay.torn;
            warn!(
                bytes,
                "the journal of revocations ends in an incomplete line, which was not acknowledged"
            );
        }
        replay.ledger.sweep(clock.now());
        let content = JournalContent(replay.ledger.entries().cloned().collect());
        let journal = Self::start(disk, replay.ledger, metrics, clock);
        Ok((journal.map_err(OpenJournalError::Thread)?, content))
    }

    fn start(
        medium: impl Medium,
        ledger: Ledger,
        metrics: JournalMetrics,
        clock: Clock,
    ) -> io::Result<Self> {
        let state = Arc::new(JournalState {
            directory: medium.directory().to_owned(),
            failure: ArcSwapOption::empty(),
            metrics,
        });
        state.metrics.ready.set(1);
        let mut writer = Writer::new(medium, ledger, clock, Arc::clone(&state));
        // A new file without expired facts and torn lines. It also shows whether the disk takes any.
        writer.rewrite();
        let (commits, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&inbox))?;
        Ok(Self { commits, state })
    }

    /// Hands facts to the thread. They are on disk when the result resolves.
    pub(crate) fn commit(&self, entries: Vec<Entry>) -> PendingCommit {
        let (written, commit) = oneshot::channel();
        // Fails after the end of the thread, which drops `written`.
        let _ = self.commits.send(Commit { entries, written });
        PendingCommit(commit)
    }

    /// Waits until the gateway has stopped, then until the pending commits are written.
    pub async fn run(self, stopped: CancellationToken) {
        stopped.cancelled().await;
        if let Err(error) = self.commit(Vec::new()).written().await {
            error!(%error, "stopped before all revocations were on disk; a restart forgets some");
        }
    }

    /// Why the journal cannot be written at present.
    pub fn failure(&self) -> Option<JournalError> {
        let reason = self.state.failure()?;
        Some(JournalError { reason })
    }
}

// === impl PendingCommit ===

impl PendingCommit {
    /// Waits for the disk.
    pub(crate) async fn written(self) -> Result<(), JournalError> {
        self.0.await.unwrap_or_else(|_| {
            let reason = "its thread has ended".into();
            Err(JournalError { reason })
        })
    }
}

// === impl JournalState ===

impl JournalState {
    fn failure(&self) -> Option<Arc<str>> {
        let failure = self.failure.load();
        failure.as_ref().map(|reason| reason.as_str().into())
    }

    /// Notes a failure; whether it is the first since the last success.
    fn fail(&self, error: &io::Error) -> bool {
        self.metrics.ready.set(0);
        self.metrics.failures.inc();
        let directory = self.directory.display();
        let reason = format!("{error}, in `store.directory`, {directory}");
        let reason = Some(Arc::new(reason));
        self.failure.swap(reason).is_none()
    }

    /// Notes a success; whether there was a failure before it.
    fn recover(&self) -> bool {
        self.metrics.ready.set(1);
        self.failure.swap(None).is_some()
    }

    fn count(&self, facts: usize) {
        self.metrics
            .entries
            .set(i64::try_from(facts).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
