//! The command line: what can be asked of the program, and how it answers.
//!
//! Nothing here prints by itself: what people and scripts read goes to the [`Terminal`] that the
//! caller gives.

mod doctor;
mod explain;
#[cfg(test)]
mod tests;
mod token;

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::lifecycle::Reload;
use config::{self, Config, Environment, Problems};
use model::clock::Clock;
use observe::logs;
use proxy::api;

/// What the program runs when it is told to serve; given by `main`, which alone knows all parts.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    /// Serves with a configuration until it is told to stop.
    pub run: fn(&Config, &Reload) -> anyhow::Result<()>,
    /// Serves a demonstration with everything embedded until it is told to stop.
    #[cfg(feature = "demo")]
    pub demo: fn() -> anyhow::Result<()>,
}

/// Where a command reads and writes.
pub struct Terminal<'t> {
    /// Standard input.
    pub input: &'t mut dyn Read,
    /// Standard output: what was asked for.
    pub output: &'t mut dyn Write,
    /// Standard error: what went wrong, and notes.
    pub error: &'t mut dyn Write,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked; 0.
    Done,
    /// It began, and something failed; 1.
    Failed,
    /// The configuration or the command line is wrong, so nothing began; 2.
    Refused,
}

/// The front door of a Jitsi Meet deployment.
///
/// Ends TLS, signs people in by OpenID Connect, decides who may enter which room, and puts fresh
/// tokens on the traffic to Prosody.
#[derive(Debug, Parser)]
#[command(name = "jitsi-auth-gateway", version, subcommand_required = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop.
    Run(ConfigArgument),
    /// Serve a demonstration with everything embedded, on loopback, without Jitsi.
    #[cfg(feature = "demo")]
    Demo,
    /// Check the configuration, its keys and its rules, and touch nothing else.
    Check(ConfigArgument),
    /// Look at the deployment from here, with good tokens and bad ones, and say what to change. Exit
    /// code 1 if something is wrong, 2 if nothing could be looked at.
    Doctor(doctor::DoctorArguments),
    /// Say which rule decides on a person and a room, and why.
    Explain(explain::ExplainArguments),
    /// Make tokens for tests, or look into one.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Describe the configuration file and the API.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON schema.
    Schema,
    /// Print all options as Markdown.
    Reference,
    /// Print the description of the API (OpenAPI 3.1).
    Openapi {
        /// Print it as Markdown.
        #[arg(long)]
        markdown: bool,
    },
}

/// The file that a command works with.
#[derive(Debug, Args)]
struct ConfigArgument {
    /// The configuration file; unless given, what `GATEWAY_CONFIG` names, or
    /// `config/gateway.toml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command did not end as asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error("error: {0}")]
    Usage(String),
    /// All is said already.
    #[error("")]
    Found,
    #[error("error: {0:#}")]
    Run(#[from] anyhow::Error),
    #[error("error: cannot write: {0}")]
    Terminal(#[from] io::Error),
}

/// What all commands have at hand.
struct Context<'c, 't> {
    environment: &'c Environment,
    clock: Clock,
    terminal: &'c mut Terminal<'t>,
}

/// Runs one command line, the program's name included.
pub fn run<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    environment: &Environment,
    commands: Commands,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let parsed = match CommandLine::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(answer) => return tell(&answer, terminal),
    };
    let mut context = Context {
        environment,
        clock: Clock::system(),
        terminal,
    };
    match context.run(parsed.command, commands) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            if !matches!(failure, Failure::Found) {
                // Nobody is left to tell if this cannot be written either.
                let _ = writeln!(context.terminal.error, "{failure}");
            }
            failure.exit()
        }
    }
}

// === impl Terminal ===

impl std::fmt::Debug for Terminal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Refused => 2,
        })
    }
}

// === impl ConfigArgument ===

impl ConfigArgument {
    fn load(self, environment: &Environment) -> Result<(PathBuf, Config), Problems> {
        let path = self
            .config
            .or_else(|| environment.config_file())
            .unwrap_or_else(|| DEFAULT_CONFIG.into());
        config::load(&path, environment).map(|config| (path, config))
    }
}

// === impl Failure ===

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Refused,
            Self::Found | Self::Run(_) | Self::Terminal(_) => Exit::Failed,
        }
    }
}

// === impl Context ===

impl Context<'_, '_> {
    fn run(&mut self, command: Command, commands: Commands) -> Result<(), Failure> {
        match command {
            Command::Run(file) => {
                let (path, config) = file.load(self.environment)?;
                let logs = logs::init(&config.log).map_err(anyhow::Error::from)?;
                let environment = self.environment.clone();
                let reload = Reload {
                    read: Box::new(move || config::load(&path, &environment)),
                    reopen_logs: Box::new(move || logs.reopen()),
                };
                (commands.run)(&config, &reload)?;
            }
            #[cfg(feature = "demo")]
            Command::Demo => (commands.demo)()?,
            Command::Check(file) => self.check(file)?,
            Command::Doctor(arguments) => self.doctor(arguments)?,
            Command::Explain(arguments) => self.explain(arguments)?,
            Command::Token(command) => self.token(command)?,
            Command::Config(ConfigCommand::Schema) => {
                let schema = format!("{:#}", config::schema());
                writeln!(self.terminal.output, "{schema}")?;
            }
            Command::Config(ConfigCommand::Openapi { markdown: true }) => {
                write!(self.terminal.output, "{}", api::reference())?;
            }
            Command::Config(ConfigCommand::Openapi { markdown: false }) => {
                let document = format!("{:#}", api::document());
                writeln!(self.terminal.output, "{document}")?;
            }
            Command::Config(ConfigCommand::Reference) => {
                write!(self.terminal.output, "{}", config::reference())?;
            }
        }
        Ok(())
    }

    fn check(&mut self, file: ConfigArgument) -> Result<(), Failure> {
        let (path, config) = file.load(self.environment)?;
        for switch in &config.weakened {
            writeln!(self.terminal.error, "warning: {switch} is on")?;
        }
        writeln!(self.terminal.output, "{} is good", path.display())?;
        Ok(())
    }
}

/// Answers a command line that is wrong, or one that asks for help or the version.
fn tell(answer: &clap::Error, terminal: &mut Terminal<'_>) -> Exit {
    let text = answer.render();
    let written = if answer.use_stderr() {
        write!(terminal.error, "{text}")
    } else {
        write!(terminal.output, "{text}")
    };
    match (written, answer.use_stderr()) {
        (Ok(()), true) => Exit::Refused,
        (Ok(()), false) => Exit::Done,
        (Err(_), _) => Exit::Failed,
    }
}

/// Where the configuration is in a checkout and in the container.
const DEFAULT_CONFIG: &str = "config/gateway.toml";
