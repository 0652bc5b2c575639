//! The file of a journal, and the lock on its directory.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    OpenJournalError,
    ledger::{self, HEADER, Replay},
    writer::Medium,
};

/// The file in a directory that this process has locked.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    /// The open directory: its lock ends with the process, however that ends.
    lock: File,
    file: Option<Appended>,
}

/// The file that lines are appended to.
#[derive(Debug)]
struct Appended {
    file: File,
    /// The end of its last acknowledged line.
    length: u64,
}

// === impl Disk ===

impl Disk {
    /// Locks a directory, which is created if it is missing, and reads the file in it.
    pub(super) fn open(directory: &Path) -> Result<(Self, Replay), OpenJournalError> {
        let unusable = |error| OpenJournalError::Directory {
            path: directory.to_owned(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(unusable)?;
        let lock = File::open(directory).map_err(unusable)?;
        acquire(&lock, LOCK_TIMEOUT).map_err(|error| match error {
            TryLockError::WouldBlock => OpenJournalError::InUse(directory.to_owned()),
            TryLockError::Error(error) => unusable(error),
        })?;
        let path = directory.join(FILE);
        let content = match fs::read(&path) {
            Ok(content) => content,
            // A new deployment, or one that had no directory before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_vec(),
            Err(error) => return Err(OpenJournalError::Unreadable { path, error }),
        };
        let replay = ledger::replay(&content)
            .map_err(|damage| OpenJournalError::Damaged { path, damage })?;
        let disk = Self {
            directory: directory.to_owned(),
            lock,
            file: None,
        };
        Ok((disk, replay))
    }

    fn write_new(&self, content: &[u8]) -> io::Result<File> {
        let path = self.directory.join(NEW_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Created anew, so that the mode is that of this file and no link is followed.
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&path, self.directory.join(FILE))?;
        self.lock.sync_all()?;
        Ok(file)
    }
}

impl Medium for Disk {
    fn directory(&self) -> &Path {
        &self.directory
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(Appended { file, length }) = &mut self.file else {
            return Err(io::Error::other("the file has to be written anew"));
        };
        let written = file.write_all(line).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What is left of the line is cut off; at the latest the next start does it.
            let _ = file.set_len(*length);
            // After a failed sync the system may have dropped what it had accepted.
            self.file = None;
            return Err(error);
        }
        *length += u64::try_from(line.len()).unwrap_or_default();
        Ok(())
    }

    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        let file = self.write_new(content)?;
        let length = u64::try_from(content.len()).unwrap_or_default();
        self.file = Some(Appended { file, length });
        Ok(())
    }
}

/// Waits for a lock: the process before this one may still be draining.
fn acquire(file: &File, within: Duration) -> Result<(), TryLockError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {}
        result => return result,
    }
    // The lock belongs to the open directory, so also to its clone. In vain the thread waits until
    // the process ends, which it does then.
    let waiting = file.try_clone().map_err(TryLockError::Error)?;
    let (locked, result) = mpsc::channel();
    thread::spawn(move || locked.send(waiting.lock()));
    match result.recv_timeout(within) {
        Ok(result) => result.map_err(TryLockError::Error),
        Err(_) => Err(TryLockError::WouldBlock),
    }
}

/// The file in the directory.
pub(super) const FILE: &str = "revocations.journal";

/// Its successor until it is complete.
const NEW_FILE: &str = "revocations.journal.new";

/// A service manager that restarts the process starts it when the one before has ended, so the lock
/// is free but for the end of the system's bookkeeping. A second process would wait in vain.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_replaced_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state/gateway");
        let (mut disk, replay) = Disk::open(&directory).unwrap();
        assert_eq!((replay.ledger.len(), replay.torn), (0, 0));
        // A left-over of a crash is no obstacle.
        fs::write(directory.join(NEW_FILE), "half").unwrap();
        assert!(disk.append(b"line\n").is_err(), "there is no file yet");
        disk.replace(HEADER).unwrap();
        disk.append(b"one\n").unwrap();
        let path = directory.join(FILE);
        assert_eq!(fs::read(&path).unwrap(), [HEADER, b"one\n"].concat());
        disk.replace(HEADER).unwrap();
        disk.append(b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), [HEADER, b"two\n"].concat());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&directory)), (0o600, 0o700));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_has_one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = Disk::open(directory.path()).unwrap();
        let second = File::open(directory.path()).unwrap();
        let held = acquire(&second, Duration::ZERO);
        assert!(matches!(held, Err(TryLockError::WouldBlock)), "{held:?}");
        let waiting = thread::spawn(move || acquire(&second, Duration::from_secs(10)));
        drop(first);
        assert!(waiting.join().unwrap().is_ok());
    }

    #[test]
    fn a_path_without_a_directory_or_journal_is_an_error_that_names_it() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Disk::open(&file).unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        fs::write(parent.path().join(FILE), "something else").unwrap();
        let error = Disk::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("revocations.journal"), "{error}");
        assert!(error.contains("move the file away"), "{error}");
    }
}
