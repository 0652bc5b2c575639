//! The journal with its thread: acknowledgement, faults of the disk, compaction, restart.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use model::clock::Timestamp;

use super::*;

/// A disk in memory that can be full.
#[derive(Clone, Default)]
struct FakeDisk(Arc<Platter>);

#[derive(Default)]
struct Platter {
    content: Mutex<Vec<u8>>,
    is_full: AtomicBool,
    replaced: AtomicUsize,
    appended: AtomicUsize,
}

impl FakeDisk {
    fn fill(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn facts(&self) -> usize {
        let content = self.0.content.lock().unwrap();
        ledger::replay(&content).unwrap().ledger.len()
    }
}

impl Medium for FakeDisk {
    fn directory(&self) -> &Path {
        Path::new("/srv/state")
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut content = self.0.content.lock().unwrap();
        self.0.appended.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = self.check() {
            // The beginning of the line fits.
            content.extend(&lines[..lines.len() / 2]);
            return Err(error);
        }
        content.extend(lines);
        Ok(())
    }

    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        self.check()?;
        self.0.replaced.fetch_add(1, Ordering::SeqCst);
        content.clone_into(&mut self.0.content.lock().unwrap());
        Ok(())
    }
}

fn used(key: &str) -> Entry {
    Entry::Used {
        key: key.to_owned(),
        used: 1,
        expires: Timestamp::from_unix(2_000_000),
    }
}

fn clock() -> Clock {
    Clock::manual(Timestamp::from_unix(1_000_000)).0
}

fn start(disk: &FakeDisk) -> (Journal, JournalMetrics) {
    let metrics = JournalMetrics::default();
    let journal = Journal::start(disk.clone(), Ledger::default(), metrics.clone(), clock());
    (journal.unwrap(), metrics)
}

fn open(directory: &Path) -> (Journal, JournalContent) {
    Journal::open(directory, JournalMetrics::default(), clock()).unwrap()
}

async fn commit(journal: &Journal, key: &str) -> Result<(), JournalError> {
    journal.commit(vec![used(key)]).written().await
}

#[tokio::test]
async fn a_commit_is_on_disk_when_it_is_acknowledged() {
    let disk = FakeDisk::default();
    let (journal, metrics) = start(&disk);
    for n in 1..=20 {
        commit(&journal, &n.to_string()).await.unwrap();
        assert_eq!(disk.facts(), n);
    }
    assert_eq!((metrics.ready.get(), metrics.failures.get()), (1, 0));
    // What is known already is not written again.
    let before = disk.0.appended.load(Ordering::SeqCst);
    for _ in 0..20 {
        commit(&journal, "1").await.unwrap();
    }
    assert_eq!(disk.0.appended.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_gets_them_when_it_has_room() {
    let disk = FakeDisk::default();
    let (journal, metrics) = start(&disk);
    commit(&journal, "before").await.unwrap();
    disk.fill(true);
    for key in ["a", "b", "c"] {
        let refused = commit(&journal, key).await.unwrap_err().to_string();
        assert!(refused.contains("no storage space"), "{refused}");
    }
    let failure = journal.failure().unwrap().to_string();
    assert!(
        failure.ends_with(", in `store.directory`, /srv/state"),
        "{failure}"
    );
    assert_eq!(metrics.ready.get(), 0);
    // What was on disk stays readable.
    let content = disk.0.content.lock().unwrap().clone();
    assert_eq!(ledger::replay(&content).unwrap().ledger.len(), 1);
    disk.fill(false);
    // The end of the journal is the next attempt that does not wait.
    drop(journal);
    until(|| disk.facts() == 4).await;
    assert_eq!(metrics.ready.get(), 1);
}

#[test]
fn an_unusable_directory_is_reported_once() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("file").join("state");
    fs::write(parent.path().join("file"), "").unwrap();
    let error = Journal::open(&directory, JournalMetrics::default(), clock()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("`store.directory`: "), "{text}");
    assert!(text.contains("Not a directory"), "{text}");
    // The causes of an error are printed behind it.
    assert!(std::error::Error::source(&error).is_none());
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_no_obstacle_to_a_start() {
    let disk = FakeDisk::default();
    disk.fill(true);
    let (journal, metrics) = start(&disk);
    assert!(journal.failure().is_some());
    assert_eq!(metrics.ready.get(), 0);
    assert!(commit(&journal, "a").await.is_err());
}

#[tokio::test]
async fn the_file_is_compacted_when_it_has_doubled() {
    let disk = FakeDisk::default();
    let (journal, metrics) = start(&disk);
    let long = "x".repeat(100_000);
    for n in 0..200u32 {
        let entry = Entry::Used {
            key: long.clone(),
            used: n + 1,
            expires: Timestamp::from_unix(2_000_000),
        };
        journal.commit(vec![entry]).written().await.unwrap();
    }
    let length = disk.0.content.lock().unwrap().len();
    assert!(length < 2_000_000, "{length} bytes of one fact");
    let replaced = disk.0.replaced.load(Ordering::SeqCst);
    assert!((5..=50).contains(&replaced), "{replaced} compactions");
    assert_eq!((disk.facts(), metrics.entries.get()), (1, 1));
}

#[tokio::test]
async fn a_restart_reads_what_was_acknowledged_and_drops_what_expired() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, content) = open(directory.path());
    assert_eq!(content.entries().count(), 0);
    commit(&journal, "lasting").await.unwrap();
    let expired = Entry::Stored {
        key: "expired".to_owned(),
        value: "1".to_owned(),
        expires: Timestamp::from_unix(1_000_000),
    };
    journal.commit(vec![expired]).written().await.unwrap();
    // A crash while the next line was written.
    let path = directory.path().join(disk::FILE);
    let mut torn = fs::read(&path).unwrap();
    torn.extend(b"01234567 [{\"e\":\"us");
    drop(journal);
    fs::write(&path, torn).unwrap();
    let (journal, content) = open(directory.path());
    assert_eq!(content.0, [used("lasting")]);
    commit(&journal, "later").await.unwrap();
    drop(journal);
    let (_journal, content) = open(directory.path());
    assert_eq!(content.entries().count(), 2);
}

#[test]
fn a_damaged_line_is_an_error_that_names_file_and_line_and_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(disk::FILE);
    let mut file = ledger::HEADER.to_vec();
    file.extend(entry::encode(&[&used("a")]));
    file.extend(entry::encode(&[&used("b")]));
    file[ledger::HEADER.len() + 20] ^= 1;
    fs::write(&path, &file).unwrap();
    let error = Journal::open(directory.path(), JournalMetrics::default(), clock());
    let error = error.unwrap_err().to_string();
    for part in [
        path.to_str().unwrap(),
        "line 2 is damaged",
        "move the file away",
    ] {
        assert!(error.contains(part), "{error}");
    }
    // The damaged file stays as evidence of the cause.
    assert_eq!(fs::read(&path).unwrap(), file);
}

async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, waiting).await.expect("in time");
}
