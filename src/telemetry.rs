//! Logs: what is written, in which form, and that panics are written too.

use std::{
    fmt,
    io::{self, IsTerminal},
    panic,
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{
    Dispatch,
    dispatcher::{self, SetGlobalDefaultError},
    error,
    level_filters::LevelFilter,
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In which form.
    pub format: Format,
    /// What.
    pub filter: Filter,
    /// Whether each request is logged, whatever the filter says of other things.
    pub access: bool,
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
#[error("logging was set up already")]
pub struct InitError(#[from] SetGlobalDefaultError);

/// Begins to log to standard error, for the rest of the process. Panics are logged as errors from
/// then on.
pub fn init(settings: &Settings) -> Result<(), InitError> {
    let colour = io::stderr().is_terminal();
    dispatcher::set_global_default(dispatch(settings, io::stderr, colour))?;
    log_panics();
    Ok(())
}

// === impl Settings ===

impl Settings {
    /// What the operator wants of other things, and the lines that have rules of their own.
    fn filter(&self) -> EnvFilter {
        let access = if self.access { "info" } else { "off" };
        // Below its warnings the HTTP/2 library prints addresses that it cannot read, queries
        // included.
        let own = format!("h2=info,{AUDIT_TARGET}=info,{ACCESS_TARGET}={access}");
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

fn dispatch<W>(settings: &Settings, writer: W, colour: bool) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(settings.filter())
        .with_writer(writer)
        .with_ansi(colour);
    match settings.format {
        Format::Text => Dispatch::new(builder.finish()),
        Format::Json => Dispatch::new(builder.json().flatten_event(true).finish()),
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static ALONE: Mutex<()> = Mutex::new(());

    fn logged(format: Format, filter: &str, access: bool) -> String {
        let settings = Settings {
            format,
            filter: filter.parse().unwrap(),
            access,
        };
        // What tracing remembers of an event is shared by all subscribers of the process.
        let _alone = ALONE.lock().unwrap();
        let lines = Lines::default();
        let writer = lines.clone();
        let dispatch = dispatch(&settings, move || writer.clone(), false);
        dispatcher::with_default(&dispatch, || {
            debug!("fine detail");
            info!(room = "x\u{1b}[2J\ny", "plain news");
            info!(target: ACCESS_TARGET, "one request");
            info!(target: AUDIT_TARGET, "one person");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn requests_are_logged_by_their_own_switch() {
        let quiet = logged(Format::Text, "warn", true);
        assert!(quiet.contains("one request") && !quiet.contains("plain news"));
        assert!(quiet.contains("one person"));
        let loud = logged(Format::Text, "debug", false);
        assert!(loud.contains("fine detail") && !loud.contains("one request"));
    }

    #[test]
    fn every_event_is_one_line_without_control_characters() {
        let text = logged(Format::Text, "info", false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let json = logged(Format::Json, "info", false);
        let event: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(event["message"], "plain news");
        assert_eq!(event["room"], "x\u{1b}[2J\ny");
    }

    #[test]
    fn the_http_2_library_never_tells_addresses() {
        for filter in ["trace", "debug,h2=trace"] {
            let settings = Settings {
                format: Format::Text,
                filter: filter.parse().unwrap(),
                access: true,
            };
            let filter = settings.filter().to_string();
            assert!(
                filter.contains("h2=info") && !filter.contains("h2=trace"),
                "{filter}"
            );
        }
    }

    #[test]
    fn words_that_are_no_level_are_refused() {
        for good in ["info", "WARN", "off", "info,hyper=warn", "a::b=debug,error"] {
            assert!(good.parse::<Filter>().is_ok(), "{good}");
        }
        for bad in ["", "infoo", "info,", "hyper=loud", "3", "a=1"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
