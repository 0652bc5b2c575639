//! Logs: what is written, in which form, and that panics are written too.

mod audit_file;
#[cfg(test)]
mod tests;

use std::{
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

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In which form.
    pub format: Format,
    /// What.
    pub filter: Filter,
    /// Whether each request is logged, whatever the filter says of other things.
    pub access: bool,
    /// Where audit lines go, if not among the others.
    pub audit_file: Option<PathBuf>,
}

/// In which form logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which events are logged: a level, or directives as `info,hyper=warn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word that would be taken for a target: everything of it, and nothing else, would be
    /// logged.
    #[error("{0:?} is not a level")]
    Level(String),
    /// Not a directive.
    #[error("{0:?} is not a directive")]
    Directive(String),
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It began before.
    #[error("logging was set up already")]
    Again(#[from] SetGlobalDefaultError),
    /// The file for audit lines cannot be written.
    #[error("cannot open the audit file {path}")]
    AuditFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What is logged to.
#[derive(Clone, Debug)]
pub struct Logs {
    audit_file: Option<AuditFile>,
}

/// Begins to log to standard error, and audit lines to their file, for the rest of the process.
/// Panics are logged as errors from then on.
pub fn init(settings: &Settings) -> Result<Logs, InitError> {
    let colour = io::stderr().is_terminal();
    let logs = Logs::open(settings)?;
    dispatcher::set_global_default(logs.dispatch(settings, io::stderr, colour))?;
    log_panics();
    Ok(logs)
}

// === impl Settings ===

impl Settings {
    /// What the operator wants of other things, and the lines that have rules of their own.
    fn filter(&self) -> EnvFilter {
        let access = if self.access { "info" } else { "off" };
        // Below its warnings the HTTP/2 library prints addresses that it cannot read, queries
        // included.
        let audit = if self.audit_file.is_some() {
            "off"
        } else {
            "info"
        };
        let own = format!("h2=info,{AUDIT_TARGET}={audit},{ACCESS_TARGET}={access}");
        EnvFilter::builder().parse_lossy(format!("{},{own}", self.filter.0))
    }
}

// === impl Filter ===

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let directives = text.split(',').map(str::trim);
        for directive in directives {
            let level = match directive.rsplit_once('=') {
                Some((_, level)) => level,
                None if directive.contains('[') => continue,
                None => directive,
            };
            // tracing takes the empty text for `error`, and numbers for levels.
            let is_word = level.chars().all(char::is_alphabetic) && !level.is_empty();
            if !is_word || level.parse::<LevelFilter>().is_err() {
                return Err(FilterError::Level(level.to_owned()));
            }
        }
        EnvFilter::builder()
            .parse(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|_| FilterError::Directive(text.to_owned()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Logs ===

impl Logs {
    fn open(settings: &Settings) -> Result<Self, InitError> {
        let open = |path: &PathBuf| {
            AuditFile::open(path.clone()).map_err(|source| InitError::AuditFile {
                path: path.clone(),
                source,
            })
        };
        let audit_file = settings.audit_file.as_ref().map(open).transpose()?;
        Ok(Self { audit_file })
    }

    /// Goes on in a new file where the old one was moved away, as logrotate does.
    pub fn reopen(&self) {
        let Some(file) = &self.audit_file else { return };
        let path = file.path().display();
        match file.reopen() {
            Ok(()) => info!(%path, "the audit file was opened anew"),
            Err(error) => {
                warn!(%error, %path, "the audit file cannot be opened; the old one is written on");
            }
        }
    }

    fn dispatch<W>(&self, settings: &Settings, writer: W, colour: bool) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(colour);
        let lines = match settings.format {
            Format::Text => lines.boxed(),
            Format::Json => lines.json().flatten_event(true).boxed(),
        };
        let mut layers: Vec<BoxLayer> = vec![lines.with_filter(settings.filter()).boxed()];
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

/// A panic ends one connection, and somebody has to hear of it in the form of all other lines.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        error!(
            panic.message = info.payload_as_str().unwrap_or("no message"),
            panic.location = info.location().map(ToString::to_string),
            panic.thread = std::thread::current().name(),
            "a task panicked; please report this as a bug"
        );
    }));
}

/// The target of the lines about requests, which have a switch of their own.
pub const ACCESS_TARGET: &str = "access";

/// The target of the lines about who was let in and who was not, which are always written.
pub const AUDIT_TARGET: &str = "audit";
