//! A file of its own for the audit lines.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::Arc,
};

use arc_swap::ArcSwap;
use tracing_subscriber::fmt::MakeWriter;

/// The file, shared by all who write to it. Each line is one write at the end of the file, so nobody
/// has to wait for anybody.
#[derive(Clone, Debug)]
pub(super) struct AuditFile {
    path: Arc<PathBuf>,
    open: Arc<ArcSwap<File>>,
}

/// The file as it is open now.
#[derive(Debug)]
pub(super) struct Writer(Arc<File>);

// === impl AuditFile ===

impl AuditFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let open = Arc::new(ArcSwap::from_pointee(append(&path)?));
        let path = Arc::new(path);
        Ok(Self { path, open })
    }

    /// Goes on in the file that has the name now; the old one was moved away. On error it goes on in
    /// the old one.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.open.store(Arc::new(append(&self.path)?));
        Ok(())
    }

    pub(super) fn path(&self) -> &std::path::Path {
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

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

/// For us and for the group that collects logs: names and addresses of people are in it.
const MODE: u32 = 0o640;
