//! The command line: arguments, output and exit codes.
//!
//! All output goes to the [`Terminal`] that the caller passes.

mod admin_client;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod explain;
mod healthcheck;
mod help;
mod init;
mod inspect;
mod occupants;
mod shell;
mod table;
#[cfg(test)]
mod tests;
mod token;
mod version;

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::lifecycle::Reload;
use config::{Config, ConfigProblems, Environment};
#[cfg(feature = "demo")]
use devkit::demo::ExternalJitsi;
use model::clock::Clock;
use observe::logs;
use proxy::api;

/// The commands that serve. `main` passes the real ones; tests pass functions that return at once.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    /// Serves with a configuration until a signal stops the process.
    pub run: fn(&Config, &Reload) -> anyhow::Result<()>,
    /// Serves the demonstration until a signal stops the process.
    #[cfg(feature = "demo")]
    pub demo: fn(Option<ExternalJitsi>) -> anyhow::Result<()>,
}

/// The standard streams of a command.
pub struct Terminal<'t> {
    /// Standard input.
    pub input: &'t mut dyn Read,
    /// Standard output: the results.
    pub output: &'t mut dyn Write,
    /// Standard error: errors, warnings and progress.
    pub error: &'t mut dyn Write,
}

/// The exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the command succeeded.
    Done,
    /// 1: the command ran and failed, or found something wrong.
    Failed,
    /// 2: the configuration or the command line is invalid; nothing was done.
    Refused,
}

/// An authenticating reverse proxy for Jitsi Meet.
///
/// Terminates TLS, signs users in with OpenID Connect, applies room rules, and adds a freshly signed
/// token to each connection to Prosody.
#[derive(Debug, Parser)]
#[command(
    name = "jitsi-auth-gateway",
    version = version::SHORT,
    long_version = version::LONG,
    subcommand_required = true,
    after_help = "Exit codes: 0 success; 1 the command failed or found a problem; 2 the \
                  configuration or the command line is invalid."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT.
    ///
    /// SIGHUP reloads the configuration. A second SIGTERM or SIGINT skips the graceful shutdown.
    #[command(after_help = help::RUN)]
    Run(ConfigArgument),
    /// Run a demonstration on loopback, with an embedded provider and a simulated Jitsi, or in front of
    /// yours.
    ///
    /// Takes the ports 8443, 9090, 9091 and 5280, or the next free ones.
    #[cfg(feature = "demo")]
    #[command(after_help = help::DEMO)]
    Demo(demo::DemoArguments),
    /// Write a first configuration, after a few questions.
    ///
    /// Writes gateway.toml, new secrets, and the settings of Jitsi that belong to them; prints what to
    /// enter at the provider and the next commands. An option answers its question beforehand.
    #[command(after_help = help::INIT)]
    Init(init::InitArguments),
    /// Check the configuration and all files that it names.
    ///
    /// Prints every problem with its location and remedy. Opens no connections and binds no ports.
    #[command(after_help = help::CHECK)]
    Check(ConfigArgument),
    /// Test the deployment from this machine, with valid and invalid tokens, and print remedies.
    #[command(after_help = help::DOCTOR)]
    Doctor(doctor::DoctorArguments),
    /// Show which rule applies to a user and a room, and why.
    #[command(after_help = help::EXPLAIN)]
    Explain(explain::ExplainArguments),
    /// Create tokens for tests, or inspect one.
    #[command(subcommand, after_help = help::TOKEN)]
    Token(token::TokenCommand),
    /// List the rooms in use at a running gateway, and who is in them.
    #[command(subcommand, after_help = help::ROOMS)]
    Rooms(occupants::RoomsCommand),
    /// List the sessions in use at a running gateway, or revoke some.
    #[command(subcommand, after_help = help::SESSIONS)]
    Sessions(occupants::SessionsCommand),
    /// Ask a running gateway whether it is alive, for containers without a shell.
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(healthcheck::HealthcheckArguments),
    /// Print completions for a shell: bash, zsh, fish, elvish or powershell.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in the format of man(7).
    #[command(after_help = help::MANUAL)]
    Manual,
    /// Print the schema or the reference of the configuration file or the API.
    #[command(subcommand, after_help = help::CONFIG)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON schema of the configuration file.
    Schema,
    /// Print the reference of all options as Markdown.
    Reference,
    /// Print the OpenAPI 3.1 document of the API.
    Openapi {
        /// Print a reference as Markdown instead.
        #[arg(long)]
        markdown: bool,
    },
}

