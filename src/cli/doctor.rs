//! `doctor`: what is wrong with a deployment, and `doctor explain`: what a log says.

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use super::{ConfigArgument, Context, Failure};
use crate::{
    doctor::{self, Check, Order, Selection},
    random::Random,
};

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
    only: Option<Selection>,
    /// Also try what takes two people in a test room: roles, and that they see each other.
    #[arg(long)]
    deep: bool,
    /// Tell of each check when it begins, even if nobody seems to watch.
    #[arg(long)]
    progress: bool,
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
        let watched = arguments.progress || io::stderr().is_terminal();
        let error = std::cell::RefCell::new(&mut *self.terminal.error);
        let progress = |check: Check| {
            if watched {
                // What is found is what counts.
                let _ = writeln!(error.borrow_mut(), "{check} {}", check.title());
            }
        };
        let order = Order {
            selection: arguments.only.unwrap_or_default(),
            deep: arguments.deep,
            progress: &progress,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unable)?;
        let random = Random::system();
        let examining = doctor::examine(&config, &order, &self.clock, &random);
        let report = runtime.block_on(examining).map_err(unable)?;
        if let Some(file) = arguments.junit {
            fs::write(&file, report.junit())
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        }
        if arguments.json {
            writeln!(self.terminal.output, "{}", report.json())?;
        } else {
            write!(self.terminal.output, "{report}")?;
        }
        if report.is_healthy() {
            Ok(())
        } else {
            Err(Failure::Found)
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
        let explanations = doctor::explain(&String::from_utf8_lossy(&bytes));
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

/// Nothing could be examined, which is another thing than that something is wrong.
fn unable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Usage(format!("{:#}", error.into()))
}

/// A day's log of a busy Prosody.
const MAX_LOG_BYTES: u64 = 64 << 20;
