//! The file for audit lines.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tracing_subscriber::fmt::MakeWriter;

/// The open file, shared by all threads. Each line is one `write` with `O_APPEND`, so lines do not
/// mix and writers need no lock.
#[derive(Clone, Debug)]
pub(super) struct AuditFile {
    path: Arc<PathBuf>,
    open: Arc<ArcSwap<File>>,
}

/// The file that was open when the line began.
#[derive(Debug)]
pub(super) struct Writer(Arc<File>);

// === impl AuditFile ===

impl AuditFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let open = Arc::new(ArcSwap::from_pointee(append(&path)?));
        let path = Arc::new(path);
        Ok(Self { path, open })
    }

    /// Opens the path again. On error the previous file stays in use.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.open.store(Arc::new(append(&self.path)?));
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl<'w> MakeWriter<'w> for AuditFile {
    type Writer = Writer;

    fn make_writer(&'w self) -> Writer {
        Writer(self.open.load_full())
    }
}

// === impl Writer ===

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

/// No access for others: the lines have names and addresses of people.
const MODE: u32 = 0o640;
