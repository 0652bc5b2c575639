//! `token mint` creates tokens for tests.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{CommandContext, CommandError, ConfigArgument, help, inspect::InspectArguments};
use doctor::TestUsers;
use model::{
    identity::Identity,
    policy::Role,
    random::Random,
    room::{RoomError, RoomKey},
    time_format,
    token::Minter,
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create test users: for each, a link into the room and a token for Prosody.
    ///
    /// Both admit their holder; treat them as secrets.
    #[command(after_help = help::TOKEN_MINT)]
    Mint(MintArguments),
    /// Print the claims of a token, and which of Prosody's rules they violate; with a configuration,
    /// what the gateway would do with it.
    ///
    /// The signature is verified only with a configuration.
    #[command(after_help = help::TOKEN_INSPECT)]
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
pub(super) struct MintArguments {
    #[command(flatten)]
    file: ConfigArgument,
    /// The room, as ROOM or TENANT/ROOM.
    #[arg(long, allow_hyphen_values = true)]
    room: String,
    /// The number of users [default: the number of names, or 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=MAX_COUNT))]
    count: Option<u16>,
    /// Which of the users are moderators.
    #[arg(long, value_enum, default_value_t = Moderators::First)]
    moderator: Moderators,
    /// The lifetime of the tokens [default: `token.lifetime`].
    #[arg(long, value_name = "DURATION", value_parser = parse_ttl)]
    ttl: Option<Duration>,
    /// The name of a user; may be repeated.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Print only links or only tokens, one per line.
    #[arg(long, value_enum)]
    print: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Links through the gateway, for browsers and frames.
    Links,
    /// Tokens for Prosody.
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Moderators {
    First,
    All,
    None,
}

// === impl CommandContext ===

impl CommandContext<'_, '_> {
    pub(super) fn token(&mut self, command: TokenCommand) -> Result<(), CommandError> {
        match command {
            TokenCommand::Mint(arguments) => self.mint(arguments),
            TokenCommand::Inspect(arguments) => self.inspect(arguments),
        }
    }

    fn mint(&mut self, arguments: MintArguments) -> Result<(), CommandError> {
        let room = parse_room(&arguments.room)
            .map_err(|error| CommandError::Usage(format!("{error}; name another with --room")))?;
        let people = arguments.people();
        let (_, config) = arguments.file.load(self.environment)?;
        let settings = &config
            .jitsi()
            .ok_or_else(|| {
                CommandError::Usage("tokens for Prosody cannot be created with [jaas]".into())
            })?
            .token;
        let minter = Minter::new(settings, self.clock.clone()).map_err(anyhow::Error::from)?;
        let lifetime = arguments.ttl.unwrap_or(settings.lifetime);
        let origin = config.public_url.origin();
        let persons = TestUsers::new(&config, self.clock.clone(), Random::system());
        for (index, person) in people.iter().enumerate() {
            let role = arguments.moderator.role(index);
            let token = minter
                .mint_as(&room, role, person, lifetime)
                .map_err(anyhow::Error::from)?
                .into_text_for_operator();
            let client = persons.invite(&room, role, person, lifetime);
            let link = format!("{origin}{}?jwt={}", room.page_path(), client.as_str());
            let output = &mut self.terminal.output;
            match arguments.print {
                Some(Part::Links) => writeln!(output, "{link}")?,
                Some(Part::Tokens) => writeln!(output, "{token}")?,
                None => {
                    let name = person.display_name().unwrap_or_default();
                    let role = role.as_str();
                    writeln!(output, "{name} ({role})\n  link   {link}\n  token  {token}")?;
                }
            }
        }
        Ok(())
    }
}

// === impl MintArguments ===

impl MintArguments {
    fn people(&self) -> Vec<Identity> {
        let count = self
            .count
            .map_or_else(|| self.names.len().max(1), usize::from);
        (1..=count)
            .map(|number| {
                let name = self.names.get(number - 1).cloned();
                Identity {
                    subject: format!("test-{number}"),
                    name: Some(name.unwrap_or_else(|| format!("Test {number}"))),
                    ..Identity::default()
                }
            })
            .collect()
    }
}

// === impl Moderators ===

impl Moderators {
    fn role(self, index: usize) -> Role {
        match self {
            Self::All => Role::Moderator,
            Self::First if index == 0 => Role::Moderator,
            Self::First | Self::None => Role::Participant,
        }
    }
}

/// Parses `ROOM` or `TENANT/ROOM`.
pub(super) fn parse_room(text: &str) -> Result<RoomKey, RoomError> {
    RoomKey::from_text(text)
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    time_format::parse_duration(text)
        .filter(|ttl| (Duration::from_secs(1)..=MAX_TTL).contains(ttl))
        .ok_or_else(|| "write a duration from 1s to 24h, as 10m".to_owned())
}

/// The largest load test needs as many.
const MAX_COUNT: i64 = 1000;

/// Longer than any test, and limited because these tokens cannot be revoked.
const MAX_TTL: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_an_optional_tenant() {
        assert_eq!(
            parse_room("Board Meeting").unwrap().to_string(),
            "board%20meeting"
        );
        assert_eq!(parse_room("Acme/x").unwrap().to_string(), "acme/x");
        assert_eq!(parse_room("/a/b/c/").unwrap().to_string(), "b/c");
        assert!(parse_room("").is_err() && parse_room("a/").is_ok());
    }
}
