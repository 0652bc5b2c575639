//! Captures the logs of the process at trace level.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock},
};

use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The logs of all tests of this process.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    all: Lines,
    audit: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

// === impl Logs ===

impl Logs {
    /// Installs the capture, once per process.
    pub(crate) fn keep() -> Self {
        static KEPT: OnceLock<Logs> = OnceLock::new();
        KEPT.get_or_init(|| {
            let logs = Self::default();
            let all = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(logs.all.clone())
                .with_filter(EnvFilter::new("trace"));
            let audit = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(logs.audit.clone())
                .with_filter(Targets::new().with_target("audit", tracing::Level::INFO));
            tracing_subscriber::registry().with(all).with(audit).init();
            logs
        })
        .clone()
    }

    /// The lines that contain `text`.
    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        self.text()
            .lines()
            .filter(|line| line.contains(text))
            .map(ToOwned::to_owned)
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        self.all.text()
    }

    /// The audit lines as JSON, as `log.audit_file` has them.
    pub(crate) fn audit(&self) -> String {
        self.audit.text()
    }
}

// === impl Lines ===

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
