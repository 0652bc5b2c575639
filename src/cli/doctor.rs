//! `doctor`: what is wrong with a deployment, and `doctor explain`: what a log says.

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use http::uri::Authority;
use humantime_serde::re::humantime;

use super::{ConfigArgument, Context, Failure};
use doctor::{self, Check, CheckSelection, DoctorOptions, Finding};
use model::random::Random;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DoctorArguments {
    #[command(subcommand)]
    command: Option<DoctorCommand>,
    #[command(flatten)]
    file: ConfigArgument,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Also write `JUnit`'s XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only these checks and what they build upon: ids as B1, or letters, with commas between.
    #[arg(long, value_name = "IDS")]
    only: Option<CheckSelection>,
    /// Also open a test room with a random name, enter it as two people, and leave it. Without this
    /// no room is opened.
    #[arg(long)]
    deep: bool,
    /// Also see whether quiet connections through the public address live: 90 seconds, or as long
    /// as this says.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "90s", value_parser = quiet)]
    slow: Option<Duration>,
    /// Ask Jicofo at this address for its bridges, as `http://jicofo:8888`.
    #[arg(long, value_name = "URL", value_parser = jicofo)]
    jicofo: Option<Authority>,
    /// Look again and again, with so long between, until Ctrl-C; tells only of changes. The exit
    /// code is that of the last look.
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    watch: Option<Duration>,
    /// Tell of each check when it begins, even if standard error is no terminal.
    #[arg(long, short = 'v', alias = "progress")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum DoctorCommand {
    /// Explain lines of Prosody's or Jicofo's log, or of a browser's console.
    Explain {
        /// The file with the lines; unless given, standard input.
        file: Option<PathBuf>,
    },
}

// === impl Context ===

impl Context<'_, '_> {
    pub(super) fn doctor(&mut self, arguments: DoctorArguments) -> Result<(), Failure> {
        if let Some(DoctorCommand::Explain { file }) = arguments.command {
            return self.explain_lines(file);
        }
        let (_, config) = arguments.file.load(self.environment)?;
        let watched = arguments.verbose || io::stderr().is_terminal();
        let error = std::cell::RefCell::new(&mut *self.terminal.error);
        let progress = |check: Check| {
            if watched {
                // What is found is what counts.
                let _ = writeln!(error.borrow_mut(), "{check} {}", check.title());
            }
        };
        let options = DoctorOptions {
            selection: arguments.only.unwrap_or_default(),
            deep: arguments.deep,
            idle: arguments.slow,
            jicofo: arguments.jicofo,
            progress: &progress,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unable)?;
        let random = Random::system();
        let mut said = None;
        loop {
            let looking = doctor::examine(&config, &options, &self.clock, &random);
            let Some(report) = runtime.block_on(until_interrupted(looking)) else {
                break;
            };
            let report = report.map_err(unable)?;
            if let Some(file) = &arguments.junit {
                fs::write(file, report.junit())
                    .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            }
            let ids: Vec<_> = report.findings().iter().map(Finding::id).collect();
            // Who watches wants to hear of changes.
            if said.as_ref().is_none_or(|(_, before)| *before != ids) {
                if arguments.watch.is_some() && !arguments.json {
                    let now = UNIX_EPOCH + Duration::from_secs(self.clock.now().as_unix());
                    let now = humantime::format_rfc3339_seconds(now);
                    writeln!(self.terminal.output, "== {now}")?;
                }
                if arguments.json {
                    writeln!(self.terminal.output, "{}", report.json())?;
                } else {
                    write!(self.terminal.output, "{report}")?;
                }
                self.terminal.output.flush()?;
            }
            said = Some((report.is_healthy(), ids));
            let Some(pause) = arguments.watch else {
                break;
            };
            let waiting = until_interrupted(tokio::time::sleep(pause));
            if runtime.block_on(waiting).is_none() {
                break;
            }
        }
        match said {
            Some((true, _)) => Ok(()),
            Some((false, _)) => Err(Failure::Found),
            None => Err(Failure::Usage("interrupted".to_owned())),
        }
    }

    fn explain_lines(&mut self, file: Option<PathBuf>) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        if let Some(file) = file {
            let unreadable =
                |error: io::Error| Failure::Usage(format!("{}: {error}", file.display()));
            let open = fs::File::open(&file).map_err(unreadable)?;
            open.take(MAX_LOG_BYTES)
                .read_to_end(&mut bytes)
                .map_err(unreadable)?;
        } else {
            let input = &mut *self.terminal.input;
            input.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
        }
        let explanations = doctor::explain_log(&String::from_utf8_lossy(&bytes));
        let output = &mut self.terminal.output;
        if explanations.is_empty() {
            writeln!(
                output,
                "none of these lines is known; doctor looks at the deployment itself"
            )?;
            return Ok(());
        }
        for explanation in explanations {
            writeln!(output, "{explanation}")?;
        }
        Err(Failure::Found)
    }
}

/// What comes of it, unless somebody presses Ctrl-C first.
async fn until_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        _ = tokio::signal::ctrl_c() => None,
    }
}

fn quiet(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(1))
        .ok_or_else(|| "write a duration from 1s to 1h, as 90s".to_owned())
}

fn pause(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(24))
        .ok_or_else(|| "write a duration from 1s to 24h, as 60s".to_owned())
}

fn between(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    let duration = humantime::parse_duration(text).ok();
    duration.filter(|duration| (least..=most).contains(duration))
}

fn jicofo(text: &str) -> Result<Authority, String> {
    let address = text.strip_prefix("http://").unwrap_or(text);
    address
        .trim_end_matches('/')
        .parse()
        .map_err(|_| "write an address as http://jicofo:8888".to_owned())
}

/// Nothing could be examined, which is another thing than that something is wrong.
fn unable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Usage(format!("{:#}", error.into()))
}

/// A day's log of a busy Prosody.
const MAX_LOG_BYTES: u64 = 64 << 20;