/// The configuration file of a command.
#[derive(Clone, Debug, Default, Args)]
struct ConfigArgument {
    /// The configuration file [default: `$GATEWAY_CONFIG` or `config/gateway.toml`].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    #[error("error: {0}")]
    Usage(String),
    /// The command found something wrong and has printed it.
    #[error("")]
    Findings,
    #[error("error: {0:#}")]
    Run(#[from] anyhow::Error),
    #[error("error: cannot read or write: {0}")]
    Terminal(#[from] io::Error),
}

/// The environment, clock and streams of a command.
struct CommandContext<'c, 't> {
    environment: &'c Environment,
    clock: Clock,
    terminal: &'c mut Terminal<'t>,
}

/// Runs a command line; the first argument is the name of the program.
pub fn run<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    environment: &Environment,
    commands: Commands,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let parsed = match CommandLine::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return print_clap_error(&error, terminal),
    };
    let mut context = CommandContext {
        environment,
        clock: Clock::system(),
        terminal,
    };
    match context.run(parsed.command, commands) {
        Ok(()) => Exit::Done,
        Err(error) => {
            if !matches!(error, CommandError::Findings) {
                // A failure to write to standard error cannot be reported.
                let _ = writeln!(context.terminal.error, "{error}");
            }
            error.exit()
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
    fn load(self, environment: &Environment) -> Result<(PathBuf, Config), ConfigProblems> {
        let path = self
            .config
            .or_else(|| environment.config_file())
            .unwrap_or_else(|| DEFAULT_CONFIG.into());
        config::load(&path, environment).map(|config| (path, config))
    }
}

// === impl CommandError ===

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Refused,
            Self::Findings | Self::Run(_) | Self::Terminal(_) => Exit::Failed,
        }
    }
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    fn run(&mut self, command: Command, commands: Commands) -> Result<(), CommandError> {
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
            Command::Demo(arguments) => (commands.demo)(arguments.jitsi()?)?,
            Command::Init(arguments) => self.init(arguments)?,
            Command::Check(file) => self.check(file)?,
            Command::Doctor(arguments) => self.doctor(arguments)?,
            Command::Explain(arguments) => self.explain(arguments)?,
            Command::Token(command) => self.token(command)?,
            Command::Rooms(command) => self.rooms(command)?,
            Command::Sessions(command) => self.sessions(command)?,
            Command::Healthcheck(arguments) => self.check_health(arguments)?,
            Command::Completions { shell } => shell::completions(shell, self.terminal.output)?,
            Command::Manual => shell::manual(self.terminal.output)?,
            Command::Config(ConfigCommand::Schema) => {
                let schema = format!("{:#}", config::schema());
                writeln!(self.terminal.output, "{schema}")?;
            }
            Command::Config(ConfigCommand::Openapi { markdown: true }) => {
                write!(self.terminal.output, "{}", api::markdown())?;
            }
            Command::Config(ConfigCommand::Openapi { markdown: false }) => {
                let document = format!("{:#}", api::openapi());
                writeln!(self.terminal.output, "{document}")?;
            }
            Command::Config(ConfigCommand::Reference) => {
                write!(self.terminal.output, "{}", config::reference())?;
            }
        }
        Ok(())
    }

    fn check(&mut self, file: ConfigArgument) -> Result<(), CommandError> {
        let (path, config) = file.load(self.environment)?;
        let (now, authorities) = (self.clock.now(), oidc::trust::system_roots());
        let chains = config.certificate_chains.iter();
        let of_chains = chains.flat_map(|chain| chain.warnings(now, &authorities));
        let of_clients = config.client_certificate_warnings(now);
        let warnings = config.warnings().into_iter().chain(of_chains);
        for warning in warnings.chain(of_clients) {
            writeln!(self.terminal.error, "warning: {warning}")?;
        }
        writeln!(self.terminal.output, "{} is valid", path.display())?;
        Ok(())
    }
}

/// Prints a usage error, or the requested help or version.
fn print_clap_error(error: &clap::Error, terminal: &mut Terminal<'_>) -> Exit {
    let text = error.render();
    let (written, exit) = if error.use_stderr() {
        (write!(terminal.error, "{text}"), Exit::Refused)
    } else {
        (write!(terminal.output, "{text}"), Exit::Done)
    };
    written.map_or(Exit::Failed, |()| exit)
}

/// The path in a checkout and in the container.
const DEFAULT_CONFIG: &str = "config/gateway.toml";
