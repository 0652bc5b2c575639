//! Logs: format, filter, the audit file, and panics as log lines.

mod audit_file;
mod line_limit;
mod text_fields;

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, IsTerminal},
    panic,
    path::PathBuf,
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{
    Dispatch,
    dispatcher::{self, SetGlobalDefaultError},
    error, info,
    level_filters::LevelFilter,
    warn,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt,
};

use self::audit_file::AuditFile;
pub use self::line_limit::LineLimit;

/// The section `[log]`.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The format of lines on standard error.
    pub format: LogFormat,
    /// Which events are logged.
    pub filter: LogFilter,
    /// Whether each request is logged, independent of `filter`.
    pub access: bool,
    /// The file for audit lines; standard error if none.
    pub audit_file: Option<PathBuf>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// A level, or directives such as `info,hyper=warn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFilterError {
    /// Not a level. `tracing` would take the word for a target and enable only that target.
    #[error("{0:?} is not a level")]
    Level(String),
    /// A directive that `tracing` cannot parse.
    #[error("{0:?} is not a directive")]
    Directive(String),
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The process has a global subscriber.
    #[error("logging is already set up")]
    AlreadySet(#[from] SetGlobalDefaultError),
    /// The audit file cannot be opened for appending.
    #[error("cannot open the audit file {path}")]
    AuditFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Handle of the process's logs.
#[derive(Clone, Debug)]
pub struct Logs {
    audit_file: Option<AuditFile>,
}

/// Installs the global subscriber: standard error, the audit file, and a hook that logs panics.
pub fn init(settings: &LogSettings) -> Result<Logs, LogSetupError> {
    let terminal = io::stderr().is_terminal();
    let colour = terminal && permits_colour(env::var_os("NO_COLOR"), env::var_os("TERM"));
    let logs = Logs::open(settings)?;
    dispatcher::set_global_default(logs.dispatch(settings, io::stderr, colour, None))?;
    log_panics();
    Ok(logs)
}

/// Installs the global subscriber as [`init`] does, with a layer that gets the audit lines instead of
/// standard error.
pub fn init_with_audit_layer<L>(settings: &LogSettings, audit: L) -> Result<Logs, LogSetupError>
where
    L: Layer<Registry> + Send + Sync + 'static,
{
    let colour = io::stderr().is_terminal();
    let logs = Logs::open(settings)?;
    let only = Targets::new().with_target(AUDIT_TARGET, LevelFilter::INFO);
    let audit = audit.with_filter(only).boxed();
    dispatcher::set_global_default(logs.dispatch(settings, io::stderr, colour, Some(audit)))?;
    log_panics();
    Ok(logs)
}

// === impl LogSettings ===

impl LogSettings {
    /// The operator's filter with the fixed directives of audit, access and `h2` behind it.
    fn filter(&self, audit_elsewhere: bool) -> EnvFilter {
        let access = if self.access { "info" } else { "off" };
        let audit = if audit_elsewhere || self.audit_file.is_some() {
            "off"
        } else {
            "info"
        };
        // At debug level h2 logs malformed request targets, queries included.
        let fixed = format!("h2=info,{AUDIT_TARGET}={audit},{ACCESS_TARGET}={access}");
        EnvFilter::builder().parse_lossy(format!("{},{fixed}", self.filter.0))
    }
}

// === impl LogFilter ===

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let directives = text.split(',').map(str::trim);
        for directive in directives {
            let level = match directive.rsplit_once('=') {
                Some((_, level)) => level,
                None if directive.contains('[') => continue,
                None => directive,
            };
            // `LevelFilter` parses the empty text as `error`, and digits as levels.
            let is_word = level.chars().all(char::is_alphabetic) && !level.is_empty();
            if !is_word || level.parse::<LevelFilter>().is_err() {
                return Err(LogFilterError::Level(level.to_owned()));
            }
        }
        EnvFilter::builder()
            .parse(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|_| LogFilterError::Directive(text.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Logs ===

impl Logs {
    fn open(settings: &LogSettings) -> Result<Self, LogSetupError> {
        let open = |path: &PathBuf| {
            AuditFile::open(path.clone()).map_err(|source| LogSetupError::AuditFile {
                path: path.clone(),
                source,
            })
        };
        let audit_file = settings.audit_file.as_ref().map(open).transpose()?;
        Ok(Self { audit_file })
    }

    /// Opens the audit file again by its path, after logrotate(8) renamed it. Call on SIGHUP.
    pub fn reopen(&self) {
        let Some(file) = &self.audit_file else { return };
        let path = file.path().display();
        match file.reopen() {
            Ok(()) => info!(%path, "audit file reopened"),
            Err(error) => {
                warn!(%error, %path, "cannot reopen the audit file; audit lines go to the previous file");
            }
        }
    }

    fn dispatch<W>(
        &self,
        settings: &LogSettings,
        writer: W,
        colour: bool,
        audit: Option<BoxLayer>,
    ) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(colour);
        let lines = match settings.format {
            LogFormat::Text => lines.fmt_fields(text_fields::quoted()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let mut layers: Vec<BoxLayer> =
            vec![lines.with_filter(settings.filter(audit.is_some())).boxed()];
        layers.extend(audit);
        if let Some(file) = &self.audit_file {
            let only = Targets::new().with_target(AUDIT_TARGET, LevelFilter::INFO);
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(file.clone());
            layers.push(lines.with_filter(only).boxed());
        }
        Dispatch::new(Registry::default().with(layers))
    }
}

/// Whether the variables of the terminal permit escape sequences: `NO_COLOR` (no-color.org) is not set to a text, and
/// `TERM` is not `dumb`.
fn permits_colour(no_colour: Option<OsString>, terminal: Option<OsString>) -> bool {
    no_colour.is_none_or(|value| value.is_empty()) && terminal.is_none_or(|name| name != "dumb")
}

/// Tokio contains a panic to one task, so the process goes on; the log line is the only trace of it.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        error!(
            panic.message = info.payload_as_str().unwrap_or("no message"),
            panic.location = info.location().map(ToString::to_string),
            panic.thread = std::thread::current().name(),
            "task panicked; please report this as a bug"
        );
    }));
}

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Target of the access lines, switched by `log.access`.
pub const ACCESS_TARGET: &str = "access";

/// Target of the audit lines, which `log.level` does not affect.
pub const AUDIT_TARGET: &str = "audit";

#[cfg(test)]
mod tests;
