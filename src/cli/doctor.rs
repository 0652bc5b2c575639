//! `doctor`: tests a deployment. `doctor explain`: explains log lines.

use std::{
    cell::RefCell,
    fs,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use http::uri::Authority;
use tokio::runtime::Builder;

use super::{CommandContext, CommandError, ConfigArgument, help};
use config::Config;
use doctor::{Check, CheckSelection, DoctorOptions, DoctorReport, RecorderAccount};
use model::{clock::Timestamp, random::Random, time_format};

#[derive(Debug, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DoctorArguments {
    #[command(subcommand)]
    command: Option<DoctorCommand>,
    #[command(flatten)]
    file: ConfigArgument,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Also write the results as `JUnit` XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run only these checks and those they depend on: comma-separated ids (`B1`) or groups (`B`).
    #[arg(long, value_name = "IDS")]
    only: Option<CheckSelection>,
    /// Also enter a test room with a random name as two participants, and leave it. By default no
    /// room is opened.
    #[arg(long)]
    deep: bool,
    /// Also test whether idle connections through the public address stay open: for 90 seconds, or
    /// the given duration.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "90s", value_parser = parse_idle_duration)]
    slow: Option<Duration>,
    /// Ask Jicofo at this URL for its bridges, as `http://jicofo:8888`.
    #[arg(long, value_name = "URL", value_parser = parse_jicofo)]
    jicofo: Option<Authority>,
    /// A file with the account of a recorder, `user@domain:password`: with `--deep`, also test whether
    /// recorders enter rooms.
    #[arg(long, value_name = "FILE")]
    recorder: Option<PathBuf>,
    /// Repeat with this pause until Ctrl-C, and print only changes. The exit code is that of the last
    /// run.
    #[arg(long, value_name = "DURATION", value_parser = parse_pause)]
    watch: Option<Duration>,
    /// Print each check when it begins, even if standard error is not a terminal.
    #[arg(long, short = 'v', alias = "progress")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum DoctorCommand {
    /// Explain lines of Prosody's or Jicofo's log, or of a browser's console.
    #[command(after_help = help::DOCTOR_EXPLAIN)]
    Explain {
        /// The file with the lines [default: standard input].
        file: Option<PathBuf>,
    },
}

/// The result of one run, to which the next is compared.
struct RunSummary {
    healthy: bool,
    findings: Vec<String>,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn doctor(&mut self, arguments: DoctorArguments) -> Result<(), CommandError> {
        if let Some(DoctorCommand::Explain { file }) = arguments.command {
            return self.explain_lines(file);
        }
        let (_, config) = arguments.file.clone().load(self.environment)?;
        self.examine(&config, &arguments)
    }

    /// Tests the deployment of a configuration.
    pub(super) fn examine(
        &mut self,
        config: &Config,
        arguments: &DoctorArguments,
    ) -> Result<(), CommandError> {
        let shows_progress = arguments.verbose || io::stderr().is_terminal();
        let error = RefCell::new(&mut *self.terminal.error);
        let progress = |check: Check| {
            if shows_progress {
                // Failing to print progress is no reason to stop.
                let _ = writeln!(error.borrow_mut(), "{check} {}", check.title());
            }
        };
        let order = DoctorOptions {
            selection: arguments.only.clone().unwrap_or_default(),
            deep: arguments.deep,
            idle: arguments.slow,
            jicofo: arguments.jicofo.clone(),
            recorder: arguments
                .recorder
                .as_deref()
                .map(read_account)
                .transpose()?,
            progress: &progress,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(not_examined)?;
        let random = Random::system();
        let mut last: Option<RunSummary> = None;
        loop {
            let examination = doctor::examine(config, &order, &self.clock, &random);
            let Some(report) = runtime.block_on(unless_interrupted(examination)) else {
                break;
            };
            let report = report.map_err(not_examined)?;
            if let Some(file) = &arguments.junit {
                fs::write(file, report.junit())
                    .map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
            }
            let outcome = RunSummary::of(&report);
            if last
                .as_ref()
                .is_none_or(|last| last.findings != outcome.findings)
            {
                let now = self.clock.now();
                print_report(&mut *self.terminal.output, &report, arguments, now)?;
            }
            last = Some(outcome);
            let Some(pause) = arguments.watch else {
                break;
            };
            let pause = unless_interrupted(tokio::time::sleep(pause));
            if runtime.block_on(pause).is_none() {
                break;
            }
        }
        match last {
            Some(RunSummary { healthy: true, .. }) => Ok(()),
            Some(RunSummary { healthy: false, .. }) => Err(CommandError::Findings),
            None => Err(CommandError::Usage("interrupted".to_owned())),
        }
    }

    fn explain_lines(&mut self, file: Option<PathBuf>) -> Result<(), CommandError> {
        let mut bytes = Vec::new();
        if let Some(file) = file {
            fs::File::open(&file)
                .and_then(|open| open.take(MAX_LOG_BYTES).read_to_end(&mut bytes))
                .map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
        } else {
            let input = &mut *self.terminal.input;
            input.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
        }
        let explanations = doctor::explain_log(&String::from_utf8_lossy(&bytes));
        let output = &mut self.terminal.output;
        if explanations.is_empty() {
            writeln!(
                output,
                "none of these lines is known; `doctor` without `explain` tests the deployment"
            )?;
            return Ok(());
        }
        for explanation in explanations {
            writeln!(output, "{explanation}")?;
        }
        Err(CommandError::Findings)
    }
}

// === impl RunSummary ===

impl RunSummary {
    fn of(report: &DoctorReport) -> Self {
        let ids = report.findings().iter().map(doctor::Finding::id);
        Self {
            healthy: report.is_healthy(),
            findings: ids.collect(),
        }
    }
}

fn print_report(
    output: &mut dyn Write,
    report: &DoctorReport,
    arguments: &DoctorArguments,
    now: Timestamp,
) -> io::Result<()> {
    if arguments.json {
        writeln!(output, "{}", report.json())?;
    } else {
        if arguments.watch.is_some() {
            writeln!(output, "== {}", time_format::format_rfc3339(now.as_unix()))?;
        }
        write!(output, "{report}")?;
    }
    output.flush()
}

/// Runs a future until Ctrl-C; `None` if it was interrupted.
async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        _ = tokio::signal::ctrl_c() => None,
    }
}

fn read_account(file: &Path) -> Result<RecorderAccount, CommandError> {
    let usage =
        |error: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| usage(&error))?;
    text.parse::<RecorderAccount>()
        .map_err(|error| usage(&error))
}

fn parse_idle_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_hours(1))
        .ok_or_else(|| "write a duration from 1s to 1h, as 90s".to_owned())
}

fn parse_pause(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_hours(24))
        .ok_or_else(|| "write a duration from 1s to 24h, as 60s".to_owned())
}

/// Parses a duration from one second to `longest`.
fn parse_duration(text: &str, longest: Duration) -> Option<Duration> {
    time_format::parse_duration(text)
        .filter(|duration| (Duration::from_secs(1)..=longest).contains(duration))
}

fn parse_jicofo(text: &str) -> Result<Authority, String> {
    text.strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/')
        .parse()
        .map_err(|_| "write a URL as http://jicofo:8888".to_owned())
}

/// Exit code 2: nothing was examined, in contrast to findings.
fn not_examined(error: impl Into<anyhow::Error>) -> CommandError {
    CommandError::Usage(format!("{:#}", error.into()))
}

/// A busy Prosody logs less in a day.
const MAX_LOG_BYTES: u64 = 64 << 20;
