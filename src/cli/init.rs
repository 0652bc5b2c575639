//! `init`: asks a few questions, and writes the first configuration.

mod issuer;
mod questions;

use std::{
    error::Error,
    fs,
    io::{self, BufReader, Write},
    path::{self, Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use rustix::process::{getgid, getuid};
use tokio::{net::TcpStream, runtime::Builder, time::timeout};

use self::questions::Questions;
use super::{CommandContext, CommandError, doctor::DoctorArguments};
use config::{Config, ConfigProblem, ConfigProblems, Environment, PublicUrl};
use model::random::Random;
use setup::{JitsiEnv, NewFile, Platform, Provider, RoomEntry, Setup, Target, WriteError};

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The directory to write to. It is created; no file in it is ever overwritten.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Take what there is from this `.env` of docker-jitsi-meet. It is read only.
    #[arg(long, value_name = "FILE")]
    from_env: Option<PathBuf>,
    /// The address that people open, for example `https://meet.example.org`.
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// How Jitsi is installed.
    #[arg(long, value_name = "NAME", value_parser = words::<Platform>(Platform::ALL.map(Platform::name)), ignore_case = true)]
    platform: Option<Platform>,
    /// The OpenID provider.
    #[arg(long, value_name = "NAME", value_parser = words::<Provider>(Provider::all().map(Provider::name)), ignore_case = true)]
    provider: Option<Provider>,
    /// The provider's issuer, the address before /.well-known/openid-configuration.
    #[arg(long, value_name = "URL", value_parser = questions::parse_issuer)]
    issuer: Option<String>,
    /// With Google: the domain of your Workspace, whose accounts are members.
    #[arg(long, value_name = "DOMAIN", value_parser = questions::parse_domain)]
    workspace: Option<String>,
    /// The gateway's client id at the provider.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with the client's secret; `-` to write it later.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Who enters rooms.
    #[arg(long, value_name = "WORD", value_parser = words::<RoomEntry>(RoomEntry::ALL.map(RoomEntry::name)), ignore_case = true)]
    enter: Option<RoomEntry>,
    /// Who moderates beside the creator of a meeting: owner (only the creator), member, or conditions as
    /// group:staff, separated by commas.
    #[arg(long, value_name = "LIST")]
    moderators: Option<String>,
}

/// Reads one of the words, which the help, the completions and a refusal then list.
fn words<T>(words: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    let words: Vec<_> = words.into_iter().collect();
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn init(&mut self, arguments: InitArguments) -> Result<(), CommandError> {
        let directory = absolute(&arguments.directory)?;
        // Before the questions, not after them.
        if let Some(existing) = ["gateway.toml", "values.yaml"]
            .map(|name| directory.join(name))
            .into_iter()
            .find(|path| path.exists())
        {
            return Err(CommandError::Usage(
                WriteError::Exists(existing).to_string(),
            ));
        }
        let jitsi = arguments.from_env.as_deref().map(read_env).transpose()?;
        let mut questions = Questions {
            input: BufReader::new(&mut *self.terminal.input),
            output: &mut *self.terminal.output,
        };
        let deployment = questions.deployment(arguments, jitsi.unwrap_or_default())?;
        let target = Target {
            directory: directory.display().to_string(),
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
        };
        let setup = deployment.compose(&target, &Random::system());
        NewFile::write_all(&setup.files, &directory)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        self.print_setup(&setup, &directory)?;
        self.finish(&setup, &directory)
    }

    fn print_setup(&mut self, setup: &Setup, directory: &Path) -> io::Result<()> {
        let output = &mut *self.terminal.output;
        writeln!(output, "\nWritten to {}:", directory.display())?;
        for file in &setup.files {
            let path = file.path.display().to_string();
            writeln!(output, "  {path:24} {}", file.purpose)?;
        }
        writeln!(output, "\nAt the provider:")?;
        for (name, value) in &setup.registration {
            writeln!(output, "  {name:24} {value}")?;
        }
        writeln!(output, "\nAt Jitsi:")?;
        for step in &setup.jitsi {
            writeln!(output, "  {step}")?;
        }
        writeln!(output, "\nNext:")?;
        for command in &setup.commands {
            writeln!(output, "  $ {command}")?;
        }
        writeln!(output)
    }

    /// Checks the configuration with the files where they are now, and examines the deployment if it
    /// can be reached from here.
    fn finish(&mut self, setup: &Setup, directory: &Path) -> Result<(), CommandError> {
        let config = match check(setup, directory)? {
            Ok(config) => config,
            Err(missing) => {
                writeln!(
                    self.terminal.output,
                    "Still to be done before it can start:"
                )?;
                for problem in missing.iter() {
                    writeln!(self.terminal.output, "  {}", without_location(problem))?;
                }
                return Ok(());
            }
        };
        writeln!(self.terminal.output, "The configuration is valid.")?;
        let Some(jitsi) = config.jitsi() else {
            return Ok(());
        };
        if !is_reachable(jitsi.upstream.xmpp.as_str()) {
            writeln!(
                self.terminal.output,
                "Prosody is not reachable from here yet; run the doctor as above once it is."
            )?;
            return Ok(());
        }
        self.examine(&config, &DoctorArguments::default())
    }
}

/// Loads the configuration as the gateway will, but with the files where they were written.
///
/// # Errors
///
/// The outer error: the temporary file; the inner one: what `check` would print.
fn check(setup: &Setup, directory: &Path) -> io::Result<Result<Config, ConfigProblems>> {
    let copy = TemporaryFile::create(&setup.gateway_toml, directory)?;
    let paths = setup.check_paths.iter();
    let variables = paths.map(|(name, path)| (*name, directory.join(path).into_os_string()));
    let environment = Environment::from_variables(variables);
    Ok(config::load(&copy.0, &environment))
}

/// A problem without the name of the temporary file or variable.
fn without_location(problem: &ConfigProblem) -> String {
    let text = problem.to_string();
    let rest = text.split_once(": ").map(|(_, rest)| rest.to_owned());
    rest.unwrap_or(text)
}

/// A copy of `gateway.toml`, which not every platform has as a file.
struct TemporaryFile(PathBuf);

// === impl TemporaryFile ===

impl TemporaryFile {
    fn create(text: &str, directory: &Path) -> io::Result<Self> {
        let name = format!(".gateway-{}.toml", Random::system().text::<8>());
        let path = directory.join(name);
        let mut file = fs::File::create_new(&path)?;
        let copy = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(copy)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It has no secret, and a file that stays harms nothing.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a TCP connection can be opened.
fn is_reachable(address: &str) -> bool {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| {
        let connect = async { timeout(REACHABLE_WITHIN, TcpStream::connect(address)).await };
        matches!(runtime.block_on(connect), Ok(Ok(_)))
    })
}

fn absolute(directory: &Path) -> Result<PathBuf, CommandError> {
    let normalised: PathBuf = path::absolute(directory)?.components().collect();
    // The path stands in commands and in a Compose file.
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    match normalised.to_str() {
        Some(text) if text.chars().all(is_plain) => Ok(normalised),
        _ => Err(CommandError::Usage(format!(
            "{}: choose a --directory of letters, digits, dots and hyphens",
            normalised.display()
        ))),
    }
}

fn read_env(file: &Path) -> Result<JitsiEnv, CommandError> {
    let usage =
        |error: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| usage(&error))?;
    JitsiEnv::parse(&text).map_err(|error| usage(&error))
}

/// Long enough for a server of the same network.
const REACHABLE_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
