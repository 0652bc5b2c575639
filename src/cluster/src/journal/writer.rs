//! The thread that writes a journal: one write and one sync for all that is waiting (group commit).

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use model::clock::Clock;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{
    JournalError, JournalState,
    entry::{self, Entry},
    ledger::Ledger,
};

/// Where the lines go.
pub(super) trait Medium: Send + 'static {
    /// The directory that errors name.
    fn directory(&self) -> &Path;

    /// Appends lines and waits until they are on disk.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Replaces all lines at once: a crash leaves the old content or the new one.
    fn replace(&mut self, content: &[u8]) -> io::Result<()>;
}

/// Facts to write, and who waits for them.
pub(super) struct Commit {
    pub(super) entries: Vec<Entry>,
    pub(super) written: oneshot::Sender<Result<(), JournalError>>,
}

/// The state of the thread.
pub(super) struct Writer<M> {
    pub(super) medium: M,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) state: Arc<JournalState>,
    /// Length of the lines since the last compaction.
    appended: usize,
    /// That length at which the next one is due.
    compact_at: usize,
    /// The last attempt to write again what could not be written.
    retried: Option<Instant>,
}

// === impl Writer ===

impl<M: Medium> Writer<M> {
    pub(super) fn new(medium: M, ledger: Ledger, clock: Clock, state: Arc<JournalState>) -> Self {
        Self {
            medium,
            ledger,
            clock,
            state,
            appended: 0,
            compact_at: MIN_COMPACTION,
            retried: None,
        }
    }

    /// Writes commits until all senders are dropped.
    pub(super) fn run(mut self, commits: &Receiver<Commit>) {
        loop {
            let next = if self.state.failure().is_some() {
                commits.recv_timeout(RETRY)
            } else {
                commits.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match next {
                Ok(commit) => {
                    let more = commits.try_iter().take(MAX_COMMITS - 1);
                    let group: Vec<_> = [commit].into_iter().chain(more).collect();
                    self.commit(group);
                }
                Err(RecvTimeoutError::Timeout) => self.retry(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.state.failure().is_some() {
            self.rewrite();
        }
    }

    /// Writes the whole ledger into a new file. On success nothing is missing on disk.
    pub(super) fn rewrite(&mut self) {
        self.ledger.sweep(self.clock.now());
        let content = self.ledger.to_file();
        match self.medium.replace(&content) {
            Ok(()) => {
                self.appended = 0;
                self.compact_at = content.len().max(MIN_COMPACTION);
                if self.state.recover() {
                    info!("the journal of revocations is written again");
                }
            }
            Err(error) => self.fail(&error),
        }
        self.retried = Some(Instant::now());
        self.state.count(self.ledger.len());
    }

    fn commit(&mut self, group: Vec<Commit>) {
        let mut news = Vec::new();
        let mut waiting = Vec::new();
        for Commit { entries, written } in group {
            for entry in entries {
                if self.ledger.apply(entry.clone()) {
                    news.push(entry);
                }
            }
            waiting.push(written);
        }
        self.write(&news);
        let result = match self.state.failure() {
            None => Ok(()),
            Some(reason) => Err(JournalError { reason }),
        };
        for written in waiting {
            // The receiver is gone if the client left.
            let _ = written.send(result.clone());
        }
    }

    fn write(&mut self, news: &[Entry]) {
        if self.state.failure().is_some() {
            self.retry();
            return;
        }
        if news.is_empty() {
            return;
        }
        let lines = entry::encode(&news.iter().collect::<Vec<_>>());
        match self.medium.append(&lines) {
            Ok(()) => self.appended += lines.len(),
            Err(error) => return self.fail(&error),
        }
        self.state.count(self.ledger.len());
        if self.appended >= self.compact_at {
            self.rewrite();
        }
    }

    /// Tries again, unless it was tried a moment ago: a full disk is not filled by attempts.
    fn retry(&mut self) {
        if self.retried.is_none_or(|last| last.elapsed() >= RETRY) {
            self.rewrite();
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if self.state.fail(error) {
            warn!(
                %error,
                directory = %self.medium.directory().display(),
                "the journal of revocations cannot be written: a restart would forget what is revoked now; \
                 uses of counted links are refused"
            );
        }
    }
}

/// Commits that one sync takes; bounds a line, and with it what one acknowledgement waits for.
const MAX_COMMITS: usize = 500;

/// A journal below this length is not worth a compaction, which writes about as much.
const MIN_COMPACTION: usize = 1024 * 1024;

/// The pause between attempts at a disk that is full or read-only.
const RETRY: Duration = Duration::from_secs(5);
